#!/usr/bin/python3
"""Every probe is in the programs, and a tracer sees loans by them."""
import collections
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

import holder

PROXY = holder.program("WEIR_PROXY")
SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "loans.bt"
COUNT = "".join(f"usdt:{holder.HOLDER}:weir:{name} {{ @{name} = count(); }} " for name in ("lend", "claim", "drop"))
ARGUMENTS = {"lend": 2, "drop": 1, "provide": 3, "claim": 2, "park": 2, "reclaim": 2}


def probes(program):
    """How many arguments each place of a probe has, by its name."""
    notes = subprocess.run(["readelf", "--notes", program], capture_output=True, text=True, check=True).stdout
    places = collections.defaultdict(set)
    for name, arguments in re.findall(r"Provider: weir\n +Name: (\w+)\n.*\n +Arguments: (.*)", notes):
        places[name].add(len(re.findall(r"-?\d@", arguments)))
    return dict(places)


def can_trace(test):
    test = unittest.skipUnless(shutil.which("bpftrace"), "bpftrace is not installed")(test)
    return unittest.skipUnless(os.geteuid() == 0, "only root may trace")(test)


class ProbesTest(unittest.TestCase):
    def test_are_in_the_programs(self):
        for program in (PROXY, holder.HOLDER):
            self.assertEqual(probes(program), {name: {count} for name, count in ARGUMENTS.items()}, program)

    @can_trace
    def test_fire_once_each(self):
        """Whatever was lent or claimed was dropped by the end, from fast paths and slow ones."""
        with subprocess.Popen(["bpftrace", "-B", "line", "-c", f"{holder.HOLDER} busy", "-e", COUNT], text=True,
                              env=holder.held_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as tracer:
            first = next((line for line in tracer.stdout if line.startswith("ready")), "")
            time.sleep(0.5)
            said = tracer.communicate("\n", timeout=holder.PATIENCE)[0]
        if not first:
            self.skipTest(f"bpftrace does not work here: {said.strip() or 'it started nothing'}")
        counts = {name: int(count) for name, count in re.findall(r"(?m)^@(\w+): (\d+)$", said)}
        held = int(first.split()[1])
        self.assertGreater(counts["lend"], 100 * held)
        self.assertEqual(counts["lend"] + counts.get("claim", 0), counts["drop"])

    @can_trace
    def test_example_script(self):
        with holder.Holder("busy") as held:
            tracer = subprocess.Popen(["bpftrace", "-B", "line", "-p", str(held.pid), str(SCRIPT)], stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
            first = next((line for line in tracer.stdout if line.startswith("Attaching")), "")
            time.sleep(2)  # it attaches by and by
            tracer.send_signal(signal.SIGINT)
            said = tracer.communicate(timeout=holder.PATIENCE)[0]
        if not first:
            self.skipTest(f"bpftrace does not work here: {said.strip() or 'it attached nothing'}")
        self.assertRegex(said, r"(?m)^@lifetime_us\[4096\]: *$")
        self.assertNotIn("@since", said)


if __name__ == "__main__":
    unittest.main()
