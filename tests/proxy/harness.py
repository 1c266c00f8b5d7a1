"""What the proxy tests share: programs that always stop again, a proxy to test, and its numbers.

Everything that must be undone is a context manager, so that a test says self.enterContext(...) and
cannot forget. Children die with the test even when it is killed.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PATIENCE = 30  # seconds before something that should happen at once counts as not happening
FOLDER_PREFIX = "weir-proxy-test-"
HOLDERS = ("free", "cached", "user", "kernel_ring", "kernel_request")

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def program(variable):
    """Where this program is. The variable goes, for children would take it for an option of weir."""
    path = os.environ.pop(variable, None)
    if not path or not os.access(path, os.X_OK):
        sys.exit(f"{variable}={path or ''} is no program: build first, then set {variable}=build/bin/...")
    return os.path.abspath(path)


WEIR_PROXY = program("WEIR_PROXY")
WEIR_TOOL = program("WEIR_TOOL")
os.environ["WEIR_ALERTS"] = "off"  # what servers say is compared, and machines have more or less to alert of
STRATEGIES = ("ring", "direct", "poll_recv", "poll_first", "epoll")  # that differ most


def need(*names):
    """The paths of these programs; skips the test when one is not installed."""
    paths = [shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") for name in names]
    for name, path in zip(names, paths):
        if not path:
            raise unittest.SkipTest(f"{name} is not installed")
    return paths[0] if len(paths) == 1 else paths


def until(condition, what, seconds=PATIENCE):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what() if callable(what) else what}")
        time.sleep(0.02)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listens(port):
    """Whether a program listens on this IPv4 port; unlike a trial connection, asking disturbs nobody."""
    listening = "0A"
    rows = (line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(f":{port:04X}") and row[3] == listening for row in rows)


def run(command, text=True, timeout=60, **how):
    """The finished command, whatever its status."""
    return subprocess.run([str(part) for part in command], capture_output=True, text=text, timeout=timeout,
                          check=False, **how)


@contextlib.contextmanager
def temp_folder(user=None):
    path = pathlib.Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    try:
        if user:
            shutil.chown(path, user)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def unprivileged(name):
    """Whom to become for what must not run as root: `name` for root, nobody else (None) for others."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        raise unittest.SkipTest(f"there is no user {name} to run as") from None


def identity(user):
    """subprocess arguments that make a child this user."""
    if not user:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def launch(command, log, user=None, before_exec=None, env=None):
    def prepare():
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if before_exec:
            before_exec()

    return subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                            env={**os.environ, **(env or {})}, start_new_session=True, preexec_fn=prepare,
                            **identity(user))


def kill_group(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def server(command, ready, user=None, end=signal.SIGTERM):
    """A server process, from the moment ready() is true; `end` asks it to stop."""
    with tempfile.TemporaryFile() as log:
        process = launch(command, log, user)

        def check():
            if process.poll() is not None:
                log.seek(0)
                raise AssertionError(f"{command[0]} ended at once: {log.read().decode(errors='replace')}")
            return ready()

        try:
            until(check, f"{command[0]} is ready")
            yield process
        finally:
            process.send_signal(end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            kill_group(process)


class NotStarted(AssertionError):
    """A server ended instead of listening."""

    def __init__(self, name, status, said):
        super().__init__(f"{name} ended with {status}: {said}")
        self.status = status
        self.said = said


class Server:
    """A running server of ours. Leaving its context proves that it gave every buffer back and stops well."""

    def __init__(self, path, *options, listen="127.0.0.1:0", user=None, before_exec=None, env=None):
        self.name = os.path.basename(path)
        self._log = tempfile.TemporaryFile()
        command = [path, "--listen", listen, *options]
        self.process = launch(command, self._log, user, before_exec, env)
        self.pid = self.process.pid
        try:
            ready = until(self._listening, lambda: "listening; it said: " + self.said())
            self.host, self.port = ready[1].strip("[]"), int(ready[2])
        except BaseException:
            kill_group(self.process)
            raise

    def _listening(self):
        ready = re.search(rf"^{self.name}: listening on (\S+):(\d+)[, ]", self.said(), re.MULTILINE)
        if not ready and self.process.poll() is not None:
            raise NotStarted(self.name, self.process.returncode, self.said())
        return ready

    def said(self):
        """What it wrote so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def complaints(self):
        """The lines it wrote since it was ready."""
        lines = self.said().splitlines()
        ready = next(number for number, line in enumerate(lines) if ": listening on " in line)
        return lines[ready + 1:]

    def wait(self, seconds=PATIENCE):
        """Its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds} s; it said: {self.said()}") from None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.process.returncode is None:
                died = self.process.poll()
                assert died is None, f"{self.name} died of {died}; it said: {self.said()}"
                settled(self.pid)
                self.process.send_signal(signal.SIGTERM)
                status = self.wait()
                assert status == 0, f"{self.name} ended with {status}; it said: {self.said()}"
        finally:
            kill_group(self.process)
            self._log.close()


class Proxy(Server):
    """A running weir-proxy."""

    def __init__(self, upstream_port, *options, upstream="127.0.0.1", path=WEIR_PROXY, **how):
        super().__init__(path, "--upstream", f"{upstream}:{upstream_port}", *options, **how)


def ask_tool(*arguments):
    return run([WEIR_TOOL, *arguments])


def stat(pid):
    answer = ask_tool("stat", pid, "--json")
    assert answer.returncode == 0, f"weir stat {pid} ended with {answer.returncode}: {answer.stderr}"
    return json.loads(answer.stdout)


def levels(numbers):
    """Each place where the law must hold, as (name, counts)."""
    yield "process", numbers
    for pool in numbers["pools"]:
        yield f"pool {pool['name']}", pool
        for node in pool["nodes"]:
            yield f"node {node['node']}", node
            for size in node["classes"]:
                yield f"node {node['node']} class {size['bytes']}", size


def classes(numbers):
    return [size for pool in numbers["pools"] for node in pool["nodes"] for size in node["classes"]]


def faults(numbers, empty):
    """What contradicts the law or the claim that these holders hold nothing."""
    for name, counts in levels(numbers):
        held = {holder: counts[holder] for holder in HOLDERS}
        if counts["capacity"] != sum(held.values()) or min(held.values()) < 0:
            yield f"{name}: capacity {counts['capacity']} is not the sum of {held}"
        yield from (f"{name}: {counts[holder]} {holder}" for holder in empty if counts[holder])
    for key in ("capacity", *HOLDERS):
        if numbers[key] != sum(size[key] for size in classes(numbers)):
            yield f"{key}: the process says {numbers[key]}, its classes add up to something else"


def settled(pid, empty=("user", "kernel_request")):
    """The numbers once the law holds exactly and these holders are empty, as it must be when all is quiet."""
    last = []

    def quiet():
        numbers = stat(pid)
        last[:] = faults(numbers, empty)
        return None if last else numbers

    return until(quiet, lambda: "the law at rest: " + "; ".join(last), seconds=15)


def resident(pid):
    """Bytes of real memory, huge pages included (VmRSS leaves them out)."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return 1024 * sum(map(int, re.findall(r"^(?:VmRSS|HugetlbPages):\s+(\d+) kB", text, re.MULTILINE)))


def allow_files(count):
    """Raises this process's limit of open files, which children inherit; skips when it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
    except (ValueError, PermissionError):
        raise unittest.SkipTest(f"needs {count} open files, the limit is {hard} (ulimit -Hn)") from None


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


class Result(unittest.TextTestResult):
    """Takes SIGINT and SIGTERM as a failure of the running test, so that its clean-up happens, and ends."""

    def startTestRun(self):
        super().startTestRun()

        def stop(number, _):
            self.stop()
            raise Stopped(signal.Signals(number).name)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)


def main():
    """Runs the tests of the calling script. Exit: 0 passed, 1 failed or there is no such test, 77 all were skipped."""
    runner = unittest.TextTestRunner(verbosity=2, resultclass=Result)
    result = unittest.main(module="__main__", verbosity=2, testRunner=runner, exit=False).result
    if not result.wasSuccessful() or result.testsRun == 0:
        sys.exit(1)
    sys.exit(77 if result.skipped and len(result.skipped) >= result.testsRun else 0)
