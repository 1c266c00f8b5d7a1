"""What the numbers were measured on."""
import os
import pathlib
import platform
import re
import subprocess


def text_of(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def first_match(pattern, text, otherwise):
    found = re.search(pattern, text, re.M)
    return found[1].strip() if found else otherwise


def version_of(package):
    command = ["dpkg-query", "-W", "-f", "${Version}", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown version"


def compiler(build):
    command = first_match(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", text_of(build / "CMakeCache.txt"), "c++")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or [command])[0]


def describe(build):
    cpu = text_of("/proc/cpuinfo")
    return {
        "processor": first_match(r"^model name\s*:(.*)$", cpu, platform.machine()),
        "family and model": first_match(r"^cpu family\s*:(.*)$", cpu, "?") + " " +
                            first_match(r"^model\s*:(.*)$", cpu, "?"),
        "processors": os.cpu_count(),
        "virtual machine": bool(re.search(r"^flags.*\bhypervisor\b", cpu, re.M)),
        "governor": text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "not shown by this machine",
        "kernel": platform.release(),
        "system": first_match(r'^PRETTY_NAME="(.*)"$', text_of("/etc/os-release"), platform.system()),
        "compiler": compiler(build),
        "transparent huge pages": first_match(r"\[(\w+)\]",
                                              text_of("/sys/kernel/mm/transparent_hugepage/enabled"), "?"),
    }
