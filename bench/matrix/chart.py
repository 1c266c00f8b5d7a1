"""The results as a picture: a panel for each case, a bar for each server, the shorter the better."""
import plot

PANELS = [("cpu", "CPU us a message", ("64", "4k", "64k-16", "64k", "64k-1000", "bimodal")),
          ("ms", "ms", ("wake-16k", "wake-64")), ("growth", "MiB more than at the start", ("memory",))]
OWN, OTHER = "#d62728", "#7f7f7f"
ACROSS, BAR, NAMES, LENGTH, VALUES = 3, 15, 130, 160, 60
WIDTH = NAMES + LENGTH + VALUES


def panel(results, case, figure, unit, left, top):
    measured = {row: figures[case][figure] for row, figures in results["medians"].items()
                if figure in figures.get(case, {})}
    most = max(measured.values(), default=0) or 1
    yield plot.text(left + NAMES, top + 14, f"{case}: {unit}")
    for number, (row, value) in enumerate(measured.items()):
        y = top + 24 + number * BAR
        length = LENGTH * max(value, 0) / most
        yield plot.text(left + NAMES - 6, y + 10, row, "end")
        yield (f'<rect x="{left + NAMES}" y="{y + 1}" width="{length:.1f}" height="{BAR - 4}" '
               f'fill="{OWN if row in results["own"] else OTHER}"/>')
        yield plot.text(left + NAMES + length + 4, y + 10, f"{value:.3g}" if value < 1000 else f"{value:,.0f}")


def svg(results):
    panels = [(case, figure, unit) for figure, unit, cases in PANELS for case in cases if case in results["cases"]]
    height = 24 + BAR * len(results["rows"]) + 20
    size = WIDTH * ACROSS, 30 + height * -(-len(panels) // ACROSS)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif" '
             'font-size="11">', '<rect width="100%" height="100%" fill="white"/>',
             plot.text(10, 18, f"{results['title']}: {results['machine']['processor']}, {results['date']}")]
    for number, (case, figure, unit) in enumerate(panels):
        parts += panel(results, case, figure, unit, number % ACROSS * WIDTH, 30 + number // ACROSS * height)
    return "\n".join([*parts, "</svg>"]) + "\n"
