#!/usr/bin/python3
"""Who may look into a process, and from which namespaces: `weir` sees it as it is, or says who would."""
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import holder
from holder import Holder, weir
from terminal import Terminal

NOBODY = 65534
READING = ("stat", "watch", "map", "holders", "export", "advise", "env")
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=holder.PATIENCE, check=False,
                          env=holder.environment())


def works(*command):
    return shutil.which(command[0]) is not None and run(*command).returncode == 0


def numbers(*arguments):
    answer = weir(*arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def functions(shown):
    return {frame["function"] for group in shown["holders"] for frame in group["stack"]}


class Case(unittest.TestCase):
    def folder(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="weir-tool.")))
        folder.chmod(0o755)
        return folder

    def check_refused(self, answer, *words, status=1):
        """One line, with these words."""
        self.assertEqual((answer.returncode, answer.stdout), (status, ""), answer.stderr)
        self.assertRegex(answer.stderr, r"\Aweir: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, answer.stderr)


class ThreadTest(Case):
    def test_id_of_a_thread(self):
        """It stands for its process."""
        with Holder() as held:
            others = [int(path.name) for path in pathlib.Path(f"/proc/{held.pid}/task").iterdir()]
            others.remove(held.pid)
            for command in ("stat", "map", "advise"):
                self.assertEqual(numbers(command, others[0])["pid"], held.pid)
            self.assertEqual(weir("env", others[0], "--json").stdout, weir("env", held.pid, "--json").stdout)
            self.assertEqual(json.loads(weir("watch", others[0], "--json", "--count", "1").stdout)["pid"], held.pid)

    def test_first_thread_has_ended(self):
        """The kernel then shows a zombie whose other threads go on."""
        with Holder("headless", WEIR_TRACE="1") as held:
            state = pathlib.Path(f"/proc/{held.pid}/stat")
            deadline = time.monotonic() + holder.PATIENCE
            while state.read_text().rsplit(")", 1)[1].split()[0] != "Z":
                self.assertLess(time.monotonic(), deadline, "the first thread does not end")
                time.sleep(0.01)
            self.assertEqual(numbers("stat", held.pid)["user"], held.loans + held.receivers)
            self.assertIn(held.pid, [entry["pid"] for entry in numbers("ls")])
            self.assertTrue(any("HeldLoans" in name for name in functions(numbers("holders", held.pid))))
            self.assertEqual(weir("watch", held.pid, "--count", "1", "--interval", "10ms").returncode, 0)


class EndTest(Case):
    def started(self, *arguments):
        process = self.enterContext(subprocess.Popen([holder.WEIR, *map(str, arguments)], stdout=subprocess.PIPE,
                                                     stderr=subprocess.PIPE, text=True, env=holder.environment()))
        self.addCleanup(process.kill)
        return process

    def test_another_program(self):
        """The process goes on by exec: what it has counted before stands still for ever."""
        with Holder() as held:
            watch = self.started("watch", held.pid, "--interval", "20ms", "--json")
            watch.stdout.readline()
            held.process.stdin.write("exec\n")
            held.process.stdin.flush()
            _, said = watch.communicate(timeout=holder.PATIENCE)
            self.assertEqual((watch.returncode, said), (1, f"weir: process {held.pid} runs another program now, by exec\n"))

    def test_end_while_it_is_judged(self):
        with Holder() as held:
            advise = self.started("advise", held.pid, "--seconds", "1h")
            time.sleep(0.5)
        _, said = advise.communicate(timeout=holder.PATIENCE)
        self.assertEqual(advise.returncode, 1)
        self.assertRegex(said, rf"\Aweir: (process {held.pid} has ended\n|there is no process {held.pid}: )")

    def test_stopped_process(self):
        with Holder() as held:
            before = numbers("stat", held.pid)
            os.kill(held.pid, signal.SIGSTOP)
            try:
                self.assertEqual(numbers("stat", held.pid), before)
                self.assertEqual(weir("watch", held.pid, "--count", "2", "--interval", "20ms").returncode, 0)
            finally:
                os.kill(held.pid, signal.SIGCONT)


@unittest.skipUnless(os.geteuid() == 0, "only root may make namespaces that a process is looked at across")
class NamespaceTest(Case):
    def uptime(self):
        return float(pathlib.Path("/proc/uptime").read_text(encoding="ascii").split()[0])

    def test_ages_across_time_namespaces(self):
        if not works("unshare", "--time", "--monotonic", "1", "true"):
            self.skipTest("no time namespaces")
        for ahead in (100_000, -int(self.uptime() / 2)):
            enter = ["unshare", "--time", "--monotonic", str(ahead)]
            for of_holder, of_tool in ((enter, []), ([], enter), (enter, enter)):
                began = time.monotonic()
                with self.subTest(ahead=ahead, of_holder=of_holder, of_tool=of_tool), \
                        Holder(prefix=of_holder, WEIR_TRACE="1") as held:
                    time.sleep(0.3)
                    answer = run(*of_tool, holder.WEIR, "holders", held.pid, "--json", "--older", "300ms")
                    shown = json.loads(answer.stdout)
                    self.assertEqual(shown["loans"], held.loans + held.receivers)
                    self.assertLessEqual(shown["oldest_seconds"], time.monotonic() - began)

    def test_functions_across_mount_namespaces(self):
        """The process's program is another than what its path means here."""
        path = self.folder() / "program"
        shutil.copy(holder.program("WEIR_PROXY"), path)
        script = 'mount --bind "$1" "$2" && shift && exec "$@"'
        enter = ["unshare", "--mount", "sh", "-c", script, "sh", holder.HOLDER, path]
        with Holder(prefix=enter, program=[], WEIR_TRACE="1") as held:
            shown = numbers("holders", held.pid)
            self.assertTrue(any("HeldLoans" in name for name in functions(shown)), functions(shown))
            self.assertEqual(shown["unnamed"], {})

    def test_program_that_was_replaced(self):
        for tool_user in ([], AS_NOBODY):
            folder = self.folder()
            tool, path, new = (shutil.copy(source, folder / name) for source, name in (
                (holder.WEIR, "weir"), (holder.HOLDER, "program"), (holder.program("WEIR_PROXY"), "new")))
            with self.subTest(tool_user), Holder(prefix=[*tool_user, path], program=[], WEIR_TRACE="1") as held:
                os.rename(new, path)
                shown = json.loads(run(*tool_user, tool, "holders", held.pid, "--json").stdout)
                self.assertTrue(any("HeldLoans" in name for name in functions(shown)), functions(shown))
                self.assertEqual(shown["unnamed"], {})

    def test_library_that_was_replaced(self):
        """Only root may open what was mapped; others see where it was, and are told why."""
        folder = self.folder()
        library = pathlib.Path(run("ldconfig", "-p").stdout.split("libstdc++.so.6 (")[1].split("=> ")[1].split("\n")[0])
        tool, own, new = (shutil.copy(source, folder / name) for source, name in (
            (holder.WEIR, "weir"), (library, "libstdc++.so.6"), (library, "new")))
        path = shutil.copy(holder.HOLDER, folder / "program")
        enter = [*AS_NOBODY, "env", f"LD_LIBRARY_PATH={folder}", path]
        with Holder(prefix=enter, program=[], WEIR_TRACE="1") as held:
            os.rename(new, own)
            answer = run(*AS_NOBODY, tool, "holders", held.pid)
            self.assertEqual((answer.returncode, answer.stderr), (0, ""))
            self.assertRegex(answer.stdout, r"(?m)^    libstdc\+\+\.so\.6\+0x[0-9a-f]+$")
            self.assertIn("no names of libstdc++.so.6: it was replaced or removed while the process runs; "
                          f"try `sudo weir holders {held.pid}`\n", answer.stdout)
            self.assertIn("HeldLoans", answer.stdout)
            answer = weir("holders", held.pid)
            self.assertNotIn("no names", answer.stdout)

    def test_threads_in_a_container(self):
        """They are shown by the numbers that they have here. A metric names them by those that they have for themselves:
        these stay when a thread has ended, so that its series goes on."""
        enter = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with Holder(prefix=enter, WEIR_TRACE="1") as held:
            with open(f"/proc/{held.pid}/task/{held.pid}/children", encoding="ascii") as children:
                pid, = map(int, children.read().split())
            here = {int(path.name) for path in pathlib.Path(f"/proc/{pid}/task").iterdir()}
            for group in numbers("holders", pid)["holders"]:
                self.assertTrue(group["thread"] in here or group["tag"], group)
            for receiver in numbers("stat", pid)["receivers"]:
                self.assertEqual(receiver["thread"], pid)
            threads = re.findall(r'thread="(\d+)"', weir("export", pid).stdout)
            self.assertEqual(set(threads), {"1"})

    def test_proc_of_another_pid_namespace(self):
        with Holder() as held:
            answer = run("unshare", "--pid", "--fork", holder.WEIR, "watch", held.pid, "--count", "1")
            self.check_refused(answer, "/proc is of another PID namespace")

    def test_no_proc(self):
        script = 'mount -t tmpfs none /proc && exec "$@"'
        for arguments in (("stat",), ("stat", 1), ("ls",), ("env", 1), ("export",)):
            answer = run("unshare", "--mount", "sh", "-c", script, "sh", holder.WEIR, *arguments)
            self.check_refused(answer, "/proc is not", "mount -t proc proc /proc")


@unittest.skipUnless(os.geteuid() == 0, "only root may become an ordinary user")
class PermissionTest(Case):
    def setUp(self):
        self.home = self.folder()
        self.tool = shutil.copy(holder.WEIR, self.home)
        self.program = shutil.copy(holder.HOLDER, self.home)

    def weir(self, *arguments):
        return run(*AS_NOBODY, self.tool, *arguments)

    def check_says_who_may(self, *words, prefix=AS_NOBODY):
        with Holder(*words, prefix=[*prefix, self.program], program=[], WEIR_TRACE="1") as held:
            for command in READING:
                self.check_refused(self.weir(command, held.pid), "may not look into it", f"`sudo weir {command} {held.pid}`")
            listing = self.weir("ls")
            self.assertEqual((listing.returncode, listing.stderr), (0, ""))
            self.assertRegex(listing.stdout, r"(?m)^\d+ processes were left out, .*`sudo weir ls`$")
            self.assertNotIn(str(held.pid), listing.stdout)
            self.check_refused(self.weir("stat"), "may not look into", "`sudo weir stat`")
            with Terminal([*AS_NOBODY, self.tool, "top", held.pid]) as terminal:
                self.assertIn(f"sudo weir top {held.pid}", " ".join(terminal.until("ended 1", "refused").split()))

    def test_of_another_user(self):
        self.check_says_who_may(prefix=())

    def test_not_dumpable(self):
        self.check_says_who_may("undumpable")

    def test_file_capabilities(self):
        version_2_effective, net_bind_service = 0x02000001, 1 << 10
        try:
            os.setxattr(self.program, "security.capability",
                        struct.pack("<5I", version_2_effective, net_bind_service, 0, 0, 0))
        except OSError as error:
            self.skipTest(f"no file capabilities here: {error}")
        self.check_says_who_may()

    def test_more_capabilities_than_the_user(self):
        """Its files are listed, and not to be followed."""
        self.check_says_who_may(prefix=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                                        "--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"))

    def test_setuid(self):
        os.chown(self.program, 1, 1)
        os.chmod(self.program, 0o4755)
        self.check_says_who_may()

    def test_root_of_a_user_namespace(self):
        """For it, sudo would change nothing here."""
        enter = [*AS_NOBODY, "unshare", "--user", "--map-root-user"]
        if not works(*enter, "true"):
            self.skipTest("no user namespaces for ordinary users")
        with Holder() as held:
            answer = run(*enter, self.tool, "stat", held.pid)
            self.check_refused(answer, "root needs CAP_SYS_PTRACE", f"`sudo weir stat {held.pid}` outside of this container")

    def test_hidden_processes(self):
        script = 'mount -t proc -o "$1" proc /proc && shift && exec "$@"'
        for option in ("hidepid=1", "hidepid=2"):
            with self.subTest(option), Holder() as held:
                enter = ["unshare", "--mount", "sh", "-c", script, "sh", option, *AS_NOBODY, self.tool]
                self.check_refused(run(*enter, "stat", held.pid), f"hides process {held.pid}", f"`sudo weir stat {held.pid}`")
                self.check_refused(run(*enter, "env", held.pid), f"`sudo weir env {held.pid}`")
                self.check_refused(run(*enter, "stat"), "hidden by /proc", "`sudo weir stat`")
                self.assertIn("/proc hides processes of other users (hidepid): try `sudo weir ls`", run(*enter, "ls").stdout)
                self.check_refused(run(*enter, "stat", 4_000_000), "no process 4000000")


if __name__ == "__main__":
    unittest.main()
