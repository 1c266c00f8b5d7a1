#!/usr/bin/python3
"""A process's alerts arrive: on standard error, or at journald, which is this test in a mount namespace of its own."""
import os
import pathlib
import socket
import subprocess
import sys
import unittest

import holder

JOURNAL = "/run/systemd/journal/socket"
INSIDE = "inside"
ENTER = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--mount"]
# No page of 1 GiB is in 16 MiB.
DEGRADED = holder.environment(WEIR_BYTES="16m", WEIR_PAGES="1g", WEIR_RING_ENTRIES="16")


def alert(how):
    """What a process whose memory is degraded writes to standard error."""
    answer = subprocess.run([holder.HOLDER], input="", capture_output=True, text=True, timeout=holder.PATIENCE, check=True,
                            env=DEGRADED | {"WEIR_ALERTS": how})
    return answer.stderr


def be_journald():
    """Prints the first entry that the process sends, and what it writes to standard error."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    pathlib.Path(JOURNAL).parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(JOURNAL)
        journal.settimeout(holder.PATIENCE)
        said = alert("journald")
        sys.stdout.write(journal.recv(65536).decode("ascii"))
        sys.stderr.write(said)


def namespace(*command):
    return subprocess.run([*ENTER, *command], capture_output=True, text=True, timeout=2 * holder.PATIENCE, check=False)


class AlertsTest(unittest.TestCase):
    def test_standard_error(self):
        self.assertRegex(alert("stderr"), r'\Aweir: alert kind=degraded pool="held" suppressed=0 message="16 MiB on node \d+ '
                         r'are less than was asked for: [^\n]*1 GiB[^\n]*"\n\Z')

    def test_off(self):
        self.assertEqual(alert("off"), "")

    def test_journald(self):
        trial = namespace("mount", "-t", "tmpfs", "none", "/run")
        if trial.returncode != 0:
            self.skipTest(f"no mount namespace: {trial.stderr.strip()}")
        answer = namespace(sys.executable, "-B", __file__, INSIDE)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))
        fields = dict(line.split("=", 1) for line in answer.stdout.splitlines())
        self.assertRegex(fields.pop("MESSAGE"), "16 MiB on node .* 1 GiB")
        self.assertEqual(fields, {"PRIORITY": "4", "SYSLOG_IDENTIFIER": "weir-test-holder", "WEIR_KIND": "degraded",
                                  "WEIR_POOL": "held", "WEIR_SUPPRESSED": "0"})

    def test_without_journald(self):
        trial = namespace("mount", "-t", "tmpfs", "none", "/run")
        if trial.returncode != 0:
            self.skipTest(f"no mount namespace: {trial.stderr.strip()}")
        command = f'mount -t tmpfs none /run && exec "{holder.HOLDER}" </dev/null'
        answer = subprocess.run([*ENTER, "sh", "-c", command], capture_output=True, text=True, timeout=holder.PATIENCE,
                                check=False, env=DEGRADED | {"WEIR_ALERTS": "journald"})
        self.assertEqual(answer.returncode, 0)
        self.assertTrue(answer.stderr.startswith('weir: alert kind=degraded pool="held" '), answer.stderr)


if __name__ == "__main__":
    if sys.argv[1:] == [INSIDE]:
        be_journald()
    else:
        unittest.main()
