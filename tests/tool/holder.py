"""Programs that the tests of `weir` look at, and `weir` itself.

holder.py COUNT ARGUMENT...: runs `weir ARGUMENT...` while COUNT holders are there, and ends with its status.
"""
import contextlib
import os
import pathlib
import subprocess
import sys

PATIENCE = 60  # seconds before something that should happen at once counts as not happening


def program(variable):
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        sys.exit(f"{variable}={path or ''} is no program: build first, then run this by ctest")
    return os.path.abspath(path)


WEIR = program("WEIR_TOOL")
HOLDER = program("WEIR_HOLDER")


def environment(**options):
    """Without the options of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")} | options


def held_environment(**options):
    """A holder's."""
    return environment(**{"WEIR_BYTES": "16m", "WEIR_PAGES": "4k", "WEIR_RING_ENTRIES": "8", "WEIR_RECV": "ring"} | options)


def weir(*arguments, path=WEIR, env=None, **identity):
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, check=False,
                          env=env or environment(), **identity)


def data_of(fd):
    """From where to where a file has data."""
    end = 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


class Holder:
    """A running holder.cpp. Leaving its context ends it and its child. `program` is empty where the prefix names one."""

    def __init__(self, *arguments, prefix=(), program=(HOLDER, ), **options):
        self.process = subprocess.Popen([*prefix, *program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=held_environment(**options))
        self.pid = self.process.pid
        word, *numbers = self.process.stdout.readline().split() or ["nothing"]
        if word != "ready":
            self.__exit__()
            raise AssertionError(f"the holder said {word} and ended with {self.process.returncode}")
        self.loans, self.receivers, self.child = map(int, numbers)

    def drop(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "dropped\n"

    def segment_path(self):
        for link in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            if os.readlink(link) == "/memfd:weir-segment (deleted)":
                return link
        raise AssertionError("the holder has no segment")

    def save(self, path):
        answer = weir("stat", self.pid, "--save", path)
        assert answer.returncode == 0, answer.stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


def main():
    with contextlib.ExitStack() as stack:
        for _ in range(int(sys.argv[1])):
            stack.enter_context(Holder())
        answer = weir(*sys.argv[2:])
    sys.stdout.write(answer.stdout)
    sys.stderr.write(answer.stderr)
    return answer.returncode


if __name__ == "__main__":
    sys.exit(main())
