#!/usr/bin/python3
"""Runs the workloads of all allocators in turns, and writes what came out. Started by bench/run."""
import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

import goals
import machine
import peers
import plot
import progress
import table

FULL = {"turns": 7, "milliseconds": 10, "memory turns": 3}
QUICK = {"turns": 3, "milliseconds": 3, "memory turns": 1}
COUNTED = (10_000, 30_000)  # pairs; the difference leaves out what start and end cost
LIMIT = 300  # seconds for one program
FLOOR_JOBS = ("time", "set-up")


class Failed(Exception):
    """One line for the user."""


def run(peer, *arguments, command=None):
    command = [*(command or peer.command), *map(str, arguments)]
    done = subprocess.run(command, env=peer.environ(), capture_output=True, text=True, timeout=LIMIT, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise Failed(f"{peer.name} failed (status {done.returncode}) in {' '.join(command)}: {said}")
    return done


def results_of(done):
    lines = (line.split() for line in done.stdout.splitlines())
    return {words[0]: float(words[1]) for words in lines if len(words) == 2}


def in_turns(found, plan, failures):
    """Everything measured: {peer: {workload: [value, ...]}}. Peers take turns, so that what disturbs one disturbs all;
    each turn begins with another."""
    values = {peer.name: {} for peer in found}
    jobs = [("time", plan["milliseconds"], plan["turns"]), ("set-up", None, plan["turns"]),
            ("resident", None, plan["memory turns"]), ("same-size", None, plan["memory turns"])]
    steps = progress.Progress(sum(turns for _, _, turns in jobs) * len(found))
    for job, number, turns in jobs:
        for turn in range(turns):
            for i in range(len(found)):
                peer = found[(turn + i) % len(found)]
                steps.step(f"{job}, turn {turn + 1} of {turns}: {peer.name}", i == 0)
                if job not in FLOOR_JOBS and not peer.complete:
                    continue
                try:
                    measured = results_of(run(peer, job, *([number] if number else [])))
                except Failed as failure:
                    if peer.name == "weir":
                        raise
                    failures[peer.name] = str(failure)
                    continue
                for workload, value in measured.items():
                    values[peer.name].setdefault(workload, []).append(value)
    steps.end()
    return values


def instructions(peer, pairs, folder):
    """Instructions of one pair, by callgrind."""
    counted = []
    for count in COUNTED:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out",
                   *(peer.counted or peer.command)]
        done = run(peer, pairs, count, command=command)
        counted.append(int(re.search(r"Collected : (\d+)", done.stderr)[1]))
    return round((counted[1] - counted[0]) / (COUNTED[1] - COUNTED[0]), 1)


def count_instructions(found, values, folder, failures):
    if not shutil.which("valgrind"):
        failures["instructions"] = "valgrind is not installed"
        return
    for peer in filter(lambda each: each.complete, found):
        kinds = ["pair", "varying"] + (["lane"] if peer.lanes else [])
        for pairs in kinds:
            print(f"counting instructions: {peer.name}, {pairs}", flush=True)
            try:
                values[peer.name][f"instructions/{pairs}"] = [instructions(peer, pairs, folder)]
            except Failed as failure:
                failures[f"{peer.name}, {pairs}"] = str(failure)
                break


def judged(medians):
    """Each goal with weir's value and whether it is met."""
    return [{"workload": workload, "goal": goal.text(), "value": value, **goal.judge(workload, medians)}
            for workload, value in medians["weir"].items() for goal in goals.goals_of(workload)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument("programs", type=pathlib.Path, help="folder of the bench-* programs")
    parser.add_argument("output", type=pathlib.Path, help="folder for results.json, results.md and results.svg")
    return parser.parse_args()


def main():
    options = arguments()
    plan = QUICK if options.quick else FULL
    found, missing = peers.find(options.programs)
    if missing:
        print(f"left out, for they are not installed: {', '.join(missing)}")
    failures, load = {}, os.getloadavg()[0]
    values = in_turns(found, plan, failures)
    count_instructions(found, values, options.programs, failures)
    medians = {name: {workload: statistics.median(each) for workload, each in measured.items()}
               for name, measured in values.items()}
    results = {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(options.programs.parent),
        "load": {"before": load, "after": os.getloadavg()[0]},
        "plan": plan,
        "peers": {peer.name: peer.about for peer in found},
        "missing": missing,
        "failures": failures,
        "goals": judged(medians),
        "medians": medians,
        "values": values,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    text = table.markdown(results)
    for name, content in (("results.json", json.dumps(results, indent=1) + "\n"), ("results.md", text),
                          ("results.svg", plot.svg(results))):
        (options.output / name).write_text(content, encoding="utf-8")
    print(text)
    print(f"written to {options.output}: results.json, results.md, results.svg")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (Failed, subprocess.TimeoutExpired) as failed:
        print(f"bench/run: {failed}", file=sys.stderr)
        sys.exit(1)
