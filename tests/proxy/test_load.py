#!/usr/bin/python3
"""weir-load (the variable WEIR_LOAD names it) beside weir-echo, and beside servers that lose, double, change or end."""

import json
import os
import signal
import socket
import subprocess
import threading
import unittest

import harness

WEIR_ECHO = harness.program("WEIR_ECHO")
WEIR_LOAD = harness.program("WEIR_LOAD")


def load(port, *arguments, **how):
    return harness.run([WEIR_LOAD, "--connect", f"127.0.0.1:{port}", "--warm-up", "0.1", *arguments], **how)


class LyingServer:
    """Echoes through `lie(data, received)`, the bytes received before; None closes the connection."""

    def __init__(self, lie):
        self.lie = lie
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.echo, args=(client,), daemon=True).start()

    def echo(self, client):
        received = 0
        with client:
            while data := client.recv(65536):
                answer = self.lie(data, received)
                received += len(data)
                if answer is None:
                    return
                try:
                    client.sendall(answer)
                except OSError:
                    return


class LoadTest(unittest.TestCase):
    def test_all_kinds_of_connections_at_once(self):
        with harness.Server(WEIR_ECHO) as echo:
            done = load(echo.port, "--connections", "20", "--idle", "100", "--slow", "2", "--wake-every", "0.2",
                        "--size", "64,4k,100000", "--seconds", "1", "--server", echo.pid, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual(result["sizes"], [64, 4096, 100000])
        self.assertGreater(result["messages"], 0)
        self.assertGreater(len(result["wakes_ms"]), 1)
        latency = result["latency_us"]
        self.assertTrue(0 < latency["p50"] <= latency["p99"] <= latency["p99.9"] <= latency["longest"])
        self.assertGreater(result["server"]["cpu_us"], 0)
        self.assertGreaterEqual(result["server"]["most_bytes"], result["server"]["bytes_after"])

    def test_what_is_not_an_echo_is_told(self):
        lies = {
            "changed": lambda data, received: bytes([data[0] ^ 1]) + data[1:] if received > 5000 else data,
            "lost": lambda data, received: data[1:] if received > 5000 else data,
            "doubled": lambda data, received: data + data[:1],
        }
        for name, lie in lies.items():
            with self.subTest(name), LyingServer(lie) as server:
                done = load(server.port, "--connections", "2", "--size", "1000", "--seconds", "2")
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertRegex(done.stderr, r"^weir-load: connection \d: byte \d+ is not what was sent")

    def test_an_end_is_told(self):
        with LyingServer(lambda data, received: None if received > 5000 else data) as server:
            done = load(server.port, "--connections", "1", "--size", "1000", "--seconds", "2")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"connection 0: the server closed it after \d+ of \d+ bytes")

    def test_nobody_listens_there(self):
        done = load(harness.free_port(), "--seconds", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Connection refused: is the server running there?", done.stderr)

    def test_wrong_use(self):
        wrong = [["--size", "0"], ["--size", "5m"], ["--seconds", "0"], ["--no-such"]]
        for option in ("--connections", "--idle", "--slow", "--warm-up", "--wake-every", "--seconds", "--spin", "--server",
                       "--size"):
            wrong += [[option, value] for value in ("nan", "inf", "-5", "1e300", "99999999999999999999", "", "x", "a\nb")]
        for arguments in wrong:
            with self.subTest(arguments):
                done = load(1, *arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertRegex(done.stderr, rf"\Aweir-load: [^\n]*{arguments[0]}[^\n]*\n\Z")

    def test_an_interrupt_ends_it_with_what_was_seen(self):
        with harness.Server(WEIR_ECHO) as echo:
            command = [WEIR_LOAD, "--connect", f"127.0.0.1:{echo.port}", "--warm-up", "0"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                harness.until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) > 40, "connections")
                process.send_signal(signal.SIGINT)
                said = process.communicate(timeout=harness.PATIENCE)[0]
        self.assertEqual(process.returncode, 130)
        self.assertIn("every byte right", said)


if __name__ == "__main__":
    harness.main()
