#!/usr/bin/python3
"""weir-predict (the variable WEIR_PREDICT names it) speaks its line protocol, by the prices that it is given."""
import os
import subprocess
import unittest

PROGRAM = os.environ["WEIR_PREDICT"]
SINGLE = ("--switch-price", "0", "--stale", "0")


def predict(*options, lines=()):
    text = "".join(line + "\n" for line in lines)
    return subprocess.run([PROGRAM, *options], input=text, capture_output=True, text=True, timeout=60)


def sizes(*options, lines):
    answer = predict(*options, lines=lines)
    assert (answer.returncode, answer.stderr) == (0, ""), answer
    return [int(line) for line in answer.stdout.split()]


class PredictTest(unittest.TestCase):
    def check_refused(self, answer, status, *words):
        self.assertEqual((answer.returncode, answer.stdout), (status, ""), answer.stderr)
        self.assertRegex(answer.stderr, r"\Aweir-predict: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, answer.stderr)

    def test_each_next_is_answered_at_once(self):
        with subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
            child.stdin.write("new 0u\n")
            for _ in range(3):
                child.stdin.write("next 0u\n")
                self.assertIn(int(child.stdout.readline()), [512 << i for i in range(8)])
                child.stdin.write("got 0u 100 2048\n")
            child.stdin.close()
            self.assertEqual(child.wait(10), 0)

    def test_streams_are_told_apart(self):
        lines = ["new a", "new b"] + ["got a 100 2048", "got b 60000 65536"] * 100 + ["next a", "next b"]
        for options in ((), SINGLE):
            self.assertEqual(sizes(*options, lines=lines), [512, 65536])

    def test_a_change_that_costs_much_is_not_made(self):
        lines = ["new a", "next a"] + ["got a 100 2048"] * 100 + ["next a"]
        first, last = sizes("--switch-price", "1000000", lines=lines)
        self.assertEqual(first, last)
        self.assertEqual(sizes("--switch-price", "0", lines=lines)[-1], 512)

    def test_dear_memory_makes_buffers_smaller(self):
        lines = ["new a"] + ["got a 3000 4096", "got a 100 4096"] * 100 + ["next a"]
        self.assertLess(sizes(*SINGLE, "--byte-price", "5", lines=lines), sizes(*SINGLE, "--byte-price", "0.01", lines=lines))

    def test_times_and_done_make_no_difference(self):
        plain = ["new a"] + ["got a 3000 4096"] * 9 + ["next a"]
        timed = ["new a"] + ["got a 3000 4096 17", "done a 3000 17"] * 9 + ["next a 17"]
        self.assertEqual(sizes(lines=plain), sizes(lines=timed))

    def test_what_is_no_line_of_it_is_refused(self):
        for lines, *words in ((["hello"], "line 1", "new CONN"), (["new a", "next"], "line 2"),
                              (["next a"], "line 1", "new a"), (["new a", "got a 9 8"], "'9'"),
                              (["new a", "got a -1 8"], "'-1'"), (["new a", "got a 0 8"], "'0'"), (["new a", "got a 1 99999999"], "16777216")):
            self.check_refused(predict(lines=lines), 1, *words)

    def test_what_is_no_price_is_refused(self):
        for options in (("--byte-price", "-1"), ("--byte-price", "nan"), ("--switch-price", "much"), ("--stale", "1.5"),
                        ("--stale", "-1"), ("--classes", "512"), ("512",)):
            self.check_refused(predict(*options), 2, "--help")

    def test_help_names_every_option(self):
        answer = predict("--help")
        self.assertEqual(answer.returncode, 0)
        for word in ("--byte-price", "--switch-price", "--stale", "0.1", "1600", "8", "next CONN"):
            self.assertIn(word, answer.stdout)


if __name__ == "__main__":
    unittest.main()
