#!/usr/bin/python3
"""`weir holders` names who has the buffers of a process that traces, whatever bytes its segment has. SEED repeats a run."""
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import time
import unittest

from holder import Holder, weir

SEED = int(os.environ.get("SEED", "2"))
WORD = struct.Struct("=Q")


def holders(*arguments):
    answer = weir("holders", *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def copy_of(segment, case):
    path = pathlib.Path(case.enterContext(tempfile.TemporaryDirectory(prefix="weir-tool."))) / "segment"
    subprocess.run(["cp", "--sparse=always", segment, path], check=True)
    return path


class HoldersTest(unittest.TestCase):
    def setUp(self):
        self.held = self.enterContext(Holder(WEIR_TRACE="1"))

    def test_all_who_hold(self):
        numbers = holders(self.held.pid)
        groups = numbers["holders"]
        self.assertEqual((numbers["loans"], numbers["unlisted"]), (self.held.loans + self.held.receivers, 0))
        self.assertEqual(sum(group["loans"] for group in groups), numbers["loans"])
        tagged = [group for group in groups if group["tag"] == "held by a thread"]
        self.assertEqual(sum(group["loans"] for group in tagged), self.held.loans)
        self.assertEqual(sum(group["bytes"] for group in tagged), 10 * (512 + 1024 + 2048 + 4096))
        self.assertEqual({group["pool"] for group in groups}, {"held"})
        ages = [group["oldest_seconds"] for group in groups]
        self.assertEqual((ages, ages[0]), (sorted(ages, reverse=True), numbers["oldest_seconds"]))
        for group in tagged:
            functions = [frame["function"] for frame in group["stack"]]
            self.assertTrue(any("HeldLoans" in function for function in functions), functions)

    def test_received_data(self):
        """What a receiver claimed from its ring and delivered is held too."""
        if not self.held.receivers:
            self.skipTest("this kernel allows no receiver: it needs io_uring and Linux 6.0")
        received, = (group for group in holders(self.held.pid)["holders"] if not group["tag"])
        self.assertEqual((received["loans"], received["bytes"], received["thread"]), (1, 16384, self.held.pid))
        self.assertTrue(any("Receiver" in frame["function"] for frame in received["stack"]), received)

    def test_text(self):
        answer = weir("holders", self.held.pid)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        self.assertTrue(answer.stdout.startswith(f"{self.held.loans + self.held.receivers} loans out\n"), answer.stdout)
        self.assertRegex(answer.stdout, r"\nheld by a thread, \d+ loans, [\d.]+ KiB: the oldest for [^,]+, by thread \d+ of "
                         r"pool held\n    .*HeldLoans.*\(weir-test-holder\)\n")
        self.assertNotRegex(answer.stdout, r"(?m)^    weir::detail", "what is within the pool")

    def test_age(self):
        self.assertEqual(holders(self.held.pid, "--older", "1h")["loans"], 0)
        time.sleep(0.3)
        self.assertEqual(holders(self.held.pid, "--older", "300ms")["loans"], self.held.loans + self.held.receivers)
        answer = weir("holders", self.held.pid, "--older", "2m")
        self.assertRegex(answer.stdout, r"\A0 loans out for 2 min 0 s or longer; the oldest is out for [\d.]+ m?s\n\Z")

    def test_dropped(self):
        self.held.drop()
        self.assertEqual(holders(self.held.pid), {"loans": 0, "unlisted": 0, "oldest_seconds": None, "holders": [],
                                                  "unnamed": {}})

    def test_file(self):
        """Addresses alone, and ages up to the newest loan."""
        process, file = holders(self.held.pid), holders("--segment", copy_of(self.held.segment_path(), self))
        self.assertEqual(file["loans"], process["loans"])
        for group, known in zip(file["holders"], process["holders"]):
            self.assertEqual([group[key] for key in ("tag", "loans", "thread")], [known[key] for key in ("tag", "loans", "thread")])
            self.assertLess(group["oldest_seconds"], known["oldest_seconds"])
            self.assertEqual([frame["address"] for frame in group["stack"]], [frame["address"] for frame in known["stack"]])
            self.assertEqual({frame["function"] for frame in group["stack"]}, {""})
        text = weir("holders", "--segment", copy_of(self.held.segment_path(), self)).stdout
        self.assertIn("\na file has the addresses of the stacks only: give the PID", text)
        self.assertNotIn("addresses", weir("holders", self.held.pid).stdout)

    def test_hostile_file(self):
        path, chance = copy_of(self.held.segment_path(), self), random.Random(SEED)
        with open(path, "r+b", buffering=0) as file:
            first_hole = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
            before = os.pread(file.fileno(), first_hole, 0)
            used = [at for at in range(24, first_hole, WORD.size) if any(before[at:at + WORD.size])]
            for number in range(100):
                for _ in range(1 << chance.randrange(10)):
                    value = chance.choice((0, 1, 255, (1 << 32) - 1, (1 << 64) - 1, chance.getrandbits(64)))
                    os.pwrite(file.fileno(), WORD.pack(value), chance.choice(used))
                answer = weir("holders", "--segment", path, *(["--json"] if number % 2 else []))
                self.assertIn(answer.returncode, (0, 1), f"round {number}, SEED={SEED}: {answer.stderr}")
                self.assertRegex(answer.stderr, (r"\A\Z", r"\Aweir: no pool there notes [ -~]+\n\Z")[answer.returncode])
                self.assertNotRegex(answer.stdout, r"[^\n -~]", f"round {number}, SEED={SEED}")
                os.pwrite(file.fileno(), before, 0)


class OthersTest(unittest.TestCase):
    def test_traffic(self):
        with Holder("busy", WEIR_TRACE="1") as held:
            for _ in range(20):
                numbers = holders(held.pid)
                self.assertGreaterEqual(numbers["loans"], held.loans + held.receivers)
                self.assertLess(numbers["loans"], 1000)

    def test_not_traced(self):
        with Holder() as held:
            answer = weir("holders", held.pid)
        self.assertEqual((answer.returncode, answer.stdout), (1, ""))
        self.assertRegex(answer.stderr, r"\Aweir: [^\n]+WEIR_TRACE=1[^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
