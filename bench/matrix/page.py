"""The results as tables in Markdown."""
import choice

COLUMNS = [  # name of the figure, heading, how it is written
    ("cpu", "CPU us a message", ".2f"), ("rate", "messages/s", ",.0f"), ("p50", "p50 us", ",.0f"),
    ("p99", "p99 us", ",.0f"), ("receives", "receives a message", ".2f"), ("lent", "bytes lent a byte", ".2f"),
    ("short", "ENOBUFS in 1,000 messages", ",.1f"),
    ("ms", "median ms", ",.0f"), ("worst", "worst ms", ",.0f"), ("enobufs", "ENOBUFS a wake", ",.0f"),
    ("start", "MiB at the start", ".1f"), ("most", "MiB at most", ".1f"), ("after", "MiB idle again", ".1f"),
    ("buffers", "buffers with the kernel", ",.0f"), ("held", "MiB of those", ".1f"),
    ("kernel", "kernel's B a connection", ",.0f"), ("objects", "objects a connection", "s"),
    ("always", "of ring_sized", ".2f"), ("more", "more than that, by pairs", ".2f"),
    ("alone", "messages/s without the slow", ",.0f"), ("kept", "kept, by pairs", ".3f"),
    ("growth", "MiB more than at the start", ".2f"), ("each", "B a connection", ",.0f"), ("mapped", "pool MiB", ".0f"),
]


def written(value, form):
    return "" if value is None else format(value, form)


def line(*cells):
    return f"| {' | '.join(cells)} |"


def heading(*cells):
    return [line(*cells), "|---" * len(cells) + "|"]


def of_case(results, case):
    rows = {row: figures[case] for row, figures in results["medians"].items() if case in figures}
    columns = [column for column in COLUMNS if any(column[0] in figures for figures in rows.values())]
    lines = heading("server", *(title for _, title, _ in columns))
    for row, figures in rows.items():
        lines.append(line(row, *(written(figures.get(name), form) for name, _, form in columns)))
    return lines


def verdict(goal):
    if goal["value"] is None:
        return "not measured"
    return "met" if goal["met"] else "**missed**"


def of_goals(results):
    own = results["own"]
    lines = heading("goal", own[0], "", *(["best strategy"] if len(own) > 1 else []), "best of the others", "command")
    for goal in results["goals"]:
        best = [each for each in ("best", "other") if each == "other" or len(own) > 1]
        cells = [f"{written(goal[each], '.4g')} {goal[each + ' row']}".strip() for each in best]
        lines.append(line(goal["text"], written(goal["value"], ".4g"), verdict(goal), *cells,
                          f"`{results['command']} --only {goal['case']}`"))
    return lines


def of_choice(results):
    titles, rows = choice.table(results)
    if not rows:
        return []
    return ["", "## The choice of a strategy", "",
            "A server does not know its clients beforehand, so what serves all of them by itself must be far from the "
            "best in no case. How many times the best strategy's figure each one has: CPU a message, the median time of "
            "a wake, the memory idle again, and p50 of one connection that spins; their geometric mean, and the worst. "
            "Where the kernel has multishot receives (Linux 6.0), auto is ring_adaptive: what they differ by is what the "
            "machine's other work does to a figure here.",
            "", *heading(*titles), *(line(*cells) for cells in rows)]


def markdown(results):
    plan, load = results["plan"], results["load"]
    lines = [f"# {results['title']}", "",
             f"Medians, written by `{results['command']}` on {results['date']}. Rounds: up to {plan['rounds']}, in "
             f"which all servers take turns of {plan['seconds']} s, on a processor of their own; weir-load, which "
             "compares every byte, has another.", ""]
    lines += [f"- {name}: {what}" for name, what in results["machine"].items()]
    lines.append(f"- load average before and after: {load['before']:.1f}, {load['after']:.1f} (about 2 is the "
                 "measurement itself; the more, the less the figures say)")
    lines += [f"- {row}: {about}" for row, about in results["rows"].items() if about]
    lines += [f"- {note}" for note in results["notes"]]
    lines += [f"- failed: {row}, {case}: {why}" for row, case, why in results["failures"]]
    if results["goals"]:
        lines += ["", "## Goals", "", *of_goals(results)]
    if len(results["own"]) > 1:
        lines += of_choice(results)
    for case, title in results["cases"].items():
        lines += ["", f"## {case}: {title}", "", *of_case(results, case)]
    return "\n".join(lines) + "\n"
