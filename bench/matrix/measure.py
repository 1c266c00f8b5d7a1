#!/usr/bin/python3
"""Puts the servers to the cases, in turns, and writes what came out. Started by bench/receive."""
import argparse
import datetime
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent), str(HERE.parent.parent / "tools" / "lib")]

import cases
import chart
import figures
import kernel
import live
import machine
import page
import progress
import servers
import wanted

FULL = {"rounds": 3, "seconds": 0.75, "warm_up": 0.25, "idle": 10_000, "relayed_idle": 3800, "wakes": 5,
        "pairs": 25}
QUICK = {"rounds": 1, "seconds": 0.2, "warm_up": 0.1, "idle": 1000, "relayed_idle": 300, "wakes": 2, "pairs": 1}


def file_limit():
    """Raised as far as this user may, for the clients of our own."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def in_turns(bench, rows, chosen, rounds):
    """{row: {case: [figures of a round, ...]}}, and what failed. All rows of a case take turns, so that what disturbs
    one disturbs all; each round begins with another."""
    values, failures = {row.name: {} for row in rows}, []
    jobs = [(turn, case, [row for row in rows if not case.rows or row.name in case.rows])
            for turn in range(rounds) for case in chosen if turn < case.rounds]
    steps = progress.Progress(sum(len(measured) for _, _, measured in jobs))
    for turn, case, measured in jobs:
        for i in range(len(measured)):
            row = measured[(turn + i) % len(measured)]
            steps.step(f"round {turn + 1} of {rounds}, {case.name}: {row.name}", i == 0)
            try:
                took = case.measure(bench, row, case)
            except (live.Failed, OSError, subprocess.TimeoutExpired) as failure:
                took = {}
                failures.append((row.name, case.name, str(failure)))
            values[row.name].setdefault(case.name, []).append(took)
    steps.end()
    return values, failures


def middle(each):
    return each[0] if isinstance(each[0], str) else statistics.median(each)


def medians_of(values):
    return {row: {case: {name: middle([each[name] for each in rounds if name in each])
                         for name in dict.fromkeys(name for each in rounds for name in each)}
                  for case, rounds in measured.items()}
            for row, measured in values.items()}


def judged(results, goals):
    for goal in goals:
        if goal.case not in results["cases"]:
            continue
        own, others = results["own"], [row for row in results["rows"] if row not in results["own"]]
        value = goal.value(results, own[0])
        best, best_row = goal.best(results, own)
        other, other_row = goal.best(results, others)
        yield {"case": goal.case, "text": goal.text, "value": value, "met": value is not None and goal.met(value),
               "best": best, "best row": best_row, "other": other, "other row": other_row}


def described(options, rows, chosen, plan, notes):
    what = "relays" if options.proxy else "echo servers"
    return {
        "title": f"weir beside other {what}",
        "command": "bench/receive --proxy" if options.proxy else "bench/receive",
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(options.programs.parent),
        "plan": plan,
        "rows": {row.name: row.about for row in rows},
        "own": [row.name for row in rows if row.is_weir],
        "cases": {case.name: case.title for case in chosen},
        "notes": notes,
    }


def write(results, options):
    name = "proxy" if options.proxy else "receive"
    options.output.mkdir(parents=True, exist_ok=True)
    text = page.markdown(results)
    files = {"json": json.dumps(results, indent=1) + "\n", "md": text}
    if not options.proxy:
        files["svg"] = chart.svg(results)
    for ending, content in files.items():
        (options.output / f"{name}.{ending}").write_text(content, encoding="utf-8")
    print(text)
    print(f"written to {options.output}: {', '.join(f'{name}.{ending}' for ending in files)}")


def notes_of(plan, bench, missing):
    notes = [f"left out: {name} is not installed" for name in missing]
    if plan is QUICK:
        notes.append(f"a short run, of {bench.idle} idle connections only ({bench.relayed_idle} relayed)")
    elif plan["idle"] != bench.idle:
        notes.append(f"{bench.idle} idle connections only: for more, raise `ulimit -n`")
    if not kernel.slabs():
        notes.append("the kernel's memory is not shown: only root may read /proc/slabinfo")
    return notes


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--proxy", action="store_true")
    parser.add_argument("--only", metavar="CASE", action="append")
    parser.add_argument("programs", type=pathlib.Path, help="folder of the programs")
    parser.add_argument("output", type=pathlib.Path, help="folder for what is written")
    return parser.parse_args()


def choose(known, names):
    unknown = sorted(set(names or ()) - {case.name for case in known})
    if unknown:
        print(f"bench/receive: there is no case {unknown[0]}; there are {', '.join(case.name for case in known)}",
              file=sys.stderr)
        sys.exit(2)
    return [case for case in known if not names or case.name in names]


def main():
    options = arguments()
    chosen = choose(cases.PROXY if options.proxy else cases.RECEIVE, options.only)
    if len(servers.PROCESSORS) < 2:
        raise live.Failed("it takes two processors: one for the server, one for the load")
    os.sched_setaffinity(0, servers.PROCESSORS[1:])
    plan, load = QUICK if options.quick else FULL, os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        bench = figures.Bench(options.programs, pathlib.Path(folder), plan["seconds"], plan["warm_up"],
                              min(plan["idle"], file_limit() - kernel.FILES_OF_OUR_OWN), plan["relayed_idle"],
                              plan["wakes"], plan["pairs"])
        rows, missing = (servers.relays(options.programs) if options.proxy
                         else (servers.echo_servers(options.programs, bench.output_of), []))
        results = described(options, rows, chosen, plan, notes_of(plan, bench, missing))
        values, failures = in_turns(bench, rows, chosen, plan["rounds"])
    results |= {"load": {"before": load, "after": os.getloadavg()[0]}, "failures": failures,
                "medians": medians_of(values), "values": values}
    results["goals"] = list(judged(results, wanted.PROXY if options.proxy else wanted.RECEIVE))
    write(results, options)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except live.Failed as failed:
        print(f"bench/receive: {failed}", file=sys.stderr)
        sys.exit(1)
