#!/usr/bin/python3
"""redis-cli and redis-benchmark against redis-server through the proxy."""

import hashlib
import re
import signal
import subprocess
import unittest

import harness
import wire

SIZES = (0, 1, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20, 10_000_000)


class Redis(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        binary, cls.cli_path, cls.bench_path = harness.need("redis-server", "redis-cli", "redis-benchmark")
        folder = cls.enterClassContext(harness.temp_folder())
        cls.server_port = harness.free_port()
        command = [binary, "--port", cls.server_port, "--bind", "127.0.0.1", "--dir", folder, "--save", "",
                   "--appendonly", "no", "--daemonize", "no"]
        cls.enterClassContext(harness.server(command, lambda: harness.listens(cls.server_port)))
        cls.proxy = cls.enterClassContext(harness.Proxy(cls.server_port, "--threads", "2"))

    def cli(self, *arguments, port=None, data=None):
        command = [self.cli_path, "-h", "127.0.0.1", "-p", port or self.proxy.port, *arguments]
        answer = harness.run(command, input=data, text=False)
        self.assertEqual((answer.returncode, answer.stderr), (0, b""), arguments)
        return answer.stdout

    def test_ping(self):
        self.assertEqual(self.cli("PING"), b"PONG\n")

    def test_binary_values(self):
        for seed, size in enumerate(SIZES):
            with self.subTest(size=size):
                value = wire.content(size, seed)
                self.assertEqual(self.cli("-x", "SET", "value", data=value), b"OK\n")
                sha1 = "return redis.sha1hex(redis.call('get', KEYS[1]))"
                stored = self.cli("EVAL", sha1, "1", "value", port=self.server_port).decode().strip()
                self.assertEqual(stored, hashlib.sha1(value).hexdigest(), "on the way in")
                returned = self.cli("--raw", "GET", "value")
                self.assertEqual(returned[-1:], b"\n")
                self.assertEqual(wire.digest(returned[:-1]), wire.digest(value), "on the way out")

    def test_pipelining(self):
        count = 100_000
        command = b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$6\r\n%06d\r\n"
        answer = self.cli("--pipe", data=b"".join(command % (n, count - n) for n in range(count)))
        self.assertIn(b"errors: 0, replies: %d\n" % count, answer)
        for number in (0, count // 2, count - 1):
            self.assertEqual(self.cli("GET", f"{number:06d}"), b"%06d\n" % (count - number))

    def test_pub_sub(self):
        command = [self.cli_path, "-p", str(self.proxy.port), "SUBSCRIBE", "news"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as subscriber:
            try:
                self.assertEqual([subscriber.stdout.readline() for _ in range(3)],
                                 [b"subscribe\n", b"news\n", b"1\n"])
                for number in range(50):
                    self.assertEqual(self.cli("PUBLISH", "news", f"item {number}"), b"1\n")
                    self.assertEqual([subscriber.stdout.readline() for _ in range(3)],
                                     [b"message\n", b"news\n", b"item %d\n" % number])
            finally:
                subscriber.send_signal(signal.SIGKILL)

    def test_benchmark(self):
        for load in (["-n", "100000", "-c", "50", "-d", "100"],
                     ["-n", "100000", "-c", "50", "-d", "100", "-P", "16"],
                     ["-n", "4000", "-c", "20", "-d", "65536"]):
            with self.subTest(load=load):
                answer = harness.run([self.bench_path, "-h", "127.0.0.1", "-p", self.proxy.port, "-q",
                                      "-t", "set,get", *load])
                output = answer.stdout + answer.stderr
                self.assertEqual(answer.returncode, 0, output)
                self.assertNotRegex(output, re.compile("err|fail|closed|refused", re.IGNORECASE))
                for test in ("SET", "GET"):
                    self.assertRegex(output, rf"{test}: [\d.]+ requests per second")


if __name__ == "__main__":
    harness.main()
