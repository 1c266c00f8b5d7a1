#!/usr/bin/python3
"""The proxy by every receive strategy: every byte, both ways, and nothing held while nothing arrives."""

import os
import re
import unittest

import harness
import wire

ALL = (*harness.STRATEGIES, "poll_adaptive", "ring_lazy", "ring_sized", "ring_sized_lazy", "ring_incremental", "ring_adaptive",
       "ring_bundle")
PAIRS = 20
BYTES = 4 << 20


class Strategies(unittest.TestCase):
    def shown(self, proxy):
        return {receiver["strategy"] for receiver in harness.stat(proxy.pid)["receivers"]}

    def check(self, strategy, *options, env=None):
        with wire.Upstream() as upstream, harness.Proxy(upstream.port, *options, env=env) as proxy:
            self.assertEqual(self.shown(proxy), {strategy})
            pairs = [self.enterContext(wire.relayed(proxy, upstream)) for _ in range(PAIRS)]
            for sent, received in wire.exchange(pairs, BYTES):
                self.assertEqual(received, sent)
            harness.settled(proxy.pid)  # within the idle time, a receive that waits gives its buffer back
            for number, pair in enumerate(pairs):
                wire.talk(*pair, seed=number)
                for end in pair:
                    end.close()

    def test_each_by_option(self):
        for strategy in ALL:
            with self.subTest(strategy=strategy):
                try:
                    self.check(strategy, "--recv", strategy, "--threads", "2")
                except harness.NotStarted as end:
                    self.assertRegex(end.said, "needs? Linux")
                    print(f"not on this kernel: {end.said.strip()}")

    def test_help_names_all(self):
        shown = harness.run([harness.WEIR_PROXY, "--help"]).stdout
        self.assertEqual(set(re.search(r"one of ([^()]+) \(", shown)[1].replace(" ", "").split(",")), {"auto", *ALL})

    def test_by_variable(self):
        self.check("poll_recv", env={"WEIR_RECV": "poll_recv", "WEIR_IDLE": "100"})

    def test_the_option_outdoes_the_variable(self):
        self.check("direct", "--recv", "direct", env={"WEIR_RECV": "poll_recv", "WEIR_IDLE": "100"})

    def test_auto_chooses(self):
        with wire.Upstream() as upstream, harness.Proxy(upstream.port, "--recv", "auto") as proxy:
            kernel = tuple(map(int, os.uname().release.split(".")[:2]))
            self.assertEqual(self.shown(proxy), {"ring_adaptive" if kernel >= (6, 0) else "poll_adaptive"})
            self.assertTrue(all(receiver["chosen"] for receiver in harness.stat(proxy.pid)["receivers"]))

    def test_another_name_is_refused(self):
        answer = harness.run([harness.WEIR_PROXY, "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9",
                              "--recv", "rings"])
        self.assertEqual(answer.returncode, 2)
        self.assertRegex(answer.stderr, r"\Aweir-proxy: [^\n]*rings[^\n]*\n\Z")


if __name__ == "__main__":
    harness.main()
