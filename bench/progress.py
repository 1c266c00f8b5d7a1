"""Where the work is: one changing line on a terminal, else a line where one is wanted."""
import sys
import time


class Progress:
    def __init__(self, steps):
        self.steps, self.done, self.began = steps, 0, time.monotonic()

    def step(self, what, wanted):
        line = f"{self.done * 100 // self.steps:3} %  {time.monotonic() - self.began:4.0f} s  {what}"
        if sys.stdout.isatty():
            print(f"\r\033[K{line}", end="", flush=True)
        elif wanted:
            print(line, flush=True)
        self.done += 1

    def end(self):
        if sys.stdout.isatty():
            print("\r\033[K", end="")
