#!/usr/bin/python3
"""Standard streams that nobody reads, that are full, or that are closed: no program dies of them, or waits for them."""

import contextlib
import os
import signal
import subprocess
import unittest

import harness
import wire

WEIR_ECHO = harness.program("WEIR_ECHO")
WEIR_LOAD = harness.program("WEIR_LOAD")
WEIR_PREDICT = harness.program("WEIR_PREDICT")
PRINTING = ((harness.WEIR_PROXY, "--help"), (WEIR_ECHO, "--version"), (WEIR_LOAD, "--help"), (WEIR_PREDICT, "--help"),
            (harness.WEIR_TOOL, "--help"), (harness.WEIR_TOOL, "env"), (harness.WEIR_TOOL, "map", "--svg", "-"))


def fill(pipe):
    """Until there is no room for a byte."""
    os.set_blocking(pipe, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while os.write(pipe, b"x" * size):
                pass
    os.set_blocking(pipe, True)


class Streams(unittest.TestCase):
    def setUp(self):
        self.upstream = self.enterContext(wire.Upstream())
        self.port = harness.free_port()
        self.host = "127.0.0.1"

    @contextlib.contextmanager
    def proxy(self, upstream_port, **how):
        """weir-proxy at our own port, for it cannot be read where it listens. It has to end well."""
        command = [harness.WEIR_PROXY, "--listen", f"127.0.0.1:{self.port}", "--upstream", f"127.0.0.1:{upstream_port}"]
        with subprocess.Popen(command, **how) as process:
            try:
                harness.until(lambda: harness.listens(self.port) or process.poll() is not None, "it listens")
                yield process
                self.assertIsNone(process.poll())
                process.terminate()
                self.assertEqual(process.wait(harness.PATIENCE), 0)
            finally:
                process.kill()

    def be_turned_away(self, times):
        for _ in range(times):
            with contextlib.suppress(ConnectionResetError), wire.connect(self) as client:
                self.assertEqual(wire.ending(client)[0], 0)

    def check_relays(self):
        with wire.relayed(self, self.upstream) as pair:
            wire.talk(*pair)

    def closed_upstream(self):
        """A port where nobody listens, until reopen()."""
        self.upstream.__exit__()
        return self.upstream.port

    def reopen(self):
        self.upstream = self.enterContext(wire.Upstream(port=self.upstream.port))

    def test_reader_of_standard_error_goes(self):
        reader, writer = os.pipe()
        with self.proxy(self.closed_upstream(), stderr=writer):
            os.close(reader)
            os.close(writer)
            self.be_turned_away(20)
            self.reopen()
            self.check_relays()

    def test_nobody_reads_standard_error(self):
        """A full pipe does not hold up data, nor the end; who reads again is told what was lost."""
        reader, writer = os.pipe()
        fill(writer)
        with self.proxy(self.closed_upstream(), stderr=writer):
            os.close(writer)
            self.be_turned_away(20)
            self.reopen()
            self.check_relays()
            os.read(reader, 1 << 20)
        with open(reader, encoding="utf-8") as rest:
            said = rest.read()
        self.assertRegex(said, r"(?s)weir-proxy: .* \(and [1-9]\d* lines before it, which nobody took\)\n.*buffers are back: yes")

    def test_full_standard_error(self):
        with open("/dev/full", "wb") as full, self.proxy(self.closed_upstream(), stderr=full):
            self.be_turned_away(20)
            self.reopen()
            self.check_relays()

    def test_streams_that_are_closed(self):
        """No connection gets the number of one of them, where lines would go."""
        with self.proxy(self.closed_upstream(), preexec_fn=lambda: os.closerange(0, 3)) as process:
            self.assertEqual({os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)}, {"/dev/null"})
            self.be_turned_away(20)
            self.reopen()
            self.check_relays()

    def printing(self):
        """Programs that print, one after another. Two of them need a process to look at."""
        with harness.Server(WEIR_ECHO) as echo:
            for path, *arguments in PRINTING:
                if "map" in arguments:
                    arguments.append(str(echo.pid))
                with self.subTest(program=os.path.basename(path), arguments=arguments):
                    yield [path, *arguments], {}
            load = [WEIR_LOAD, "--connect", f"127.0.0.1:{echo.port}", "--warm-up", "0", "--seconds", "0.1"]
            with self.subTest(program="weir-load"):
                yield load, {}
            with self.subTest(program="weir-predict"):
                yield [WEIR_PREDICT], {"input": "new 1\nnext 1\n"}

    def test_reader_of_output_goes(self):
        for command, how in self.printing():
            reader, writer = os.pipe()
            os.close(reader)
            with open(writer, "wb") as output:
                done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False,
                                      timeout=harness.PATIENCE, **how)
            self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, ""))

    def test_full_output(self):
        for command, how in self.printing():
            with open("/dev/full", "wb") as full:
                done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                                      timeout=harness.PATIENCE, **how)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"\Aweir[a-z-]*: cannot write[^\n]*: No space left on device\n\Z")

    def test_closed_output(self):
        for command, how in self.printing():
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=harness.PATIENCE,
                                  preexec_fn=lambda: os.close(1), **how)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"\Aweir[a-z-]*: cannot write[^\n]*: Bad file descriptor\n\Z")


if __name__ == "__main__":
    harness.main()
