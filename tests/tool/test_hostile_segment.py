#!/usr/bin/python3
"""Whatever bytes a segment has, `weir` ends by itself, with sense or with one clear line. SEED repeats a run."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import unittest

import holder
from holder import Holder, data_of, weir
from segment_fields import Segment

SEED = int(os.environ.get("SEED", "2"))
ROUNDS = 200
NOBODY = 65534
# Every subcommand that reads a segment, asked so that it answers once. The next list is of those that may say of a
# file that is a segment that it has not what they need.
READERS = (("stat",), ("stat", "--json"), ("map",), ("map", "--json"), ("map", "--html", "/dev/stdout"),
           ("export", "--openmetrics"), ("advise",), ("advise", "--json"), ("holders",), ("holders", "--json"),
           ("watch", "--count", "1", "--interval", "10ms"))
MAY_REFUSE = {"map", "holders"}
WORD = struct.Struct("=Q")
COUNTS = ("capacity", "free", "cached", "user", "kernel_ring", "kernel_request")
TELLING = (0, 1, 255, 256, 2048, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 1)


HEADER = 24  # its first bytes say that it is a segment, and have tests of their own


def words_in_use(fd):
    """Offsets of the words that are not 0."""
    for start, end in data_of(fd):
        data = os.pread(fd, end - start, start)
        yield from (start + at for at in range(0, len(data), WORD.size) if any(data[at:at + WORD.size]))


def read_by(reader, file, **identity):
    return weir(reader[0], "--segment", file, *reader[1:], **identity)


class HostileTest(unittest.TestCase):
    """A copy of a segment, with the slab file behind it, as `path`."""

    @classmethod
    def setUpClass(cls):
        path = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="weir-tool."))) / "segment"
        with Holder() as held:
            held.save(path)
            with open(held.segment_path(), "rb", buffering=0) as segment:
                cls.records_end = os.lseek(segment.fileno(), 0, os.SEEK_HOLE)  # the first hole is among the magazines
        cls.fd = cls.enterClassContext(open(path, "r+b", buffering=0)).fileno()
        cls.path = path
        with contextlib.closing(Segment(path)) as segment:  # what describes the records is not read by `weir`
            cls.used = [at for at in words_in_use(cls.fd) if at >= HEADER and at not in segment.tables]

    def setUp(self):
        self.random = random.Random(SEED)

    def check_end(self, answer, what, may_refuse=True):
        """It ended by itself, with an answer that is fit to be seen, or with one line."""
        self.assertIn(answer.returncode, (0, 1) if may_refuse else (0,), f"{what}, SEED={SEED}: {answer.stderr}")
        self.assertRegex(answer.stderr, (r"\A\Z", r"\Aweir: [ -~]+\n\Z")[answer.returncode], f"{what}, SEED={SEED}")
        self.assertNotRegex(answer.stdout, r"[^\n -~]", f"{what}, SEED={SEED}")

    def check_all_readers(self, path, what):
        for reader in READERS:
            self.check_end(read_by(reader, path), f"{what}, {reader}")


class ChangedTest(HostileTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.path.unlink()  # as a process's own, which may change: a saved copy is not watched
        cls.path = f"/proc/{os.getpid()}/fd/{cls.fd}"

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

    def read(self, what, reader):
        """What it prints. The file is a segment, so there is something to print."""
        answer = read_by(reader, self.path)
        self.check_end(answer, f"{what}, {reader}", reader[0] in MAY_REFUSE)
        if "--json" in reader and answer.stdout:
            json.loads(answer.stdout)
        return answer.stdout

    def check(self, what, readers=READERS):
        for reader in readers:
            self.read(what, reader)

    def value(self):
        return self.random.choice((self.random.choice(TELLING), self.random.getrandbits(64), self.random.getrandbits(8),
                                   self.random.choice(TELLING) << 32 & (1 << 64) - 1))

    def place(self):
        anywhere = self.random.randrange(HEADER, self.records_end, WORD.size)
        return self.random.choice((self.random.choice(self.used), anywhere))

    def test_readers_are_all_there_are(self):
        """So that whoever adds a subcommand adds it above."""
        commands = re.findall(r"^  (\w+) +[A-Z]", weir("--help").stdout, re.MULTILINE)
        reading = {name for name in commands if "--segment" in weir(name, "--help").stdout}
        self.assertEqual(reading - {"top"}, {reader[0] for reader in READERS})  # top reads as watch does, on a terminal

    def test_changed_words(self):
        for number in range(ROUNDS):
            words = {self.place(): WORD.pack(self.value()) for _ in range(1 << self.random.randrange(10))}
            with self.overwritten(words):
                self.check(f"round {number}", self.random.sample(READERS, 3))

    def test_changed_header(self):
        for number in range(50):
            at = self.random.randrange(HEADER)
            with self.overwritten({at: self.random.randbytes(self.random.randrange(1, HEADER - at + 1))}):
                reader = self.random.choice(READERS)
                self.check_end(read_by(reader, self.path), f"round {number}, {reader}")

    def counts(self):
        """By place of the class, and what is said of the law there."""
        pools = json.loads(self.read("counts", ("stat", "--json")))["pools"]
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

    def test_while_it_is_read(self):
        """As in a process in the middle of traffic, but for the sense."""
        before = {at: os.pread(self.fd, WORD.size, at) for at in self.used}
        chosen = random.Random(SEED)

        def scribble():
            for at in chosen.choices(self.used, k=20):
                os.pwrite(self.fd, WORD.pack(chosen.choice(TELLING)), at)
            for at in chosen.choices(self.used, k=20):
                os.pwrite(self.fd, before[at], at)

        try:
            with repeated(scribble):
                for number in range(10):
                    self.check_all_readers(self.path, f"scribbled on, {number}")
        finally:
            for at, data in before.items():
                os.pwrite(self.fd, data, at)


@contextlib.contextmanager
def repeated(what):
    """Does it again and again in a thread, for a while."""
    stop = threading.Event()

    def run():
        while not stop.is_set():
            what()

    with concurrent.futures.ThreadPoolExecutor() as threads:
        running = threads.submit(run)
        try:
            yield
        finally:
            stop.set()
        running.result()


class OtherFileTest(HostileTest):
    """What is no whole segment, or not the reader's to read."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = os.path.getsize(cls.path)
        cls.segment_bytes, = WORD.unpack(os.pread(cls.fd, WORD.size, 16))
        cls.other = cls.path.with_name("other")

    def copy(self, to, size=None):
        subprocess.run(["cp", "--sparse=always", self.path, to], check=True)
        os.truncate(to, self.whole if size is None else size)

    def check_refused(self, answer, *words):
        self.assertEqual((answer.returncode, answer.stdout), (1, ""), answer.stderr)
        self.assertRegex(answer.stderr, r"\Aweir: [ -~]+\n\Z")
        for word in words:
            self.assertIn(word, answer.stderr)

    def test_cut_short(self):
        for size, word in ((0, "not a segment"), (20, "not a segment"), (4096, "cut short"),
                           (self.records_end // 2, "cut short"), (self.segment_bytes - 1, "cut short")):
            self.copy(self.other, size)
            for reader in READERS:
                self.check_refused(read_by(reader, self.other), word)
        for size in (0, 1, 40, 4096, self.whole - self.segment_bytes - 1):  # of the slab file
            self.copy(self.other, self.segment_bytes + size)
            self.check_all_readers(self.other, f"{size} bytes of slabs")
            self.check_refused(read_by(("map",), self.other), "no map of its slabs")

    def test_random_and_of_another_version(self):
        self.copy(self.other)
        with open(self.other, "r+b") as file:
            file.seek(8)
            file.write(struct.pack("=I", 1234567))
        for reader in READERS:
            self.check_refused(read_by(reader, self.other), "version 1234567", "release")
        self.other.write_bytes(self.random.randbytes(65536))
        for reader in READERS:
            self.check_refused(read_by(reader, self.other), "not a segment")

    def test_replaced_and_cut_while_it_is_read(self):
        """By another file of the same name, or by the same that is shorter now."""
        names = [self.path.with_name(f"candidate{number}") for number in range(3)]
        for name, size in zip(names, (self.whole, self.segment_bytes, 5000)):
            self.copy(name, size)
        chosen, link = random.Random(SEED), self.path.with_name("link")

        def replace():
            link.unlink(missing_ok=True)  # a name of the same file was not moved
            os.link(chosen.choice(names), link)
            os.replace(link, self.other)
            os.truncate(self.other, chosen.choice((self.records_end, self.segment_bytes, self.whole)))

        replace()
        with repeated(replace):
            for number in range(10):
                self.check_all_readers(self.other, f"replaced, {number}")

    def test_of_another_user(self):
        identity = {}
        if os.geteuid() == 0:
            self.path.parent.chmod(0o755)
            identity = {"path": shutil.copy(holder.WEIR, self.path.parent), "user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.copy(self.other)
        self.other.chmod(0o600 if identity else 0)
        with Holder() as held:
            pid = held.pid if identity else 1
            for reader in READERS:
                self.check_refused(read_by(reader, self.other, **identity), "Permission denied")
                self.check_refused(weir(reader[0], pid, *reader[1:], **identity), "may not look", "sudo")


if __name__ == "__main__":
    unittest.main()
