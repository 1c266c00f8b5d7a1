#!/usr/bin/python3
"""What has ended stays in the sums: no total falls as long as the process lives."""
import os
import subprocess
import unittest

import holder
from holder import weir
from test_export import samples

ENDED = holder.program("WEIR_ENDED")
FORGOTTEN = ("many receivers", "many pools")  # there is room for so many of them, no more


class EndedTest(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen([ENDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=holder.environment())
        self.addCleanup(self.process.wait, holder.PATIENCE)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.stdin.close)

    def steps(self):
        """What has ended, one by one, and the totals then."""
        while what := self.process.stdout.readline().strip():
            found = samples(weir("export", self.process.pid).stdout)
            yield what, {key: value for key, value in found.items() if key[0].endswith("_total")}
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def test_no_total_falls(self):
        before, seen = {}, []
        for what, totals in self.steps():
            for key, value in before.items():
                kept = totals.get(key)
                if kept is None and (what in FORGOTTEN or value == 0):
                    continue
                self.assertIsNotNone(kept, f"{key} is gone when {what} has ended")
                self.assertGreaterEqual(kept, value, f"{key} fell when {what} had ended")
            before = totals
            seen.append(what)
        self.assertEqual(len(seen), 11, seen)

    def test_what_follows_goes_on(self):
        totals = dict(self.steps())

        def total(when, name, **labels):
            return sum(value for key, value in totals[when].items()
                       if key[0] == name and all(label in key for label in labels.items()))

        self.assertEqual(total("nothing", "weir_receiver_receives_total"), 130)
        self.assertEqual(total("all receivers", "weir_receiver_receives_total"), 133)
        self.assertEqual(total("all receivers", "weir_receiver_connections_total"), 0)
        self.assertEqual(total("a thread", "weir_pool_lends_total") - total("all receivers", "weir_pool_lends_total"), 500)
        self.assertEqual(total("a pool that went on", "weir_pool_lends_total", pool="same") -
                         total("a pool", "weir_pool_lends_total", pool="same"), 7)
        self.assertGreaterEqual(total("all pools", "weir_pool_lends_total", pool="same"), 1000 + 300 + 500 + 7)


if __name__ == "__main__":
    unittest.main()
