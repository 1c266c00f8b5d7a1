#!/usr/bin/python3
"""5,000 idle and 50 busy connections at once."""

import functools
import time
import unittest

import harness
import wire

IDLE = 5000
BUSY = 50
BUSY_BYTES = 8 << 20


def kernel_holds(numbers):
    return numbers["kernel_ring"] + numbers["kernel_request"]


class Many(unittest.TestCase):
    def setUp(self):
        harness.allow_files(2 * (IDLE + BUSY) + 100)

    def pairs(self, count):
        made = []
        for number in range(count):
            made.append(self.enterContext(wire.relayed(self.proxy, self.upstream)))
            wire.talk(*made[-1], seed=number)
        return made

    def sample(self):
        most = 0
        for _ in range(10):
            most = max(most, kernel_holds(harness.stat(self.proxy.pid)))
            time.sleep(0.1)
        return most

    def test_idle_and_busy(self):
        self.upstream = self.enterContext(wire.Upstream())
        self.proxy = self.enterContext(harness.Proxy(self.upstream.port, "--threads", "2"))
        idle, busy = self.pairs(IDLE), self.pairs(BUSY)
        at_rest = kernel_holds(harness.settled(self.proxy.pid, empty=("user",)))
        exchanged, at_work = wire.at_once(functools.partial(wire.exchange, busy, BUSY_BYTES), self.sample)
        for sent, received in exchanged:
            self.assertEqual(received, sent)
        for number, pair in enumerate(idle):
            wire.talk(*pair, seed=IDLE + number)
        print(f"{IDLE} idle and {BUSY} busy connections: the kernel holds {at_rest} buffers at rest, "
              f"at most {at_work} seen at work")
        self.assertLess(at_rest, IDLE, "idle connections hold buffers")
        for pair in idle + busy:
            for end in pair:
                end.close()
        numbers = harness.settled(self.proxy.pid)
        self.assertEqual(numbers["user"], 0)


if __name__ == "__main__":
    harness.main()
