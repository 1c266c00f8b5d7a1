#!/usr/bin/python3
"""`weir advise` on real processes whose needs are known, and that what it advises serves them."""
import json
import re
import unittest

from holder import Holder, weir

MIB = 1 << 20


def advise(*arguments):
    answer = weir("advise", "--json", *arguments)
    assert (answer.returncode, answer.stderr) == (0, ""), answer
    return json.loads(answer.stdout)["advice"]


def settings(advice):
    """By name, what to export."""
    return dict(re.fullmatch(r"export (\w+)=(.*)", each["line"]).groups() for each in advice
                if each["line"].startswith("export "))


class AdviseTest(unittest.TestCase):
    def check_helps(self, mode, before, name):
        """What is said of the variable; and that with what is advised nothing more is said of it."""
        for _ in range(4):
            with Holder(*mode, **before) as held:
                if not held.receivers:
                    self.skipTest("this kernel allows no receiver with a ring: it needs io_uring and Linux 6.0")
                said = advise(held.pid)
            found = settings(said)
            if name not in found:
                return before[name]
            before = {**before, name: found[name]}
        self.fail(f"it is never content: {said}")

    def test_far_too_much_memory(self):
        options = {"WEIR_BYTES": "128m"}
        with Holder(**options) as held:
            first = settings(advise(held.pid))["WEIR_BYTES"]
        self.assertLessEqual(int(first.removesuffix("m")), 16)
        self.check_helps((), {**options, "WEIR_BYTES": first}, "WEIR_BYTES")

    def test_too_little_memory(self):
        options = {"WEIR_BYTES": "256k", "WEIR_SLAB": "64k"}
        with Holder(**options) as held:
            numbers = json.loads(weir("stat", held.pid, "--json").stdout)
            if not held.receivers:
                self.skipTest("this kernel allows no receiver with a ring: it needs io_uring and Linux 6.0")
            self.assertGreater(numbers["empty"], 0)
            advice, = [each for each in advise(held.pid) if "WEIR_BYTES" in each["line"]]
            self.assertRegex(advice["finding"], rf"^{numbers['empty']} lends found no buffer, {numbers['lends']} were served")
        enough = self.check_helps((), options, "WEIR_BYTES")
        self.assertRegex(enough, r"\A\d+m\Z")

    def test_rings_that_are_too_small(self):
        enough = self.check_helps(("burst",), {"WEIR_RING_ENTRIES": "8"}, "WEIR_RING_ENTRIES")
        self.assertIn(enough, ("32", "64"))

    def test_nothing_to_change(self):
        with Holder(WEIR_BYTES="4m") as held:
            said = [each for each in advise(held.pid) if each["line"] != "weir doctor"]
            self.assertEqual(said, [])

    def test_of_now(self):
        options = {"WEIR_BYTES": "1m", "WEIR_RING_ENTRIES": "64"}
        with Holder(**options) as held:
            held.drop()
            self.assertNotIn("WEIR_BYTES", settings(advise(held.pid, "--seconds", 1)))
            answer = weir("advise", held.pid, "--seconds", 1)
            self.assertIn(f"weir-test-holder, process {held.pid}, in the last 1 s\n", answer.stdout)

    def test_too_little_to_judge_by(self):
        with Holder(WEIR_BYTES="4m") as held:
            answer = weir("advise", held.pid, "--seconds", "10ms")
            self.assertRegex(answer.stdout, r"\ntoo little happened to judge the rest by: 0 receives, 0 lends; ")
            self.assertNotIn("nothing to change", answer.stdout)

    def test_text(self):
        with Holder(WEIR_BYTES="128m") as held:
            text = weir("advise", held.pid).stdout
            for each in advise(held.pid):
                self.assertIn(f"\npool held: {each['finding']}\n  {each['line']}\n  {each['effect']}\n", text)
            self.assertNotIn("\033", text)

    def test_wrong_arguments(self):
        for arguments in (("x",), ("1", "--seconds", "0"), ("1", "--seconds", "x"), ("1", "2")):
            answer = weir("advise", *arguments)
            self.assertEqual((answer.returncode, answer.stdout), (2, ""), arguments)


if __name__ == "__main__":
    unittest.main()
