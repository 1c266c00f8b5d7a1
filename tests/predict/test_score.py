#!/usr/bin/python3
"""bench/score gives the figures that were worked out by hand (the variable WEIR_PREDICT names weir-predict)."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

SCORE = pathlib.Path(__file__).resolve().parents[2] / "bench/score"


def score(*options):
    return subprocess.run(["/usr/bin/python3", "-B", SCORE, "--program", os.environ["WEIR_PREDICT"], *options],
                          capture_output=True, text=True, timeout=120)


class ScoreTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def trace(self, *arrivals):
        path = pathlib.Path(self.folder.name, "hand.csv")
        path.write_text("t_us,conn,dir,bytes\n" + "".join(f"{i},0,u,{size}\n" for i, size in enumerate(arrivals)))
        return path

    def scored(self, *arrivals):
        answer = score("--json", self.trace(*arrivals))
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        return json.loads(answer.stdout)["traces"]["hand"]

    def test_even_and_netty(self):
        # Who knows: 512 B, then 64 KiB and 8 KiB. Netty: 2 KiB, then 2, 32 and 64 KiB. Fixed: five of 16 KiB and one more.
        even = self.scored(100, 70000)["even"]
        known = 651.2 + 7153.6 + 1419.2
        self.assertAlmostEqual(even["netty"]["ratio"], 12640 / known)
        self.assertAlmostEqual(even["fixed"]["ratio"], 6 * 2238.4 / known)
        self.assertGreaterEqual(even["weir"]["ratio"], 1)

    def test_ring_weighs_a_change_against_larger_buffers(self):
        # 512 B, a change and 64 KiB; without a change five of 16 KiB are best. Netty's eight of 2 KiB are queued.
        ring = self.scored(100, 60000)["ring"]
        known = 651.2 + 1600 + 7153.6
        self.assertAlmostEqual(ring["fixed"]["ratio"], 5 * 2238.4 / known)
        self.assertEqual(ring["fixed"]["changes"], 0)
        self.assertGreaterEqual(ring["weir"]["ratio"], 1)

    def test_goals_are_told_met_or_missed(self):
        answer = score(self.trace(100, 100))
        self.assertEqual(answer.returncode, 0)
        self.assertRegex(answer.stdout, r"\| ring, needed \| [0-9.]+ \| 1.17 \| (met|missed) \|")

    def test_what_is_no_trace_and_no_program_is_refused(self):
        for arrivals, options, words in (((), (), "no arrivals"), (("many",), (), "no trace"),
                                         ((1,), (__file__,), "no trace"), ((1,), ("--program", "/none"), "cmake --build")):
            answer = score(self.trace(*arrivals), *options)
            self.assertEqual((answer.returncode, answer.stdout), (1, ""))
            self.assertRegex(answer.stderr, rf"\Abench/score: [^\n]*{words}[^\n]*\n\Z")


if __name__ == "__main__":
    unittest.main()
