"""The allocators that are compared: a name, a command, its environment."""
import dataclasses
import os
import pathlib
import subprocess

import machine

DPDK_OPTIONS = ["--no-pci", "--no-telemetry", "--log-level=error", "-l", "0"]
HUGE_PAGES = 128
FLOOR = "floor"
JEMALLOC_TUNED = "tcache_max:131072,lg_tcache_nslots_mul:7"


@dataclasses.dataclass
class Peer:
    name: str
    command: list
    about: str = ""
    environment: dict = dataclasses.field(default_factory=dict)
    lanes: bool = False  # a class can be looked up once
    counted: list = None  # the command for counting instructions, where it is another
    complete: bool = True  # it has all workloads

    def environ(self):
        return {**os.environ, **self.environment}


def preloaded(library):
    """Whether the loader finds it: it says so when not, and goes on without."""
    done = subprocess.run(["/bin/true"], env={**os.environ, "LD_PRELOAD": library}, capture_output=True, check=False)
    return not done.stderr


def free_huge_pages():
    for line in machine.text_of("/proc/meminfo").splitlines():
        if line.startswith("HugePages_Free:"):
            return int(line.split()[1])
    return 0


def dpdk(folder):
    """On huge pages where there are enough. Its instructions are counted on small ones: they are the same, and
    valgrind need not follow DPDK to huge pages."""
    small, huge = ([str(folder / "bench-dpdk"), *memory, *DPDK_OPTIONS, "--"]
                   for memory in (["--no-huge", "--no-shconf", "-m", "1024"], ["--in-memory"]))
    enough = free_huge_pages() >= HUGE_PAGES
    about = "2 MiB huge pages" if enough else f"4 KiB pages, for there are no {HUGE_PAGES} free huge pages"
    return Peer("DPDK", huge if enough else small, f"{machine.version_of('libdpdk-dev')}, cache of 256, {about}",
                lanes=True, counted=small)


def find(folder):
    """The peers that are here, weir first, and the names of those that are not."""
    folder = pathlib.Path(folder)
    found = [Peer("weir", [str(folder / "bench-weir")], lanes=True),
             Peer(FLOOR, [str(folder / "bench-floor")], "what the workload itself costs here, with no allocator: no goal "
                  "below it can be met", complete=False)]
    missing = []
    if (folder / "bench-dpdk").exists():
        found.append(dpdk(folder))
    else:
        missing.append("DPDK (libdpdk-dev)")
    malloc = [str(folder / "bench-malloc")]
    for name, library, package, settings in (
            ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4", {}),
            ("jemalloc", "libjemalloc.so.2", "libjemalloc2", {}),
            ("jemalloc tuned", "libjemalloc.so.2", "libjemalloc2", {"MALLOC_CONF": JEMALLOC_TUNED}),
            ("mimalloc", "libmimalloc.so.2.0", "libmimalloc2.0", {}),
            ("mimalloc huge", "libmimalloc.so.2.0", "libmimalloc2.0", {"MIMALLOC_LARGE_OS_PAGES": "1"})):
        if preloaded(library):
            about = " ".join([machine.version_of(package), *(f"{key}={value}" for key, value in settings.items())])
            found.append(Peer(name, malloc, about, {"LD_PRELOAD": library, **settings}))
        else:
            missing.append(f"{name} ({package})")
    found.append(Peer("glibc", malloc, machine.version_of("libc6")))
    found.append(Peer("std::pmr", [str(folder / "bench-pmr")], "synchronized_pool_resource over glibc"))
    return found, missing
