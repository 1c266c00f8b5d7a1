#!/usr/bin/python3
"""`weir map` shows every slab once, with who holds its buffers, and a browser shows what it draws."""
import collections
import fcntl
import html.parser
import json
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import tempfile
import termios
import unittest

import holder
from holder import Holder, weir

SHARES = ("free", "cached", "user_or_request", "kernel_ring")


def answer_of(*arguments):
    answer = weir(*arguments)
    assert (answer.returncode, answer.stderr) == (0, ""), f"weir {arguments}: {answer.returncode}, {answer.stderr}"
    return answer.stdout


def map_of(*arguments):
    return json.loads(answer_of("map", *arguments, "--json"))


def cells_of(layout):
    return [cell for pool in layout["pools"] for arena in pool["arenas"] for cell in arena["cells"]]


def slabs_of(layout):
    return [cell for cell in cells_of(layout) if cell["kind"] == "slab"]


def sums(rows):
    """By class, who has how many buffers."""
    total = collections.Counter()
    for row in rows:
        for share in SHARES:
            total[row.get("buffer_bytes", row["bytes"]), row["alignment"], share] += row[share]
    return +total


def stat_sums(pid):
    pools = json.loads(answer_of("stat", pid, "--json"))["pools"]
    classes = [size for pool in pools for node in pool["nodes"] for size in node["classes"]]
    return sums(size | {"user_or_request": size["user"] + size["kernel_request"]} for size in classes)


class MapTest(unittest.TestCase):
    def check_covers(self, layout):
        """The cells of an arena follow one another from its start to its end, and no buffer is counted twice."""
        for pool in layout["pools"]:
            self.assertTrue(pool["arenas"])
            for arena in pool["arenas"]:
                at = int(arena["address"], 16)
                for cell in arena["cells"]:
                    self.assertEqual(int(cell["address"], 16), at)
                    at += cell["bytes"]
                self.assertEqual(at, int(arena["address"], 16) + arena["bytes"])
        for slab in slabs_of(layout):
            self.assertEqual(slab["buffers"], sum(slab[share] for share in SHARES))
            self.assertLessEqual(slab["buffers"] * slab["buffer_bytes"], slab["bytes"])

    def check_refused(self, answer, status, *words):
        self.assertEqual((answer.returncode, answer.stdout), (status, ""), answer.stderr)
        self.assertRegex(answer.stderr, r"\Aweir: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, answer.stderr)


class SumsTest(MapTest):
    def test_are_those_of_stat(self):
        with Holder() as held:
            while_lent = map_of(held.pid)
            self.check_covers(while_lent)
            self.assertEqual(sums(slabs_of(while_lent)), stat_sums(held.pid))
            self.assertEqual(sums(while_lent["pools"][0]["classes"]), stat_sums(held.pid))
            lent = sum(slab["user_or_request"] for slab in slabs_of(while_lent))
            self.assertEqual(lent, held.loans + held.receivers)
            if held.receivers:
                self.assertEqual(sum(slab["kernel_ring"] for slab in slabs_of(while_lent)), 8)
                self.assertIn("ring_entries", {cell["kind"] for cell in cells_of(while_lent)})
            held.drop()
            dropped = map_of(held.pid)
            self.assertEqual(sums(slabs_of(dropped)), stat_sums(held.pid))
            self.assertEqual(sum(slab["user_or_request"] for slab in slabs_of(dropped)), 0)

    def test_while_buffers_move(self):
        with Holder("busy") as held:
            for _ in range(20):
                self.check_covers(map_of(held.pid))

    def test_saved_for_later(self):
        with tempfile.TemporaryDirectory(prefix="weir-tool.") as folder, Holder() as held:
            path = pathlib.Path(folder) / "saved"
            held.save(path)
            self.assertEqual(map_of("--segment", path), map_of(held.pid))
            subprocess.run(["cp", "--sparse=always", held.segment_path(), path], check=True)
            self.check_refused(weir("map", "--segment", path), 1, "no map of its slabs", "PID")
            self.check_refused(weir("map", "--segment", held.segment_path()), 1, "give a PID")


class TextTest(MapTest):
    @classmethod
    def setUpClass(cls):
        cls.held = cls.enterClassContext(Holder())

    def on_terminal(self, columns, **environment):
        ours, its = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as screen:
            fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("=4H", 50, columns, 0, 0))
            subprocess.run([holder.WEIR, "map", str(self.held.pid)], stdout=its, check=True, timeout=holder.PATIENCE,
                           env=holder.environment(TERM="xterm-256color") | environment)
            os.close(its)
            text = b""
            try:
                while part := screen.read(65536):
                    text += part
            except OSError:  # at the end of a terminal's output
                pass
        return text.decode().replace("\r\n", "\n")

    def lines_of_cells(self, text):
        return text[text.index("node "):text.index("buffer ")].splitlines()[1:]

    def pairs(self, text):
        return re.findall(r"(?<= )[a-z][.curCUR](?= |$)", "\n".join(self.lines_of_cells(text)), re.MULTILINE)

    def test_a_pair_of_letters_for_each_slab(self):
        text = answer_of("map", self.held.pid)
        layout = map_of(self.held.pid)
        self.assertNotRegex(text, r"[^\n -~]")
        self.assertEqual(len(self.pairs(text)), len(slabs_of(layout)))
        for size in layout["pools"][0]["classes"]:
            line, = re.findall(rf"^ +[a-z] +{size['bytes'] if size['bytes'] < 1024 else size['bytes'] // 1024} .*$",
                               text, re.MULTILINE)
            self.assertEqual([int(number) for number in line.split()[-4:]], [size[share] for share in SHARES])
        for word in ("cached", "user or request", "free]"):
            self.assertIn(word, text)

    def test_wraps_and_has_colours_on_a_terminal(self):
        coloured = self.on_terminal(40)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
        self.assertLessEqual(max(map(len, self.lines_of_cells(plain))), 40)
        self.assertEqual(len(self.pairs(plain)), len(slabs_of(map_of(self.held.pid))))
        self.assertIn("\x1b[38;5;16;48;5;", coloured)
        for plain_terminal in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\x1b[", self.on_terminal(40, **plain_terminal))


class Page(html.parser.HTMLParser):
    """The titles of the cells, and what a browser would have to fetch."""

    def __init__(self, text):
        super().__init__()
        self.titles, self.fetched, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.inside.append((tag, attributes.get("class") or ""))
        self.fetched += [value for name, value in attributes.items() if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if len(self.inside) > 1 and self.inside[-1][0] == "title" and self.inside[-2][1].startswith("cell "):
            self.titles.append((self.inside[-2][1], data))


class FileTest(MapTest):
    """Nothing is lost by drawing into a file."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="weir-tool.")))
        self.held = self.enterContext(Holder())

    def test_only_a_drawing_is_overwritten(self):
        for option in ("--svg", "--html"):
            drawing = self.folder / option
            for before in (None, "", "once more"):
                if before == "":
                    drawing.write_text(before)
                self.assertEqual(answer_of("map", self.held.pid, option, drawing), "")
                self.assertIn("<svg ", drawing.read_text())
                if before is None:
                    drawing.unlink()
            other, link = self.folder / "other", self.folder / "link"
            other.write_text("precious")
            link.unlink(missing_ok=True)
            link.symlink_to(other)
            for path in (other, link):
                self.check_refused(weir("map", self.held.pid, option, path), 1, "cannot write", "no drawing")
            self.assertEqual(other.read_text(), "precious")

    def test_never_what_it_reads(self):
        saved = self.folder / "saved"
        self.held.save(saved)
        before = saved.read_bytes()[:4096]
        self.check_refused(weir("map", "--segment", saved, "--svg", saved), 1, "cannot write", "no drawing")
        self.assertEqual(saved.read_bytes()[:4096], before)

    def test_standard_output(self):
        for path in ("-", "/dev/stdout"):
            answer = weir("map", self.held.pid, "--svg", path, cwd=self.folder)
            self.assertEqual((answer.returncode, answer.stderr), (0, ""))
            self.assertTrue(answer.stdout.startswith("<!-- drawn by weir map -->\n<svg "))
        self.assertEqual(os.listdir(self.folder), [])


class PictureTest(MapTest):
    @classmethod
    def setUpClass(cls):
        cls.browser = shutil.which("chromium")
        if not cls.browser:
            raise unittest.SkipTest("there is no browser: apt-get install chromium")
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="weir-tool.")))
        with Holder() as held:
            cls.layout = map_of(held.pid)
            answer_of("map", held.pid, "--svg", cls.folder / "map.svg", "--html", cls.folder / "map.html")

    def shown(self, name):
        """What the browser made of the file, as it writes it out again."""
        answer = subprocess.run([self.browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
                                 f"--user-data-dir={self.folder}/profile", f"file://{self.folder}/{name}"],
                                capture_output=True, text=True, timeout=holder.PATIENCE, check=True)
        return Page(answer.stdout)

    def test_shows_every_cell_and_tells_of_it_on_hover(self):
        for name in ("map.svg", "map.html"):
            with self.subTest(name):
                page = self.shown(name)
                self.assertEqual(page.fetched, [])
                self.assertEqual(len(page.titles), len(cells_of(self.layout)))
                for (kind, title), cell in zip(page.titles, cells_of(self.layout)):
                    self.assertEqual(kind, "cell " + {"ring_entries": "entries"}.get(cell["kind"], cell["kind"]))
                    self.assertTrue(title.startswith(cell["address"] + ": "), title)
                    if cell["kind"] == "slab":
                        numbers = [cell[share] for share in SHARES]
                        said = re.findall(r"(\d+) (?:free|cached|user or request|ring)\b", title)
                        self.assertEqual([int(number) for number in said], numbers, title)

    def test_a_picture_that_cannot_be_written(self):
        with Holder() as held:
            self.check_refused(weir("map", held.pid, "--svg", self.folder / "none" / "x.svg"), 1, "cannot write",
                               "No such file")
            self.check_refused(weir("map", held.pid, "--html", "/dev/full"), 1, "cannot write", "No space left")


if __name__ == "__main__":
    unittest.main()
