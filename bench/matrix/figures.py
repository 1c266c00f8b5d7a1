"""What is measured of a server, by weir-load, by `weir stat`, and by looking at it and at the kernel."""
import contextlib
import dataclasses
import json
import pathlib
import statistics
import subprocess

import kernel
import live
import servers

MIB = 1 << 20
PATIENCE = 90  # seconds


@dataclasses.dataclass
class Bench:
    """Where it is measured, and how long."""
    programs: pathlib.Path
    folder: pathlib.Path
    seconds: float
    warm_up: float
    idle: int  # connections
    relayed_idle: int
    wakes: int
    pairs: int  # at most

    def output_of(self, command):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise live.Failed(f"{pathlib.Path(command[0]).name} (status {done.returncode}): {said}")
        return done.stdout

    def start(self, row, case, upstream=None):
        return servers.Running(row, self.folder, servers.PROCESSORS[0], case, upstream)

    def load(self, server, *arguments, seconds=None, warm_up=None):
        """weir-load's results. It fails where a byte is wrong or missing."""
        return json.loads(self.output_of([
            self.programs / "weir-load", "--connect", f"127.0.0.1:{server.port}", "--server", server.pid, "--json",
            "--seconds", seconds or self.seconds, "--warm-up", warm_up or self.warm_up, *arguments]))

    def stat(self, server):
        return json.loads(self.output_of([self.programs / "weir", "stat", server.pid, "--json"]))


def total(stat, name):
    return sum(receiver[name] for receiver in stat["receivers"])


def classes(stat):
    return [each for pool in stat["pools"] for node in pool["nodes"] for each in node["classes"]]


def speed(loaded):
    return {"cpu": loaded["server"]["cpu_us_per_message"], "rate": loaded["messages_per_second"],
            "p50": loaded["latency_us"]["p50"], "p99": loaded["latency_us"]["p99"]}


def receives(stat, loaded):
    """Of all that the server received since it began."""
    received = total(stat, "bytes")
    messages = received * loaded["messages"] / loaded["bytes"]
    lent = sum(each["lends"] * each["bytes"] for each in classes(stat))
    return {"receives": total(stat, "receives") / messages, "lent": lent / received,
            "short": 1000 * total(stat, "enobufs") / messages}


def busy(bench, row, case):
    with bench.start(row, case) as server:
        loaded = bench.load(server, *case.load)
        if loaded["messages"] == 0:
            raise live.Failed("no message came back in time")
        return speed(loaded) | (receives(bench.stat(server), loaded) if row.is_weir else {})


def wake(bench, row, case):
    """All of the idle speak at once: when they connect, at each wake, and at the end."""
    with bench.start(row, case) as server:
        every = 0.4
        loaded = bench.load(server, *case.load, "--idle", bench.idle, "--wake-every", every,
                            seconds=every * bench.wakes)
        if not loaded["wakes_ms"]:
            raise live.Failed("not all of the idle had their echo in time")
        took = {"ms": statistics.median(loaded["wakes_ms"]), "worst": max(loaded["wakes_ms"])}
        if row.is_weir:
            took["enobufs"] = total(bench.stat(server), "enobufs") / (len(loaded["wakes_ms"]) + 2)
        return took


def memory(bench, row, case):
    with bench.start(row, case) as server:
        use = bench.load(server, *case.load, "--idle", bench.idle, seconds=1.2, warm_up=0.3)["server"]
        return memory_figures(use, bench.idle)


def memory_figures(use, connections):
    growth = use["bytes_after"] - use["bytes_before"]
    return {"start": use["bytes_before"] / MIB, "most": use["most_bytes"] / MIB, "after": use["bytes_after"] / MIB,
            "growth": growth / MIB, "each": growth / connections}


def in_pairs(rounds, one, other):
    """[(what one gave, what the other gave), ...], next to each other in time, either first in turns: what slows the
    machine for longer than a moment slows both, so that the median of what they differ by says more than medians do."""
    return [(one(), other()) if turn % 2 == 0 else (other(), one())[::-1] for turn in range(rounds)]


def armed(bench, row, case):
    """Beside the same receives into rings that are armed all the time."""
    always = servers.weir_echo(bench.programs, "ring_sized")
    with bench.start(row, case) as server, bench.start(always, case) as other:
        def cpu_of(each):
            return bench.load(each, *case.load, seconds=0.15, warm_up=0.05)["server"]["cpu_us_per_message"]

        pairs = in_pairs(min(bench.pairs, case.pairs), lambda: cpu_of(server), lambda: cpu_of(other))
    return {"cpu": statistics.median(cpu for cpu, _ in pairs), "always": statistics.median(cpu for _, cpu in pairs),
            "more": statistics.median(cpu - always for cpu, always in pairs)}


def slow(bench, row, case):
    """Runs without the slow ones and with them, the latter measured when their sockets are full."""
    with bench.start(row, case) as server:
        pairs = in_pairs(min(bench.pairs, case.pairs),
                         lambda: bench.load(server, *case.load, seconds=0.3, warm_up=0.2),
                         lambda: bench.load(server, *case.load, "--slow", 100, seconds=0.3, warm_up=0.6))
        mapped = sum(pool["mapped_bytes"] for pool in bench.stat(server)["pools"]) if row.is_weir else None
    rates = [[loaded["messages_per_second"] for loaded in pair] for pair in pairs]
    if not all(alone for alone, _ in rates):
        raise live.Failed("no message came back in time, though nobody was slow")
    memory_of = [loaded["server"] for pair in pairs for loaded in pair]
    return {"alone": statistics.median(alone for alone, _ in rates), "rate": statistics.median(rate for _, rate in rates),
            "kept": statistics.median(rate / alone for alone, rate in rates),
            "growth": (max(use["most_bytes"] for use in memory_of) - memory_of[0]["bytes_before"]) / MIB,
            **({"mapped": mapped / MIB} if row.is_weir else {})}


def idle(bench, row, case):
    """Each speaks once; what the kernel has of the server's and of its own memory when all is quiet again."""
    with bench.start(row, case) as server, contextlib.ExitStack() as opened:
        took = kernel.memory(opened, server.port, bench.idle)
        return took | (held(bench.stat(server)) if row.is_weir else {})


def held(stat):
    """Buffers with the kernel."""
    count = sum(stat[name] for name in ("kernel_ring", "kernel_request"))
    size = sum(each["bytes"] * (each["kernel_ring"] + each["kernel_request"]) for each in classes(stat))
    return {"buffers": count, "held": size / MIB}


def relayed(bench, row, case):
    """Through a relay to an echo server on the processor of the load."""
    with upstream(bench, case) as echo, bench.start(row, case, echo.port) as server:
        return speed(bench.load(server, *case.load))


def relayed_memory(bench, row, case):
    with upstream(bench, case) as echo, bench.start(row, case, echo.port) as server:
        use = bench.load(server, *case.load, "--idle", bench.relayed_idle, seconds=1.2, warm_up=1)["server"]
        return memory_figures(use, bench.relayed_idle)


def upstream(bench, case):
    echo = servers.bench_echo(bench.programs, "epoll_shared")
    return servers.Running(echo, bench.folder, servers.PROCESSORS[1], case)
