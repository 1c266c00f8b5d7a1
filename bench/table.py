"""The results as tables in Markdown."""

WORKLOADS = [  # pattern of the name, unit, what it is
    ("pair", "ns", "take a buffer and give it back; the size is known at run time only"),
    ("pair-lane", "ns", "the same with the class looked up once (weir's Lane, DPDK's pool)"),
    ("batch", "ns a buffer", "take 64 of 4 KiB, then give them back: one by one newest or oldest first, or in bulk"),
    ("replace", "ns a buffer", "of 10,000 buffers of 4 KiB replace 64 at random at a time, and write their headers"),
    ("mixed", "ns", "of 10,000 buffers of 64 B to 64 KiB replace one at random by one of another size"),
    ("relay", "ns a buffer", "one thread takes 4 KiB buffers, another gives them back"),
    ("threads", "ns of a processor", "threads that each take 500 buffers of 4 KiB and give them back"),
    ("instructions", "a pair", "by callgrind, the loop included: 4 KiB, sizes that vary, class looked up once"),
    ("set-up", "ns/KiB; count", "make a pool of 64 MiB, then use all of it once; page faults of the use"),
    ("resident", "of requested", "memory held over memory asked for, after 200,000 replacements of 10,000 buffers"),
]


def number(value):
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def cell(value, own):
    if value is None:
        return ""
    ratio = f" ({value / own:.1f}x)" if own and value > 0.05 * own else ""
    return number(value) + ratio


def verdict(each):
    if each["met"] is None:
        return f"not compared: {each['goal']}"
    if each["met"]:
        return f"met: {each['goal']}"
    return f"MISSED: {each['goal']}" + (", which is below the floor" if each["below the floor"] else "")


def row(results, workload):
    medians = results["medians"]
    own = medians["weir"].get(workload)
    cells = [number(own)] + [cell(medians[name].get(workload), own) for name in medians if name != "weir"]
    said = "; ".join(verdict(each) for each in results["goals"] if each["workload"] == workload)
    return f"| {workload} | " + " | ".join(cells) + f" | {said} |"


def workloads_of(medians):
    seen = {}
    for values in medians.values():
        seen.update(dict.fromkeys(values))
    return [name for name in seen if name != "set-up/page-bytes"]


def page_grade(results):
    page = results["medians"]["weir"].get("set-up/page-bytes", 0)
    return f"{page / 1024:.0f} KiB" if page < 1 << 20 else f"{page / (1 << 20):.0f} MiB"


def markdown(results):
    lines = ["# weir beside other allocators", "",
             f"Medians of {results['plan']['turns']} turns on {results['date']}, written by `bench/run`. "
             "In brackets: how many times weir's.", ""]
    lines += [f"- {key}: {value}" for key, value in results["machine"].items()]
    lines.append(f"- load average before and after: {results['load']['before']:.1f}, {results['load']['after']:.1f} "
                 "(a part of it is the benchmark itself; the more, the less the absolute figures say)")
    lines.append(f"- weir's pages: {page_grade(results)}")
    lines += [f"- {name}: {about}" for name, about in results["peers"].items() if about]
    lines += [f"- left out: {name} is not installed" for name in results["missing"]]
    lines += [f"- {name}: {why}" for name, why in results["failures"].items()]
    names = list(results["medians"])
    header = ["", "| workload | " + " | ".join(names) + " | goal |", "|---" * (len(names) + 2) + "|"]
    all_workloads = workloads_of(results["medians"])
    for group, unit, meaning in WORKLOADS:
        rows = [row(results, name) for name in all_workloads if name.split("/")[0] == group]
        if rows:
            lines += ["", f"## {group}: {unit}", "", meaning[0].upper() + meaning[1:] + ".", *header, *rows]
    return "\n".join(lines) + "\n"
