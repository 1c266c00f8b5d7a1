#!/usr/bin/python3
"""`weir doctor` on this machine: what it says under limits that are set here, and that what it suggests works."""
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

import holder
from holder import Holder, weir

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "proxy"))
import no_io_uring

NOBODY = 65534
STATUS = {"ok": 0, "degraded": 3, "broken": 1}


def limited(what, soft, hard=None):
    return lambda: resource.setrlimit(what, (soft, hard or soft))


class Patient(unittest.TestCase):
    def doctor(self, *arguments, **how):
        """Its JSON and its text agree with its exit status and with each other."""
        answer = weir("doctor", "--json", *arguments, **how)
        self.assertIn(answer.returncode, STATUS.values(), answer.stderr)
        shown = json.loads(answer.stdout)
        self.assertEqual(answer.returncode, STATUS[shown["health"]], answer.stdout)
        self.assertRegex(answer.stderr, r"\A\Z" if answer.returncode == 0 else r"\Aweir: \d+ of \d+ findings [^\n]+\n\Z")
        for finding in shown["findings"]:
            self.assertTrue(finding["what"] and finding["fact"], finding)
            self.assertTrue(finding["meaning"] or finding["health"] == "ok", finding)
            self.assertTrue(not finding["fix"] or finding["health"] != "ok", finding)
        return shown

    def finding(self, shown, what):
        found, = [each for each in shown["findings"] if each["what"] == what]
        return found


class DoctorTest(Patient):
    def holds(self, variables):
        with Holder(**variables) as held:
            answer = weir("stat", held.pid, "--json")
            self.assertEqual(answer.returncode, 0, answer.stderr)
            return json.loads(answer.stdout)

    def test_what_it_suggests_works(self):
        for load in ("1", "1000,64", "300,16k", "200,100k"):
            shown = self.doctor("--load", load)
            variables = shown["plan"]["variables"]
            text = weir("doctor", "--load", load).stdout
            self.assertEqual(dict(re.findall(r"(?m)^export (\w+)=(\S+)$", text)), variables)
            pool, = self.holds(variables)["pools"]
            self.assertEqual(pool["mapped_bytes"], shown["plan"]["bytes"])
            self.assertEqual([ring["entries"] for ring in pool["rings"]],
                             [shown["plan"]["ring_entries"]] if "WEIR_RING_ENTRIES" in variables else [])
            if self.finding(shown, "huge pages, node 0")["health"] == "ok":
                self.assertEqual({arena["reason"] for arena in pool["arenas"]}, {""})

    def test_text_has_every_finding(self):
        shown = self.doctor()
        text = weir("doctor").stdout
        for finding in shown["findings"]:
            self.assertRegex(text, rf"(?m)^{finding['health']} +{re.escape(finding['what'])}: ")
            self.assertIn(finding["fix"], text)
        self.assertNotIn("\033", text)

    def test_more_memory_than_there_is(self):
        shown = self.doctor("--load", "16000000,1m")
        self.assertEqual(shown["health"], "broken")
        self.assertEqual(self.finding(shown, "memory, node 0")["health"], "broken")

    def test_few_files(self):
        shown = self.doctor(preexec_fn=limited(resource.RLIMIT_NOFILE, 256))
        finding = self.finding(shown, "open files")
        self.assertEqual(finding["health"], "broken")
        self.assertIn(f"ulimit -n {shown['plan']['files']}", finding["fix"])

    def test_little_address_space(self):
        shown = self.doctor(preexec_fn=limited(resource.RLIMIT_AS, 800 << 20))
        finding = self.finding(shown, "address space")
        self.assertEqual(finding["health"], "broken")
        self.assertIn("ulimit -v unlimited", finding["fix"])

    def test_small_files(self):
        shown = self.doctor(preexec_fn=limited(resource.RLIMIT_FSIZE, 1 << 20))
        finding = self.finding(shown, "size of files")
        self.assertEqual(finding["health"], "degraded")
        self.assertIn("ulimit -f unlimited", finding["fix"])

    def test_bad_loads(self):
        for load in ("", "x", "0", "-1", "10,", "10,0", "10,2g", "1,2,3", "99999999999", ",5"):
            answer = weir("doctor", "--load", load)
            self.assertEqual((answer.returncode, answer.stdout), (2, ""), load)
            self.assertRegex(answer.stderr, r"\Aweir: [^\n]+\n\Z")

    @unittest.skipUnless(no_io_uring.KNOWN, no_io_uring.UNKNOWN)
    def test_io_uring_that_is_forbidden(self):
        shown = self.doctor(preexec_fn=no_io_uring.forbid_io_uring)
        finding = self.finding(shown, "io_uring")
        self.assertEqual(finding["health"], "degraded")
        self.assertNotIn("WEIR_RING_ENTRIES", shown["plan"]["variables"])
        for call in no_io_uring.CALLS:
            forbid = functools.partial(no_io_uring.forbid_io_uring, calls=(call,))
            finding = self.finding(self.doctor(preexec_fn=forbid), "io_uring")
            self.assertEqual(finding["health"], "degraded")
            self.assertIn(f"{call} failed", finding["fact"])


@unittest.skipUnless(os.geteuid() == 0, "only root may become an ordinary user")
class OrdinaryUserTest(Patient):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="weir-tool.")))
        folder.chmod(0o755)
        self.user = {"path": shutil.copy(holder.WEIR, folder), "user": NOBODY, "group": NOBODY, "extra_groups": []}

    def test_few_threads(self):
        shown = self.doctor(**self.user, preexec_fn=limited(resource.RLIMIT_NPROC, 1))
        finding = self.finding(shown, "threads")
        self.assertEqual(finding["health"], "broken")
        self.assertRegex(finding["fact"], r"\A0 of 1 left to this user, ")
        enough = int(re.search(r"ulimit -u (\d+)", finding["fix"])[1]) + 100  # somebody else may begin something
        again = self.doctor(**self.user, preexec_fn=limited(resource.RLIMIT_NPROC, enough))
        self.assertEqual(self.finding(again, "threads")["health"], "ok")

    def test_little_memlock(self):
        # A user of its own: what another process of the user had locked counts for a while after its end.
        self.user["user"] = NOBODY - 1
        shown = self.doctor(**self.user, preexec_fn=limited(resource.RLIMIT_MEMLOCK, 65536))
        finding = self.finding(shown, "memlock")
        self.assertEqual(finding["health"], "degraded")
        needed = int(re.search(r"ulimit -l (\d+)", finding["fix"])[1]) * 1024
        again = self.doctor(**self.user, preexec_fn=limited(resource.RLIMIT_MEMLOCK, needed))
        self.assertEqual([self.finding(again, what)["health"] for what in ("memlock", "io_uring")], ["ok"] * 2)


if __name__ == "__main__":
    unittest.main()
