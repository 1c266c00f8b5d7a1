#!/usr/bin/python3
"""`weir watch` and `weir top` show what a process does while it does it, and leave nothing behind however they end."""
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

import holder
from holder import Holder, weir
from terminal import Terminal

COUNTS = ("free", "cached", "user", "kernel_ring", "kernel_request")
FAST = ("--interval", "50ms")
CHART = re.compile(r"[▁▂▃▄▅▆▇█]+(?= █ (?:free|cached|user|ring|request))")


def start(*arguments):
    return subprocess.Popen([holder.WEIR, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=holder.environment())


def watch_json(pid, count):
    answer = weir("watch", pid, *FAST, "--count", count, "--json")
    assert (answer.returncode, answer.stderr) == (0, ""), answer
    return [json.loads(line) for line in answer.stdout.splitlines()]


class WatchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.held = cls.enterClassContext(Holder("busy"))

    def test_a_line_for_each_look(self):
        answer = weir("watch", self.held.pid, *FAST, "--count", 3)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        titles, *lines = (line.split() for line in answer.stdout.splitlines())
        self.assertEqual(len(lines), 3)
        lines = [dict(zip(titles, line, strict=True)) for line in lines]
        for cells in lines:
            self.assertEqual((cells["conns"], cells["recv/s"]), (str(self.held.receivers), "0"))
            self.assertGreaterEqual(int(cells["user"]), self.held.loans)
        self.assertTrue(any(re.fullmatch(r"\d[\d.]*[kMG]", cells["lend/s"]) and cells["hit%"] == "100" for cells in lines), lines)

    def test_traced_lends_hit_no_magazine(self):
        with Holder("busy", WEIR_TRACE="1") as held:
            answer = weir("watch", held.pid, *FAST, "--count", 3)
        titles, *lines = (line.split() for line in answer.stdout.splitlines())
        self.assertEqual({line[titles.index("hit%")] for line in lines}, {"-"})

    def test_json_is_a_line_for_each_look(self):
        lines = watch_json(self.held.pid, 4)
        self.assertEqual(len(lines), 4)
        for line in lines:
            self.assertEqual(line["pid"], self.held.pid)
            self.assertGreater(line["seconds"], 0)
            self.assertEqual((line["a_second"]["receives"], line["connections"]), (0, self.held.receivers))
            self.assertLess(max(line[name] for name in COUNTS), 1 << 32)
        self.assertGreater(max(line["a_second"]["lends"] for line in lines), 0)

    def test_lends_are_those_that_stat_counts(self):
        before = json.loads(weir("stat", self.held.pid, "--json").stdout)["lends"]
        seen = sum(line["a_second"]["lends"] * line["seconds"] for line in watch_json(self.held.pid, 10))
        after = json.loads(weir("stat", self.held.pid, "--json").stdout)["lends"]
        self.assertLessEqual(seen, after - before)
        self.assertGreater(seen, (after - before) / 20)

    def test_ctrl_c_ends_it(self):
        with start("watch", self.held.pid, *FAST) as watch:
            watch.stdout.readline()
            watch.send_signal(signal.SIGINT)
            self.assertEqual((watch.wait(holder.PATIENCE), watch.stderr.read()), (-signal.SIGINT, ""))

    def test_a_closed_pipe_ends_it(self):
        with start("watch", self.held.pid, *FAST) as watch:
            watch.stdout.readline()
            watch.stdout.close()
            self.assertEqual((watch.wait(holder.PATIENCE), watch.stderr.read()), (-signal.SIGPIPE, ""))

    def test_a_screen_has_the_titles_and_no_line_is_broken(self):
        command = [holder.WEIR, "watch", self.held.pid, *FAST, "--count", 30]
        with Terminal(command, columns=60, rows=10) as terminal:
            screen = terminal.until("ended 0", "at the end")
            everything = terminal.tmux("capture-pane", "-p", "-S", "-100").split("begins", 1)[1].splitlines()
        self.assertIn("recv/s", screen, "the titles come again")
        lines = everything[1:everything.index("ended 0")]
        titles = sum(line.startswith("recv/s") for line in lines)
        self.assertEqual(len(lines) - titles, 30)
        self.assertGreaterEqual(titles, 30 // 9)
        self.assertEqual({len(line) for line in lines}, {max(map(len, lines))})

    def test_a_file_stands_still(self):
        answer = weir("watch", "--segment", self.held.segment_path(), *FAST, "--count", 1)
        self.assertEqual(answer.returncode, 0, answer.stderr)

    def test_a_saved_copy_is_nothing_to_watch(self):
        with tempfile.TemporaryDirectory(prefix="weir-tool.") as folder:
            saved = pathlib.Path(folder, "saved")
            self.held.save(saved)
            for arguments in (("watch", "--count", 1), ("advise", "--seconds", 1)):
                answer = weir(arguments[0], "--segment", saved, *arguments[1:])
                self.assertEqual((answer.returncode, answer.stdout), (1, ""), arguments)
                self.assertRegex(answer.stderr, r"\Aweir: a saved copy does not change: [^\n]+\n\Z")
            self.assertEqual(weir("advise", "--segment", saved).returncode, 0)

    def test_wrong_arguments(self):
        for arguments in (("--interval", "0"), ("--interval", "x"), ("--interval", "-1s"), ("--count", "0"), ("--count", "-1")):
            with self.subTest(arguments):
                answer = weir("watch", self.held.pid, *arguments)
                self.assertEqual((answer.returncode, answer.stdout), (2, ""))
                self.assertRegex(answer.stderr, r"\Aweir: [^\n]+`weir watch --help`\n\Z")


class ProcessEndsTest(unittest.TestCase):
    def test_watch_says_so(self):
        with Holder() as held, start("watch", held.pid, "--interval", "50ms") as watch:
            watch.stdout.readline()
            held.process.kill()
            self.assertEqual(watch.wait(holder.PATIENCE), 1)
            self.assertEqual(watch.stderr.read(), f"weir: process {held.pid} has ended\n")

    def test_watch_does_not_wait_for_its_interval_to_say_so(self):
        with Holder() as held, start("watch", held.pid, "--interval", "10m") as watch:
            with self.assertRaises(subprocess.TimeoutExpired):
                watch.wait(0.5)
            held.process.kill()
            self.assertEqual(watch.wait(holder.PATIENCE), 1)

    def test_top_shows_the_last_picture(self):
        with Holder() as held, Terminal([holder.WEIR, "top", held.pid, *FAST]) as top:
            top.until("law          holds", "there")
            held.process.kill()
            self.assertIn("strategies", top.until("HAS ENDED", "told the end"))
            top.send("q")
            screen = top.until("restored", "as it was")
            self.assertIn(f"weir: process {held.pid} has ended\nended 1", screen)


class TopTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.held = cls.enterClassContext(Holder("busy", "two"))

    def top(self, **how):
        return Terminal([holder.WEIR, "top", self.held.pid, *FAST], **how)

    def check_restored(self, terminal, status):
        screen = terminal.until("restored", "as it was")
        self.assertIn(f"ended {status}", screen)
        self.assertIn("begins", screen, "what was there before")
        self.assertNotIn("strategies", screen)

    def test_sizes(self):
        for columns, rows in ((80, 24), (200, 50), (72, 18)):
            with self.subTest(columns=columns, rows=rows), self.top(columns=columns, rows=rows) as top:
                screen = top.until(lambda screen: re.search(r"lends \d[\d.]*[kMG]/s", screen), "moving")
                self.assertIn(f"weir-test-holder, process {self.held.pid}   pool held (1 of 2)", screen)
                self.assertRegex(screen, r"connections \d   idle \d   parked 0")
                for word in ("free", "cached", "user", "ring", "request", "strategies", "q quit"):
                    self.assertIn(word, screen)
                if rows == 50:
                    for word in ("classes", "nodes", "rings", "receivers", "4 KiB pages, populated"):
                        self.assertIn(word, screen)
                top.send("q")
                self.check_restored(top, 0)

    def test_the_chart_grows(self):
        def column_count(screen):
            return max(map(len, CHART.findall(screen)), default=0)

        with self.top() as top:
            top.until(lambda screen: column_count(screen) >= 3, "a chart of three columns")
            top.until(lambda screen: column_count(screen) >= 20, "a chart of twenty")

    def test_small_terminals_say_how_large_they_must_be(self):
        with self.top(columns=40, rows=10) as top:
            top.until("this terminal is 40x10\nweir top needs 72x18; q quits", "an explanation")
            top.resize(100, 30)
            screen = top.until("q quit  p pause", "large enough")
            self.assertTrue(any(len(line) > 95 for line in screen.splitlines()), screen)
            top.resize(30, 5)
            top.until("this terminal is 30x5", "small again")
            top.send("q")
            self.check_restored(top, 0)

    def test_keys(self):
        def first_page(name):
            return lambda screen: re.search(rf"reclaimed \S+/s\n\n{name}\n", screen)

        with self.top(columns=100, rows=30) as top:
            top.until(first_page("strategies"), "at the strategies")
            top.send("Tab")
            top.until(first_page("classes"), "at the classes")
            top.send("BTab", "BTab")
            top.until(first_page("receivers"), "at the receivers")
            top.send("Down")
            top.until(first_page(" +thread .*"), "scrolled")
            top.send("Up")
            top.until(first_page("receivers"), "scrolled back")
            top.send("Right")
            top.until("pool other (2 of 2)", "at the other pool")
            top.send("Left")
            top.until("pool held (1 of 2)", "at the first pool again")
            top.send("h")
            top.until(first_page("help"), "help")
            top.send("h")
            top.until(first_page("receivers"), "without help")

    def test_pause(self):
        with self.top() as top:
            top.until(lambda screen: len(CHART.findall(screen)) >= 5, "a chart")
            top.send("p")
            paused = top.until("paused", "paused")
            time.sleep(1)  # twenty looks, if it went on
            self.assertEqual(top.screen(), paused)
            top.send("p")
            top.until(lambda screen: screen != paused and "paused" not in screen, "going on")

    def test_signals_restore_the_terminal(self):
        for name in ("INT", "TERM", "HUP", "QUIT"):
            with self.subTest(name), self.top() as top:
                top.until("law          holds", "there")
                if name == "INT":
                    top.send("C-c")
                else:
                    subprocess.run(["pkill", f"-{name}", "-P", top.tmux("display", "-p", "#{pane_pid}").strip(), "weir"],
                                   check=True)
                self.check_restored(top, 128 + signal.Signals[f"SIG{name}"])

    def test_stopped_and_continued(self):
        with Terminal(["bash", "--norc", "-i"], env={"PS1": "at home> "}) as shell:
            shell.until("at home>", "a shell")
            shell.send(f"{holder.WEIR} top {self.held.pid}", "Enter")
            shell.until("law          holds", "there")
            shell.send("C-z")
            shell.until(lambda screen: "Stopped" in screen and screen.rstrip().endswith("at home>"), "stopped")
            shell.send("fg", "Enter")
            shell.until("law          holds", "there again")

    def test_letters_without_colours_or_blocks(self):
        for env in ({"LC_ALL": "C"}, {"NO_COLOR": "1"}, {"TERM": "vt100"}):
            with self.subTest(env), self.top(env=env) as top:
                screen = top.until(lambda screen: re.search("uuu [urq] ", screen), "a chart of letters")
                self.assertNotIn("█", screen)
                self.assertRegex(screen, r"\.\.\. \. free")

    def test_help_has_examples(self):
        for name in ("top", "watch", "completion"):
            answer = weir(name, "--help")
            self.assertEqual((answer.returncode, answer.stderr), (0, ""))
            self.assertRegex(answer.stdout, rf"\n\nExamples:\n(  .*weir {name}.*\n)+\Z")

    def test_no_terminal(self):
        answer = weir("top", self.held.pid)
        self.assertEqual((answer.returncode, answer.stdout), (2, ""))
        self.assertRegex(answer.stderr, r"\Aweir: [^\n]*terminal[^\n]*`weir watch`\n\Z")

    def test_unknown_terminal(self):
        with self.top(env={"TERM": "no-such"}) as top:
            screen = top.until("restored", "as it was")
            self.assertIn("weir: cannot drive a terminal of the kind TERM=no-such", screen)
            self.assertIn("ended 1", screen)


if __name__ == "__main__":
    unittest.main()
