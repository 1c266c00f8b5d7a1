#!/usr/bin/python3
"""live.py BIN: redis-benchmark -> BIN/weir-proxy -> redis-server on loopback, with weir's numbers as it goes."""
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# name, redis-benchmark's arguments: one batch, repeated until the time is up, so that a slow machine ends too.
LOADS = (
    ("64 B", ("-d", "64", "-n", "20000")),
    ("64 B, 16 in flight", ("-d", "64", "-n", "100000", "-P", "16")),
    ("4 KiB", ("-d", "4096", "-n", "20000")),
    ("64 KiB", ("-d", "65536", "-n", "4000")),
)
LOAD_SECONDS = 4
BATCH_SECONDS = 30  # a batch that takes longer hangs
HOLDERS = ("free", "cached", "user", "kernel_ring", "kernel_request")


class Failed(Exception):
    """Ends the run; its text is the line to show."""


class Server:
    """A child whose output goes to a file and which is gone when its block is left."""

    def __init__(self, command, output):
        self.output = output
        with open(output, "w", encoding="utf-8") as file:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def said(self):
        return self.output.read_text(encoding="utf-8", errors="replace").strip()

    def stop(self):
        """Returns the exit status, negative if it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return self.process.returncode

    def wait_for(self, happened, what):
        for _ in range(200):
            result = happened()
            if result:
                return result
            if self.process.poll() is not None:
                raise Failed(self.said() or f"{what} ended with status {self.process.returncode} and said nothing")
            time.sleep(0.05)
        raise Failed(f"{what} is not ready after 10 s: {self.said()}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def start_redis(folder):
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no",
               "--dir", str(folder)]
    server = Server(command, folder / "redis")
    server.wait_for(lambda: answers(port), "redis-server")
    return server, port


def start_proxy(bin_folder, folder, upstream):
    command = [str(bin_folder / "weir-proxy"), "--listen", "127.0.0.1:0", "--upstream", f"127.0.0.1:{upstream}",
               "--threads", "2"]
    server = Server(command, folder / "proxy")
    line = server.wait_for(lambda: re.search(r".*listening on 127\.0\.0\.1:(\d+).*", server.said()), "weir-proxy")
    print(line[0])
    return server, int(line[1])


class Watch:
    """Reads `weir stat`; `now` is the latest reading, and a line the rates since the one before."""

    def __init__(self, bin_folder, pid):
        self.command = [str(bin_folder / "weir"), "stat", str(pid), "--json"]
        self.now = None

    def read(self):
        done = subprocess.run(self.command, capture_output=True, text=True, timeout=10, check=False)
        if done.returncode != 0:
            raise Failed(done.stderr.strip() or f"{' '.join(self.command)} failed with status {done.returncode}")
        stats = json.loads(done.stdout)
        stats["at"] = time.monotonic()
        return stats

    def total(self, stats, name):
        return sum(receiver[name] for receiver in stats["receivers"])

    def line(self):
        before, self.now = self.now, self.read()
        seconds = self.now["at"] - before["at"]
        messages, data = ((self.total(self.now, name) - self.total(before, name)) / seconds
                          for name in ("receives", "bytes"))
        kernel = self.now["kernel_ring"] + self.now["kernel_request"]
        return (f"{messages:9,.0f} messages/s {data / 1e6:7,.0f} MB/s | buffers: {self.now['free']} free, "
                f"{self.now['cached']} cached, {self.now['user']} user, {kernel} kernel | {self.memory()}")

    def arenas(self):
        return [arena for pool in self.now["pools"] for arena in pool["arenas"]]

    def memory(self):
        grades = {}
        for arena in self.arenas():
            grades[arena["grade"]] = grades.get(arena["grade"], 0) + arena["bytes"]
        return "; ".join(f"{bytes_ >> 20} MiB of {grade}" for grade, bytes_ in grades.items())

    def settle(self):
        """Waits until all clients are gone and the counts stand still."""
        for _ in range(50):
            self.now = self.read()
            if self.law_holds() and self.now["user"] == 0:
                break
            time.sleep(0.1)

    def law_holds(self):
        return self.now["capacity"] == sum(self.now[name] for name in HOLDERS)

    def law(self):
        parts = " + ".join(f"{self.now[name]} {name}" for name in HOLDERS)
        holds = self.law_holds()
        return f"law: capacity {self.now['capacity']} {'=' if holds else '!='} {parts}: {'holds' if holds else 'broken'}"


class Load:
    """One of LOADS; figures are rows of (command, requests/s, mean ms, median ms), one a batch and command."""

    def __init__(self, name, arguments, port, watch):
        self.name, self.watch, self.figures = name, watch, []
        self.command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-t", "set,get", "-c", "50", "--csv",
                        *arguments]
        self.line_at = 0

    def run(self):
        self.watch.now = self.watch.read()
        self.line_at = time.monotonic() + 1
        end = time.monotonic() + LOAD_SECONDS
        while time.monotonic() < end:
            self.run_batch()

    def run_batch(self):
        with subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as batch:
            try:
                self.show_while_running(batch)
            finally:
                batch.kill()
            out, errors = batch.communicate()
        if batch.returncode != 0 or "rror" in out + errors:
            raise Failed(f"redis-benchmark ({self.name}) failed: {(errors or out).strip()}")
        for row in out.splitlines()[1:]:
            command, rate, mean, _, median, *_ = (field.strip('"') for field in row.split(","))
            self.figures.append((command, float(rate), float(mean), float(median)))

    def show_while_running(self, batch):
        end = time.monotonic() + BATCH_SECONDS
        while time.monotonic() < end:
            try:
                batch.wait(max(0, self.line_at - time.monotonic()))
                return
            except subprocess.TimeoutExpired:
                print(f"{self.name:20} {self.watch.line()}", flush=True)
                self.line_at += 1
        raise Failed(f"redis-benchmark ({self.name}) hangs: a batch has not ended after {BATCH_SECONDS} s")

    def show_figures(self):
        for command in ("SET", "GET"):
            rates, means, medians = zip(*(figures for name, *figures in self.figures if name == command))
            print(f"  {command} {self.name:20} {statistics.harmonic_mean(rates):9,.0f} requests/s   "
                  f"median {statistics.mean(medians):.2f} ms, mean {statistics.mean(means):.2f} ms")


def advice(watch):
    lines = []
    for arena in watch.arenas():
        if arena["reason"]:
            lines.append(f"degraded: {arena['bytes'] >> 20} MiB on node {arena['node']} are {arena['grade']}: "
                         f"{arena['reason']}")
    if any("hugetlb" not in arena["grade"] for arena in watch.arenas()):
        pages = -(-sum(arena["bytes"] for arena in watch.arenas()) // (2 << 20))
        there = int(pathlib.Path("/proc/sys/vm/nr_hugepages").read_text(encoding="ascii"))
        lines.append(f"  for huge pages: sudo sysctl vm.nr_hugepages={there + pages}, and run this again")
    if any("not locked" in arena["grade"] or "memlock" in arena["reason"].lower() for arena in watch.arenas()):
        lines.append("  for locked memory: sudo prlimit --memlock=unlimited --pid $$, and run this again")
    return lines or ["degraded: nothing"]


def run(bin_folder):
    with tempfile.TemporaryDirectory(prefix="weir-run.") as name:
        folder = pathlib.Path(name)
        redis, upstream = start_redis(folder)
        with redis:
            proxy, port = start_proxy(bin_folder, folder, upstream)
            with proxy:
                watch = Watch(bin_folder, proxy.process.pid)
                loads = [Load(name, arguments, port, watch) for name, arguments in LOADS]
                for load in loads:
                    load.run()
                watch.settle()
                status = proxy.stop()
        print("\nredis-benchmark through weir-proxy, 50 connections:")
        for load in loads:
            load.show_figures()
        print(watch.law(), *advice(watch), sep="\n")
        shown_already = re.compile("listening on|is degraded")
        print(*(line for line in proxy.said().splitlines() if not shown_already.search(line)), sep="\n")
        if not watch.law_holds():
            raise Failed("buffers are missing: the law does not hold with all clients gone")
        if status != 0:
            raise Failed(f"weir-proxy ended with status {status}")


def interrupted(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        run(pathlib.Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os._exit(141)  # whoever read our lines is gone; all that ran has been stopped on the way here
    except Failed as failure:
        sys.exit(f"{failure}")
