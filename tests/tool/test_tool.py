#!/usr/bin/python3
"""`weir` says the truth about a process whose numbers are known, and one clear line when there is nothing to say."""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import holder
from holder import Holder, weir

HOLDERS = ("free", "cached", "user", "kernel_ring", "kernel_request")
COUNTS = ("capacity", *HOLDERS)
NOBODY = 65534


def stat(*arguments):
    answer = weir("stat", *arguments, "--json")
    assert answer.returncode == 0, f"weir stat ended with {answer.returncode}: {answer.stderr}"
    return json.loads(answer.stdout)


def levels(numbers):
    yield numbers
    for pool in numbers["pools"]:
        yield pool
        for node in pool["nodes"]:
            yield node
            yield from node["classes"]


def classes(numbers):
    return [size for pool in numbers["pools"] for node in pool["nodes"] for size in node["classes"]]


class ToolTest(unittest.TestCase):
    def check_law(self, numbers):
        """Where the law is said to hold, it does; and each count is the sum of its parts."""
        for level in levels(numbers):
            if level["law"] == "holds":
                self.assertEqual(level["capacity"], sum(level[name] for name in HOLDERS), level)
        for name in COUNTS:
            self.assertEqual(numbers[name], sum(size[name] for size in classes(numbers)), name)
            self.assertEqual(numbers[name], sum(pool[name] for pool in numbers["pools"]), name)

    def check_refused(self, answer, status, *words):
        """One line, with these words."""
        self.assertEqual((answer.returncode, answer.stdout), (status, ""), answer.stderr)
        self.assertRegex(answer.stderr, r"\Aweir: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, answer.stderr)


class StatTest(ToolTest):
    @classmethod
    def setUpClass(cls):
        cls.held = cls.enterClassContext(Holder())

    def test_numbers_of_a_process_at_rest(self):
        numbers = stat(self.held.pid)
        self.check_law(numbers)
        self.assertEqual({level["law"] for level in levels(numbers)}, {"holds"})
        self.assertEqual((numbers["pid"], numbers["program"]), (self.held.pid, "weir-test-holder"))
        self.assertEqual(numbers["user"], self.held.loans + self.held.receivers)
        self.assertEqual(numbers["kernel_request"], 0)
        users = collections.Counter()
        for size in classes(numbers):
            users[size["bytes"]] += size["user"]
        users.pop(16384)  # of the receiver
        self.assertEqual(+users, dict.fromkeys((512, 1024, 2048, 4096), 10))

    def test_pool(self):
        pool, = stat(self.held.pid)["pools"]
        self.assertEqual(pool["name"], "held")
        self.assertEqual(pool["mapped_bytes"], sum(arena["bytes"] for arena in pool["arenas"]))
        self.assertGreaterEqual(pool["mapped_bytes"], 16 << 20)
        self.assertEqual({arena["node"] for arena in pool["arenas"]}, {node["node"] for node in pool["nodes"]})
        for arena in pool["arenas"]:
            self.assertEqual(arena["page_bytes"], 4096)
            self.assertRegex(arena["grade"], "^4 KiB pages, populated, (not )?locked, (not )?bound$")
            self.assertEqual("not" in arena["grade"], arena["reason"] != "", arena)
        for size in classes(stat(self.held.pid)):
            self.assertGreaterEqual(size["high_water"], size["user"] + size["kernel_ring"])
            self.assertLessEqual(size["high_water"], size["capacity"])
            self.assertEqual(size["empty"], 0)
            self.assertEqual(size["lends"], size["user"])

    def test_receiver_and_its_ring(self):
        if not self.held.receivers:
            self.skipTest("this kernel allows no receiver: it needs io_uring and Linux 6.0")
        numbers = stat(self.held.pid)
        ring, = numbers["pools"][0]["rings"]
        self.assertEqual((ring["group"], ring["entries"], ring["filled"], ring["buffer_bytes"]), (64, 8, 8, 16384))
        self.assertEqual(numbers["kernel_ring"], 8)
        receiver, = numbers["receivers"]
        self.assertEqual((receiver["pool"], receiver["thread"]), ("held", self.held.pid))
        self.assertEqual((receiver["strategy"], receiver["chosen"]), ("ring", False))
        self.assertEqual((receiver["connections"], receiver["receives"], receiver["bytes"]), (1, 1, 31))
        self.assertEqual([receiver[name] for name in ("parked", "enobufs", "wakes", "cancels")], [0] * 4)

    def test_text(self):
        answer = weir("stat", self.held.pid)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        numbers = stat(self.held.pid)
        self.assertIn(f"weir-test-holder, process {self.held.pid}\n", answer.stdout)
        self.assertRegex(answer.stdout, "law +{capacity} = {free} free [+] {cached} cached [+] {user} user [+] {kernel_ring} "
                         "kernel ring [+] {kernel_request} kernel request +holds\n".format(**numbers))
        for arena in numbers["pools"][0]["arenas"]:
            self.assertIn(arena["grade"], answer.stdout)
            self.assertIn(arena["reason"], answer.stdout)
        unused = sum(size["capacity"] == 0 for size in classes(numbers))
        self.assertIn(f"{unused} classes were never used", answer.stdout)
        self.assertIn("4 KiB", answer.stdout)
        self.assertNotIn("\033", answer.stdout, "colours are for terminals")

    def test_segment_file(self):
        numbers = stat(self.held.pid)
        self.assertEqual(stat("--segment", self.held.segment_path()), numbers)
        with tempfile.TemporaryDirectory(prefix="weir-tool.") as folder:
            copied = pathlib.Path(folder, "segment")
            subprocess.run(["cp", "--sparse=always", self.held.segment_path(), copied], check=True)
            self.assertEqual(stat("--segment", copied), numbers)

    def test_saved_segment(self):
        with tempfile.TemporaryDirectory(prefix="weir-tool.") as folder:
            saved = pathlib.Path(folder, "saved")
            for _ in range(2):  # a segment may be overwritten
                self.assertEqual(stat(self.held.pid, "--save", saved), stat("--segment", saved))
            self.assertEqual(stat("--segment", saved), stat(self.held.pid))
            self.assertLess(saved.stat().st_blocks * 512, 1 << 20, "it is not sparse")
            self.assertEqual(saved.stat().st_mode & 0o777, 0o600)
            other = pathlib.Path(folder, "other")
            other.write_text("precious")
            for path, why in ((other, "no segment"), (folder, "no segment"), (other / "x", "Not a directory"),
                              (pathlib.Path(folder, "none", "x"), "No such file")):
                self.check_refused(weir("stat", self.held.pid, "--save", path), 1, "cannot save", why)
            self.assertEqual(other.read_text(), "precious")
            self.assertEqual(sorted(os.listdir(folder)), ["other", "saved"])

    def test_child_of_fork_has_no_pool(self):
        self.check_refused(weir("stat", self.held.child), 1, str(self.held.child), "has no pool")

    def test_listed(self):
        answer = weir("ls", "--json")
        entries = {entry["pid"]: entry for entry in json.loads(answer.stdout)}
        self.assertEqual(entries[self.held.pid], {"pid": self.held.pid, "program": "weir-test-holder", "pools": ["held"],
                                                  "mapped_bytes": stat(self.held.pid)["pools"][0]["mapped_bytes"]})
        self.assertNotIn(self.held.child, entries)
        self.assertRegex(weir("ls").stdout, rf"(?m)^ *{self.held.pid}  weir-test-holder .*  held$")


class LifeTest(ToolTest):
    def test_dropped_loans_come_home(self):
        with Holder() as held:
            before = stat(held.pid)
            held.drop()
            after = stat(held.pid)
        self.check_law(after)
        self.assertEqual((after["law"], after["user"]), ("holds", 0))
        self.assertEqual(after["capacity"], before["capacity"])
        self.assertEqual(after["free"] + after["cached"], before["free"] + before["cached"] + before["user"])

    def test_process_in_the_middle_of_traffic(self):
        with Holder("busy") as held:
            lends, laws = [0], set()
            deadline = time.monotonic() + holder.PATIENCE
            while len(lends) < 50 or "holds" not in laws or lends[1] == lends[-1]:  # many a look meets a change
                self.assertLess(time.monotonic(), deadline, f"no look found the law, or there is no traffic: {laws}, {lends}")
                numbers = stat(held.pid)
                self.check_law(numbers)
                self.assertLess(max(level[name] for level in levels(numbers) for name in COUNTS), 1 << 32)
                lends.append(numbers["lends"])
                laws.add(numbers["law"])
            self.assertEqual(lends, sorted(lends))

    def test_killed_process(self):
        with Holder() as held:
            held.process.kill()
            state = pathlib.Path(f"/proc/{held.pid}/stat")
            deadline = time.monotonic() + holder.PATIENCE
            while state.read_text().rsplit(")", 1)[1].split()[0] != "Z":
                self.assertLess(time.monotonic(), deadline, "the holder does not die")
                time.sleep(0.01)
            self.check_refused(weir("stat", held.pid), 1, str(held.pid), "has ended")
            self.assertEqual(held.process.wait(), -signal.SIGKILL)
            self.check_refused(weir("stat", held.pid), 1, f"no process {held.pid}")
            self.assertNotIn(held.pid, [entry["pid"] for entry in json.loads(weir("ls", "--json").stdout)])

    def test_process_without_a_descriptor_of_its_segment(self):
        with Holder(prefix=("prlimit", "--fsize=4096")) as held:
            stat, plan = weir("stat", held.pid), weir("map", held.pid)
            if os.geteuid() != 0:
                self.check_refused(stat, 1, "root finds it still")
                return
            self.assertIn("holds", stat.stdout, stat.stderr)
            self.assertIn("node 0, 16 MiB", plan.stdout, plan.stderr)

    def test_process_without_a_pool(self):
        self.check_refused(weir("stat", os.getpid()), 1, str(os.getpid()), "has no pool")


class OtherUserTest(ToolTest):
    def test_is_not_permitted(self):
        if os.geteuid() != 0:
            self.check_refused(weir("stat", 1), 1, "may not look", "sudo weir stat 1")
            return
        with Holder() as held, tempfile.TemporaryDirectory(prefix="weir-tool.") as folder:
            os.chmod(folder, 0o755)
            tool = shutil.copy(holder.WEIR, folder)
            nobody = {"path": tool, "user": NOBODY, "group": NOBODY, "extra_groups": []}
            self.check_refused(weir("stat", held.pid, **nobody), 1, "may not look", f"sudo weir stat {held.pid}")
            self.assertNotIn(str(held.pid), weir("ls", **nobody).stdout)


class AloneTest(ToolTest):
    """Without a PID, in a PID namespace, so that nobody else's processes count."""

    @classmethod
    def setUpClass(cls):
        cls.enter = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--pid", "--fork",
                     "--kill-child", "--mount-proc"]
        trial = subprocess.run([*cls.enter, "true"], capture_output=True, text=True, check=False)
        if trial.returncode != 0:
            raise unittest.SkipTest(f"no PID namespace: {trial.stderr.strip()}")

    def weir_among(self, count, *arguments):
        return subprocess.run([*self.enter, sys.executable, holder.__file__, str(count), *arguments], text=True,
                              capture_output=True, timeout=holder.PATIENCE, check=False)

    def test_none(self):
        self.check_refused(self.weir_among(0, "stat"), 1, "no process has a pool", "linked with weir")
        listing = self.weir_among(0, "ls", "--json")
        self.assertEqual((listing.returncode, listing.stdout), (0, "[]\n"))

    def test_the_only_one(self):
        answer = self.weir_among(1, "stat", "--json")
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        self.assertEqual(json.loads(answer.stdout)["program"], "weir-test-holder")

    def test_two(self):
        answer = self.weir_among(2, "stat")
        self.assertEqual((answer.returncode, answer.stdout), (2, ""))
        self.assertRegex(answer.stderr, r"\Aweir: several processes have pools, so give a PID:\n"
                         r"  \d+ +weir-test-hol\w*\n  \d+ +weir-test-hol\w*\n\Z")

    def test_process_in_a_container(self):
        """It calls itself 1, and is found by the number that it has here."""
        with Holder(prefix=self.enter) as held:
            status = f"PPid:\t{held.process.pid}\n"
            pid = next(int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/status")
                       if status in self.text_of(path))
            self.assertEqual(stat(pid)["pid"], pid)
            self.assertEqual(stat(pid)["user"], held.loans + held.receivers)

    def text_of(self, path):
        try:
            return path.read_text(errors="replace")
        except OSError:
            return ""  # has ended


class SegmentFileTest(ToolTest):
    VERSION, FILE_BYTES = 8, 16  # where they are in the header

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="weir-tool."))) / "segment"
        with Holder() as held:
            subprocess.run(["cp", "--sparse=always", held.segment_path(), self.path], check=True)
        self.file = self.enterContext(open(self.path, "r+b", buffering=0))

    def overwrite(self, offset, data):
        os.pwrite(self.file.fileno(), data, offset)

    def check_file_refused(self, *words):
        self.check_refused(weir("stat", "--segment", self.path), 1, *words)

    def test_no_segment(self):
        self.overwrite(0, b"WEIRSEG")
        self.check_file_refused("not a segment")

    def test_other_version(self):
        self.overwrite(self.VERSION, struct.pack("=I", 7))
        self.check_file_refused("version 7", "version 6", "release")

    def test_other_size(self):
        self.overwrite(self.FILE_BYTES, struct.pack("=Q", 1 << 60))
        self.check_file_refused("damaged")

    def test_cut_short(self):
        for size, words in ((os.path.getsize(self.path) - 1, "cut short"), (4096, "cut short"), (20, "not a segment"),
                            (0, "not a segment")):
            os.truncate(self.path, size)
            self.check_file_refused(words)

    def test_random_and_zero_files(self):
        for data in (os.urandom(65536), bytes(65536)):
            self.path.write_bytes(data)
            self.check_file_refused("not a segment")

    def test_no_file(self):
        self.path.unlink()
        self.check_file_refused("No such file")

    def test_no_regular_file(self):
        os.mkfifo(self.path.with_name("pipe"))
        for path in ("/dev/zero", self.path.parent, self.path.with_name("pipe")):
            self.check_refused(weir("stat", "--segment", path), 1, "not a segment")

    def test_names_cannot_command_the_terminal(self):
        start = self.path.read_bytes()[:1 << 18]
        for name in (b"held\0", b"weir-test-holder\0"):
            self.overwrite(start.index(name), b"\x1b]0;\x9b\xff\n" * 4)
        for arguments in ((), ("--json",)):
            answer = weir("stat", "--segment", self.path, *arguments)
            self.assertEqual(answer.returncode, 0)
            self.assertRegex(answer.stdout, r"\?\]0;\?\?\?")
            self.assertNotRegex(answer.stdout, r"[^\n -~]")


class UsageTest(ToolTest):
    def test_wrong_arguments(self):
        for arguments in ((), ("start",), ("stat", "x"), ("stat", "0"), ("stat", "-1"), ("stat", "1", "2"),
                          ("stat", "99999999999"), ("stat", "--nope"), ("stat", "--segment"),
                          ("stat", "1", "--segment", "x"), ("env", "x"), ("ls", "--yaml"), ("holders", "--older", "5x"),
                          ("holders", "--older", "x"), ("stat", "1", "--save", ""), ("map", "1", "--svg", "")):
            with self.subTest(arguments):
                words = ["weir", *[word for word in arguments[:1] if word != "start"], "--help"]
                self.check_refused(weir(*arguments), 2, f"see `{' '.join(words)}`")

    def test_says_what_was_wrong(self):
        for arguments, words in ((("stta",), "there is no command stta; did you mean stat?"),
                                 (("wachs",), "there is no command wachs; did you mean watch?"),
                                 (("foo",), "there is no command foo: "),
                                 (("\x1b[2J",), "there is no command ?[2J: "),
                                 (("stat", "abc"), "abc is no process id"),
                                 (("env", "12x"), "12x is no process id"),
                                 (("stat", "99999999999"), "99999999999 is no process id")):
            self.check_refused(weir(*arguments), 2, words)

    def test_numbers(self):
        """Decimal ones: 010 is neither 8 nor 10."""
        for number in ("nan", "inf", "1e300", "1e3", "-5", "0", "010", "0x10", "5.5", "99999999999999999999", " 5", "true"):
            for arguments in (("stat", number), ("env", number), ("watch", "1", "--count", number)):
                self.check_refused(weir(*arguments), 2, number, f"see `weir {arguments[0]} --help`")
            for arguments in (("doctor", "--load", number), ("export", "1", "--listen", f"127.0.0.1:{number}")):
                if not (number in ("5.5", "010", "0x10") or number == "0" and "export" in arguments):
                    self.check_refused(weir(*arguments), 2, number)

    def test_times_are_written_alike(self):
        for option in (("watch", "--interval"), ("holders", "--older"), ("advise", "--seconds")):
            for time_text in ("500ms", "5s", "0.5", "2", "2m", "1h"):  # read before the process is looked for
                self.check_refused(weir(option[0], 2**31 - 1, option[1], time_text), 1, "no process")
            for time_text in ("0", "1ms", "x", "5x", "5 days", "1e3", "-1s", "nan", "inf", "300h", "", "s", "5ss"):
                answer = weir(option[0], 2**31 - 1, f"{option[1]}={time_text}" if time_text else option[1], *[""][:not time_text])
                self.check_refused(answer, 2, "is no time", "500ms, 5s, 2m or 1h; a bare number is of seconds")
            help_text = " ".join(weir(option[0], "--help").stdout.split())
            self.assertIn("500ms, 5s, 2m or 1h; a bare number is of seconds", help_text)

    def test_help_and_version(self):
        self.assertRegex(weir("--version").stdout, r"\Aweir \d+\.\d+\.\d+ .*version 6")
        for arguments in ((), ("stat",), ("export",), ("holders",), ("ls",), ("env",), ("doctor",), ("advise",), ("watch",), ("map",)):
            answer = weir(*arguments, "--help")
            self.assertEqual((answer.returncode, answer.stderr), (0, ""))
            self.assertIn("Usage: weir", answer.stdout)
            if arguments not in ((), ("ls", )):
                self.assertRegex(answer.stdout, r"\nExit status: [^$]*\n\nExamples:\n  weir ")

    def test_full_disk(self):
        for argument in ("env", "--help", "--version"):
            with open("/dev/full", "w", encoding="ascii") as full:
                answer = subprocess.run([holder.WEIR, argument], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                                        env=holder.environment())
            self.assertEqual((answer.returncode, answer.stderr), (1, "weir: cannot write: No space left on device\n"))


class EnvTest(ToolTest):
    def env(self, *arguments, status=0, **options):
        answer = weir("env", *arguments, "--json", env=holder.environment(**options))
        self.assertEqual(answer.returncode, status, answer.stderr)
        shown = json.loads(answer.stdout)
        return {line["name"]: line for line in shown["options"]}, shown["unknown"]

    def test_values_and_their_sources(self):
        options, unknown = self.env(WEIR_BYTES="3m")
        self.assertEqual((options["WEIR_BYTES"]["value"], options["WEIR_BYTES"]["source"]), ("3m", "environment"))
        self.assertEqual((options["WEIR_PAGES"]["value"], options["WEIR_PAGES"]["source"]), ("auto", "default"))
        self.assertEqual(unknown, [])
        text = weir("env", env=holder.environment()).stdout
        for line in options.values():
            self.assertTrue(re.fullmatch("WEIR_[A-Z_]+", line["name"]) and line["meaning"] and line["form"], line)
            self.assertTrue(all(line[part] in text for part in ("name", "meaning", "form")), line)
        self.assertNotIn("bad:", text)

    def test_wrong_values(self):
        for value in ("", "lots", "1", "-4m", "\x1b[2J"):
            options, _ = self.env(status=1, WEIR_BYTES=value, WEIR_PAGES="8m", WEIR_RECV="epoll")
            self.assertEqual({name for name in options if "fault" in options[name]}, {"WEIR_BYTES", "WEIR_PAGES"})
            self.assertIn("; for example: export WEIR_BYTES=64m", options["WEIR_BYTES"]["fault"])
            self.assertEqual(options["WEIR_RECV"]["value"], "epoll")
            answer = weir("env", env=holder.environment(WEIR_BYTES=value))
            self.assertEqual((answer.returncode, answer.stderr),
                             (1, "weir: no pool can be made while there is a bad value: WEIR_BYTES\n"))
            self.assertRegex(answer.stdout, r"(?m)^  bad: WEIR_BYTES='.*export WEIR_BYTES=64m$")
            self.assertNotIn("\033", answer.stdout)

    def test_unknown_variable(self):
        _, unknown = self.env(WEIR_BITES="3m")
        self.assertEqual(unknown, [{"name": "WEIR_BITES", "nearest": "WEIR_BYTES"}])
        self.assertIn("WEIR_BITES is ignored: there is no such option; did you mean WEIR_BYTES?",
                      weir("env", env=holder.environment(WEIR_BITES="3m")).stdout)

    def test_of_a_process(self):
        with Holder() as held:
            options, _ = self.env(held.pid, WEIR_BYTES="3m")
            self.assertEqual(options["WEIR_BYTES"]["value"], "16m")
            held.process.kill()
        self.check_refused(weir("env", held.pid), 1, f"no process {held.pid}")
        if os.geteuid() != 0:
            self.check_refused(weir("env", 1), 1, "may not look", "sudo weir env 1")


if __name__ == "__main__":
    unittest.main()
