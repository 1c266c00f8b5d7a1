"""What is measured of a server, by weir-load, by `weir stat`, and by looking at it and at the kernel."""
import contextlib
import dataclasses
import json
import pathlib
import resource
import socket
import statistics
import struct
import subprocess
import time

import live
import machine
import servers

MIB = 1 << 20
PATIENCE = 90  # seconds
SAYS = bytes(range(256)) * 64  # 16 KiB
FILES_OF_OUR_OWN = 200


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


def slow(bench, row, case):
    """A run without the slow ones, then one with them, measured when their sockets are full."""
    with bench.start(row, case) as server:
        alone = bench.load(server, *case.load, warm_up=1)
    with bench.start(row, case) as server:
        beside = bench.load(server, *case.load, "--slow", 100, warm_up=1)
        use = beside["server"]
        mapped = sum(pool["mapped_bytes"] for pool in bench.stat(server)["pools"]) if row.is_weir else None
    return {"alone": alone["messages_per_second"], "rate": beside["messages_per_second"],
            "kept": beside["messages_per_second"] / alone["messages_per_second"],
            "growth": (use["most_bytes"] - use["bytes_before"]) / MIB,
            **({"mapped": mapped / MIB} if row.is_weir else {})}


def idle(bench, row, case):
    """Each speaks once; what the kernel has of the server's and of its own memory when all is quiet again."""
    silent = silent_connections(bench.idle)
    with bench.start(row, case) as server, contextlib.ExitStack() as opened:
        before = slabs()
        for _ in range(bench.idle):
            client = opened.enter_context(connect(server.port))
            converse(client, client)
        time.sleep(1)
        took = kernel_memory(before, slabs(), bench.idle, silent)
        return took | (held(bench.stat(server)) if row.is_weir else {})


def held(stat):
    """Buffers with the kernel."""
    count = sum(stat[name] for name in ("kernel_ring", "kernel_request"))
    size = sum(each["bytes"] * (each["kernel_ring"] + each["kernel_request"]) for each in classes(stat))
    return {"buffers": count, "held": size / MIB}


def connect(port):
    """A socket that leaves nothing behind when it is closed."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return client


def converse(client, answers):
    """16 KiB by `client`, which come back when they went to a server."""
    client.sendall(SAYS)
    received = b""
    while len(received) < len(SAYS):
        part = answers.recv(len(SAYS))
        if not part:
            raise live.Failed("the server closed a connection")
        received += part
    if received != SAYS:
        raise live.Failed("what came back is not what was sent")


def slabs():
    """Objects of each cache of the kernel, and their size; empty for ordinary users, who may not know."""
    rows = (line.split() for line in machine.text_of("/proc/slabinfo").splitlines()[2:])
    return {row[0]: (int(row[1]), int(row[3])) for row in rows}


def growth_of(before, after, connections):
    return {name: (count - before.get(name, (0, 0))[0]) / connections for name, (count, _) in after.items()}


_silent = {}


def silent_connections(most):
    """Objects a connection where nobody waits for data: two sockets and their files. Measured once."""
    if not _silent and slabs():
        count = min(most, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_OF_OUR_OWN) // 2)
        with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as opened:
            before = slabs()
            for _ in range(count):
                client = opened.enter_context(connect(listener.getsockname()[1]))
                server = opened.enter_context(listener.accept()[0])
                converse(client, server)
                converse(server, client)
            time.sleep(1)
            _silent.update(growth_of(before, slabs(), count))
    return _silent


def kernel_memory(before, after, connections, silent):
    """What a connection that waits has, beyond one that nobody waits for, in whole objects: parts of one are of other
    doings. A cache may go by the name of another for objects of that size."""
    growth = growth_of(before, after, connections)
    more = {name: round(growth[name] - silent.get(name, 0)) for name in growth}
    more = {name: count for name, count in more.items() if count > 0}
    if not after:
        return {}
    return {"kernel": sum(count * after[name][1] for name, count in more.items()),
            "objects": ", ".join(f"{count} {name} of {after[name][1]} B" for name, count in sorted(more.items()))}


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
