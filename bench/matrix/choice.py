"""How far each strategy of weir is from the best one, case by case: what the choice of `auto` rests on."""
import statistics

COMPARED = [  # case, figure: less is better
    ("64", "cpu"), ("4k", "cpu"), ("64k-16", "cpu"), ("64k", "cpu"), ("64k-1000", "cpu"), ("bimodal", "cpu"),
    ("wake-16k", "ms"), ("wake-64", "ms"), ("memory", "after"), ("spin", "p50"),
]
COUNTED = [  # case, figure, heading: exact, or nearly so
    ("64", "lent", "bytes lent a byte, 64 B"), ("wake-16k", "enobufs", "ENOBUFS a wake, 16 KiB"),
]


def ratios(results):
    """{strategy: {case: how many times the best one's figure}}, of those that were measured in every case."""
    medians = results["medians"]
    chosen = [(case, figure) for case, figure in COMPARED if case in results["cases"]]
    rows = [row for row in results["own"] if all(figure in medians[row].get(case, {}) for case, figure in chosen)]
    best = {case: min((medians[row][case][figure] for row in rows), default=0) for case, figure in chosen}
    return {row: {case: medians[row][case][figure] / best[case] for case, figure in chosen} for row in rows}


def table(results):
    """Heading and rows, the best mean first."""
    found = {row: (statistics.geometric_mean(of_cases.values()), max(of_cases.values()), of_cases)
             for row, of_cases in ratios(results).items() if of_cases}
    counted = [each for each in COUNTED if each[0] in results["cases"]]
    cases = next(iter(found.values()))[2] if found else {}
    heading = ["strategy", "mean", "worst", *cases, *(title for _, _, title in counted)]
    rows = [[row, f"**{mean:.2f}**", f"{worst:.2f}", *(f"{ratio:.2f}" for ratio in of_cases.values()),
             *(f"{results['medians'][row][case].get(figure, 0):,.0f}" for case, figure, _ in counted)]
            for row, (mean, worst, of_cases) in sorted(found.items(), key=lambda each: each[1])]
    return heading, rows
