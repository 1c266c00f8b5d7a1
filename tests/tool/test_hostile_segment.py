#!/usr/bin/python3
"""Whatever bytes a segment has, `weir stat` and `weir advise` end by themselves, with sense or with one clear line. SEED repeats a run."""
import contextlib
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import unittest

from holder import Holder, weir

SEED = int(os.environ.get("SEED", "2"))
ROUNDS = 300
WORD = struct.Struct("=Q")
COUNTS = ("capacity", "free", "cached", "user", "kernel_ring", "kernel_request")
TELLING = (0, 1, 255, 256, 2048, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 1)


HEADER = 24  # its first bytes say that it is a segment, and have tests of their own


def words_in_use(fd):
    """Offsets of the words that are not 0."""
    end = 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        data = os.pread(fd, end - start, start)
        yield from (start + at for at in range(0, len(data), WORD.size) if any(data[at:at + WORD.size]))


class HostileSegmentTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        path = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="weir-tool."))) / "segment"
        with Holder() as held:
            subprocess.run(["cp", "--sparse=always", held.segment_path(), path], check=True)
            with open(held.segment_path(), "rb", buffering=0) as segment:
                cls.records_end = os.lseek(segment.fileno(), 0, os.SEEK_HOLE)  # the first hole is among the magazines
        cls.fd = cls.enterClassContext(open(path, "r+b", buffering=0)).fileno()
        cls.path = path
        cls.used = [at for at in words_in_use(cls.fd) if at >= HEADER]

    def setUp(self):
        self.random = random.Random(SEED)

    @contextlib.contextmanager
    def overwritten(self, parts):
        """The file with {offset: data} in it, for a while."""
        before = {at: os.pread(self.fd, len(data), at) for at, data in parts.items()}
        try:
            for at, data in parts.items():
                os.pwrite(self.fd, data, at)
            yield
        finally:
            for at, data in before.items():
                os.pwrite(self.fd, data, at)

    def stat(self, what, *arguments):
        return self.shown("stat", what, *arguments)

    def shown(self, subcommand, what, *arguments):
        """What the subcommand prints. The file is a segment, so there is always something to print."""
        answer = weir(subcommand, "--segment", self.path, *arguments)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""), f"{what}, SEED={SEED}")
        self.assertNotRegex(answer.stdout, r"[^\n -~]", f"{what}, SEED={SEED}")
        return answer.stdout

    def check(self, what):
        self.stat(what)
        self.shown("advise", what)
        self.assertIn(json.loads(self.stat(what, "--json"))["law"], ("holds", "moving"))

    def value(self):
        return self.random.choice((self.random.choice(TELLING), self.random.getrandbits(64), self.random.getrandbits(8),
                                   self.random.choice(TELLING) << 32 & (1 << 64) - 1))

    def place(self):
        anywhere = self.random.randrange(HEADER, self.records_end, WORD.size)
        return self.random.choice((self.random.choice(self.used), anywhere))

    def test_changed_words(self):
        for number in range(ROUNDS):
            words = {self.place(): WORD.pack(self.value()) for _ in range(1 << self.random.randrange(10))}
            with self.overwritten(words):
                self.check(f"round {number}")

    def test_changed_header(self):
        for number in range(50):
            at = self.random.randrange(HEADER)
            with self.overwritten({at: self.random.randbytes(self.random.randrange(1, HEADER - at + 1))}):
                answer = weir("stat", "--segment", self.path)
                self.assertIn(answer.returncode, (0, 1), f"round {number}, SEED={SEED}: {answer.stderr}")
                self.assertRegex(answer.stderr, (r"\A\Z", r"\Aweir: [ -~]+\n\Z")[answer.returncode])

    def counts(self):
        """By place of the class, and what is said of the law there."""
        pools = json.loads(self.stat("counts", "--json"))["pools"]
        sizes = {(pool["name"], node["node"], size["bytes"], size["alignment"]): size for pool in pools for node in pool["nodes"]
                 for size in node["classes"]}
        return {place: ([size[name] for name in COUNTS], size["law"]) for place, size in sizes.items()}

    def test_each_false_count_is_noticed(self):
        true, falsified = self.counts(), 0
        for at in self.used:
            word, = WORD.unpack(os.pread(self.fd, WORD.size, at))
            with self.overwritten({at: WORD.pack((word + 1000) % (1 << 64))}):
                seen = self.counts()
            for place in true.keys() & seen.keys():
                changed = [name for name, now, then in zip(COUNTS, seen[place][0], true[place][0]) if now != then]
                if changed:
                    falsified += 1
                    # A buffer more in a thread's magazine is one less with its users: that alone no sum can tell.
                    if changed != ["cached", "user"]:
                        self.assertEqual(seen[place][1], "moving", f"word at {at}: {seen[place]}")
                    self.assertLess(max(seen[place][0]), 1 << 32, "a count below 0")
        self.assertGreater(falsified, 15)

    def test_all_the_same(self):
        """Every record is live, and every index the greatest there is."""
        for byte in (0x00, 0x01, 0x7f, 0xff):
            with self.overwritten({HEADER: bytes([byte]) * (self.records_end - HEADER)}):
                self.check(f"all bytes {byte}")

    def test_noise(self):
        for number in range(5):
            with self.overwritten({HEADER: self.random.randbytes(self.records_end - HEADER)}):
                self.check(f"noise {number}")


if __name__ == "__main__":
    unittest.main()
