"""What weir wants to reach: a figure of a case, and its limit."""
import dataclasses
import statistics


@dataclasses.dataclass
class Goal:
    case: str
    figure: str
    limit: float
    text: str
    at_least: bool = False
    of_best: bool = False  # the limit is that of the ratio to the best of the others, round by round

    def value(self, results, row):
        """None where it was not measured."""
        return self.ratio(results, row) if self.of_best else self.median(results, row)

    def median(self, results, row):
        return results["medians"][row].get(self.case, {}).get(self.figure)

    def ratio(self, results, row):
        rounds = {name: measured.get(self.case, []) for name, measured in results["values"].items()}
        ratios = []
        for number, figures in enumerate(rounds[row]):
            theirs = [rounds[other][number][self.figure] for other in rounds
                      if other not in results["own"] and self.figure in rounds[other][number]]
            if theirs and self.figure in figures:
                ratios.append(figures[self.figure] / min(theirs))
        return statistics.median(ratios) if ratios else None

    def met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit

    def best(self, results, rows):
        """The best median of these rows, and whose it is."""
        found = [(value, row) for row in rows if (value := self.median(results, row)) is not None]
        return (max if self.at_least else min)(found, default=(None, ""))


RECEIVE = [
    Goal("64", "cpu", 4.45, "64 B: at most 4.45 us of CPU a message"),
    Goal("4k", "cpu", 4.9, "4 KiB: at most 4.9 us"),
    Goal("64k-16", "cpu", 14, "64 KiB, 16 connections: at most 14 us"),
    Goal("64k", "cpu", 14, "64 KiB, 256 connections: at most 14 us"),
    Goal("64k-1000", "cpu", 14, "64 KiB, 1,000 connections: at most 14 us"),
    Goal("memory", "growth", 1, "10,000 idle again: at most 1 MiB more than at the start"),
    Goal("idle", "kernel", 256, "the kernel's memory of one that waits: at most 256 B"),
    Goal("armed", "more", 0.05, "what that costs a busy connection: at most 0.05 us a message of 64 B"),
    Goal("wake-16k", "ms", 110, "10,000 wake with 16 KiB: at most 110 ms"),
    Goal("wake-16k", "enobufs", 1000, "and at most 1,000 ENOBUFS"),
    Goal("wake-64", "ms", 93, "10,000 wake with 64 B: at most 93 ms"),
    Goal("wake-64", "enobufs", 0, "and no ENOBUFS"),
    Goal("slow", "kept", 0.95, "beside slow readers: at least 0.95 of the messages/s", at_least=True),
    Goal("slow", "mapped", 64, "and a pool of at most its 64 MiB"),
    Goal("spin", "p50", 9, "one connection: p50 at most 9 us"),
]

PROXY = [
    Goal("64", "cpu", 0.85, "64 B: at most 0.85 of the better one's CPU", of_best=True),
    Goal("4k", "cpu", 0.85, "4 KiB: at most 0.85", of_best=True),
    Goal("64k", "cpu", 0.4, "64 KiB: at most 0.4", of_best=True),
    Goal("memory", "growth", 1, "3,800 idle: at most 1 MiB more than at the start"),
]
