#!/usr/bin/python3
"""Results of tools/test, one line a case: verdict, stage, name and reason, separated by tabs.

results.py ctest STAGE JUNIT              prints the lines of what ctest wrote
results.py program STAGE NAME STATUS LOG  prints the lines of one program
results.py summary FILE                   prints the table of FILE's lines, the reasons of skips, the failures, and the
                                          sum; exits 1 if anything failed or nothing ran

A program that is itself a run of many cases (GoogleTest, unittest) counts as its cases, so that a skip among them is
seen.
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


def verdicts(name, text, status):
    """The cases of one program: those it counted itself, or else its own by its status (77: could not run)."""
    found = [*gtest_cases(text), *unittest_cases(name, text)]
    if status == 77 and not found:
        found = [("skipped", name, (text.strip() or "no reason given").splitlines()[-1])]
    elif status not in (0, 77) and not any(verdict == "failed" for verdict, *_ in found):
        found.append(("failed", name, ""))  # crashed, timed out, or is no test framework's
    return found or [("passed", name, "")]


def show(stage, found):
    for verdict, name, reason in found:
        print(verdict, stage, name, reason.replace("\t", " "), sep="\t")


def ctest_status(test):
    """ctest also says "skipped" of a test whose program is missing."""
    skipped = test.find("skipped")
    if skipped is not None and skipped.get("message", "").startswith("SKIP_"):
        return 77
    return 0 if test.get("status") == "run" else 1


def ctest_cases(stage, junit):
    for test in xml.etree.ElementTree.parse(junit).iter("testcase"):
        show(stage, verdicts(test.get("name"), test.findtext("system-out") or "", ctest_status(test)))


def program_cases(stage, name, status, log):
    with open(log, encoding="utf-8", errors="replace") as text:
        show(stage, verdicts(name, text.read(), int(status)))


def without_those_that_ran(records):
    """A GoogleTest that cannot run on one machine is no skip when it passed on another, which may be a guest."""
    ran = {name for verdict, _, name, _ in records if verdict == "passed" and "." in name and " " not in name}
    return [record for record in records if record[0] != "skipped" or record[2] not in ran]


def summary(path):
    with open(path, encoding="utf-8") as lines:
        records = without_those_that_ran([line.rstrip("\n").split("\t") for line in lines])
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
    ACTIONS = {"ctest": ctest_cases, "program": program_cases, "summary": summary}
    sys.exit(ACTIONS[sys.argv[1]](*sys.argv[2:]))
