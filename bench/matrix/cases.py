"""What the servers are put to."""
import dataclasses
import typing

import figures

GROWS = {"WEIR_BYTES": "4m", "WEIR_MAX_BYTES": "512m", "WEIR_GROW": "2m", "WEIR_DECAY": "1", "WEIR_IDLE": "300"}


@dataclasses.dataclass
class Case:
    name: str
    title: str
    measure: typing.Callable  # (bench, row, case): figures by their names
    load: list                # options of weir-load
    settings: dict = dataclasses.field(default_factory=dict)  # for weir's programs
    options: list = dataclasses.field(default_factory=list)   # the same, on their command line
    pool: str = "16m"         # for the others that have one
    rounds: int = 1
    pairs: int = 0            # of short runs next to each other, in a round
    rows: tuple = ()          # the only ones that are measured; none: all


def busy(name, title, connections, size):
    return Case(name, title, figures.busy, ["--connections", connections, "--size", size], rounds=3)


def wakes(name, title, size):
    return Case(name, title, figures.wake, ["--connections", 0, "--size", size], {"WEIR_BYTES": "256k"}, pool="256k")


RECEIVE = [
    # The first, since the kernel keeps what is left of a closed connection for a minute.
    Case("idle", "what the kernel holds for 10,000 idle connections that have each spoken 16 KiB", figures.idle, [],
         {"WEIR_IDLE": "300"}),
    busy("64", "64 B, 256 connections", 256, "64"),
    busy("4k", "4 KiB, 256 connections", 256, "4k"),
    busy("64k-16", "64 KiB, 16 connections", 16, "64k"),
    busy("64k", "64 KiB, 256 connections", 256, "64k"),
    busy("64k-1000", "64 KiB, 1,000 connections", 1000, "64k"),
    busy("bimodal", "three of 64 B to one of 16 KiB, 256 connections", 256, "64,64,64,16k"),
    wakes("wake-16k", "all of 10,000 wake at once with 16 KiB, from a pool of 256 KiB", "16k"),
    wakes("wake-64", "the same with 64 B", "64"),
    Case("memory", "memory of 10,000 idle connections that have all spoken 16 KiB at once", figures.memory,
         ["--connections", 0, "--size", "16k"], GROWS),
    Case("armed", "what waiting costs a busy connection: 64 B, 256 connections, in pairs with weir ring_sized, whose "
         "receives are always armed", figures.armed, ["--connections", 256, "--size", "64"], pairs=25,
         rows=("weir auto", "weir poll_recv")),
    Case("slow", "1,000 connections with 4 KiB, beside 100 that do not read", figures.slow,
         ["--connections", 1000, "--size", "4k"], pairs=4),
    Case("spin", "64 B, one connection, whose client and weir look for 50 us before they sleep", figures.busy,
         ["--connections", 1, "--size", "64", "--spin", 50], options=["--spin", "50"]),
]


def relayed(size, title):
    return Case(size, f"{title}, 64 connections", figures.relayed, ["--connections", 64, "--size", size], rounds=3)


PROXY = [
    relayed("64", "64 B"),
    relayed("4k", "4 KiB"),
    relayed("64k", "64 KiB"),
    Case("memory", "memory of 3,800 idle connections that have all spoken 16 KiB at once", figures.relayed_memory,
         ["--connections", 0, "--size", "16k"], {"WEIR_IDLE": "300"}),
]
