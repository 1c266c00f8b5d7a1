#!/usr/bin/python3
"""Results of tools/test, one line a case: verdict, stage, name and reason, separated by tabs.

results.py cases STAGE JUNIT   prints the lines of what ctest wrote. A test that is itself a run of many cases
                               (GoogleTest, unittest) counts as its cases, so that a skip among them is seen.
results.py summary FILE        prints the table of FILE's lines, the failures, the reasons of skips, and the sum.
                               Exits 1 if anything failed or nothing ran.
"""
import collections
import re
import sys
import xml.etree.ElementTree

GTEST_START = "[ RUN      ] "
GTEST_END = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+),? .*\(?\d+ ms\)$")
GTEST_VERDICT = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}
UNITTEST_END = re.compile(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED|NO TESTS RAN)(.*)$", re.M)
UNITTEST_SKIP = re.compile(r"\bskipped (['\"])(.*)\1$", re.M)


def gtest_cases(text):
    running, said = None, []
    for line in text.splitlines():
        end = GTEST_END.match(line)
        if line.startswith(GTEST_START):
            running, said = line.removeprefix(GTEST_START), []
        elif end:
            reason = " ".join(said) or "no reason given"
            yield GTEST_VERDICT[end[1]], end[2], reason if end[1] == "SKIPPED" else ""
            running = None
        elif not line.endswith(": Skipped"):
            said.append(line.strip())
    if running:
        yield "failed", running, ""  # the program ended in the middle of it


def unittest_cases(name, text):
    for ran, rest in UNITTEST_END.findall(text):
        count = collections.Counter({word: int(number) for word, number in re.findall(r"(\w+)=(\d+)", rest)})
        failed = count["failures"] + count["errors"]
        reasons = [reason for _, reason in UNITTEST_SKIP.findall(text)]
        reasons += ["no reason given"] * (count["skipped"] - len(reasons))
        yield from (("skipped", name, reason) for reason in reasons[:count["skipped"]])
        yield from [("failed", name, "")] * failed
        yield from [("passed", name, "")] * max(0, int(ran) - failed - count["skipped"])


def own_case(test, text):
    """A plain program: its own verdict; the last line it printed says why it skipped."""
    if test.find("skipped") is not None:
        lines = text.strip().splitlines()
        return "skipped", test.get("name"), lines[-1] if lines else "no reason given"
    return ("failed" if test.find("failure") is not None else "passed"), test.get("name"), ""


def cases(stage, junit):
    for test in xml.etree.ElementTree.parse(junit).iter("testcase"):
        text = test.findtext("system-out") or ""
        found = [*gtest_cases(text), *unittest_cases(test.get("name"), text)] or [own_case(test, text)]
        if test.find("failure") is not None and not any(verdict == "failed" for verdict, *_ in found):
            found.append(("failed", test.get("name"), ""))  # crashed, or timed out
        for verdict, name, reason in found:
            print(verdict, stage, name, reason.replace("\t", " "), sep="\t")


def summary(path):
    with open(path, encoding="utf-8") as lines:
        records = [line.rstrip("\n").split("\t") for line in lines]
    count = collections.Counter((verdict, stage) for verdict, stage, *_ in records)
    verdicts = ("passed", "failed", "skipped")
    print("{:10}{:>9}{:>9}{:>9}".format("stage", *verdicts))
    for stage in dict.fromkeys(record[1] for record in records):
        print("{:10}{:9}{:9}{:9}".format(stage, *(count[verdict, stage] for verdict in verdicts)))
    skips = collections.Counter(reason for verdict, _, _, reason in records if verdict == "skipped")
    for reason, times in skips.items():
        print(f"skipped {times}: {reason}")
    for verdict, stage, name, _ in records:
        if verdict == "failed":
            print(f"failed: {stage}: {name}")
    total = collections.Counter(record[0] for record in records)
    print(", ".join(f"{total[verdict]} {verdict}" for verdict in verdicts))
    return 1 if total["failed"] or not records else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["cases"] and len(sys.argv) == 4:
        cases(*sys.argv[2:])
    elif sys.argv[1:2] == ["summary"] and len(sys.argv) == 3:
        sys.exit(summary(sys.argv[2]))
    else:
        sys.exit(__doc__)
