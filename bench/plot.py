"""The results as a picture: for each workload a row, for each allocator a dot on a logarithmic scale."""
import html
import math

ROWS = ["pair/512", "pair/4096", "pair/65536", "pair-lane/4096", "batch/lifo", "batch/fifo", "batch/bulk",
        "replace/coloured", "replace/page-aligned", "mixed", "relay", "threads/2", "threads/8"]
COLOURS = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#ff7f0e", "#bcbd22", "#17becf",
           "#7f7f7f"]
LEFT, TOP, WIDTH, ROW = 170, 70, 640, 28
LEAST, MOST = -1, 4  # powers of ten of a nanosecond


def x_of(value):
    place = (math.log10(max(value, 10 ** LEAST)) - LEAST) / (MOST - LEAST)
    return LEFT + WIDTH * min(place, 1)


def text(x, y, words, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def legend(names):
    for i, name in enumerate(names):
        x, y = LEFT + i % 5 * 130, 34 + i // 5 * 18
        yield f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{COLOURS[i % len(COLOURS)]}"/>' + text(x + 10, y, name)


def grid(height):
    for power in range(LEAST, MOST + 1):
        x = x_of(10 ** power)
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - 24}" stroke="#ddd"/>'
        yield text(x, height - 8, f"{10 ** power:g} ns", "middle")


def svg(results):
    medians = results["medians"]
    rows = [name for name in ROWS if name in medians["weir"]]
    height = TOP + ROW * len(rows) + 40
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 40}" height="{height}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
             text(LEFT, 16, f"Nanoseconds a buffer, {results['machine']['processor']}, {results['date']}"),
             *legend(medians), *grid(height)]
    for i, workload in enumerate(rows):
        y = TOP + ROW * i + ROW / 2
        parts += [text(LEFT - 10, y + 4, workload, "end"),
                  f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + WIDTH}" y2="{y}" stroke="#eee"/>']
        for index, measured in reversed(list(enumerate(medians.values()))):  # weir last, on top
            if workload in measured:
                parts.append(f'<circle cx="{x_of(measured[workload]):.1f}" cy="{y}" r="5" fill-opacity="0.8" '
                             f'fill="{COLOURS[index % len(COLOURS)]}"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"
