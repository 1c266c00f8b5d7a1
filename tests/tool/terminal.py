"""A program on a terminal of its own, driven by tmux: keys go in, the screen comes out."""
import os
import shlex
import shutil
import subprocess
import time
import unittest

PATIENCE = 30  # seconds before something that should happen at once counts as not happening


class Terminal:
    """Runs a shell command in a terminal of a size; afterwards the shell says "ended STATUS" and waits."""

    servers = 0

    def __init__(self, command, columns=80, rows=24, env=None):
        if not shutil.which("tmux"):
            raise unittest.SkipTest("tmux is not installed")
        Terminal.servers += 1
        self.server = f"weir-test-{os.getpid()}-{Terminal.servers}"
        words = " ".join(map(shlex.quote, map(str, command)))
        # What stty says before and after tells whether the terminal was restored.
        script = f'trap : INT QUIT; echo begins; before=$(stty -g); {words}; echo "ended $?"; ' \
                 '[ "$before" = "$(stty -g)" ] && echo restored; sleep 1000'
        env = {"LC_ALL": "C.UTF-8", "TERM": "screen-256color", **(env or {})}
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, "env", "-u", "TMUX",
                  *(f"{name}={value}" for name, value in env.items()), "sh", "-c", script)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server", check=False)

    def tmux(self, *arguments, check=True):
        done = subprocess.run(["tmux", "-L", self.server, *map(str, arguments)], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        assert done.returncode == 0 or not check, f"tmux {arguments}: {done.stderr}"
        return done.stdout

    def send(self, *keys):
        """Keys by tmux's names: q, Tab, C-c, Left."""
        self.tmux("send-keys", *keys)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", columns, "-y", rows)

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def until(self, condition, what, again=None):
        """The first screen of which condition(screen) is true, or that has the text `condition`. Where a program that is
        busy may lose keys, `again` types them once more, every three seconds."""
        deadline = time.monotonic() + PATIENCE
        next_try = time.monotonic() + 3
        holds = condition if callable(condition) else lambda screen: condition in screen
        while not holds(screen := self.screen()):
            assert time.monotonic() < deadline, f"still not {what}, but:\n{screen}"
            if again and time.monotonic() > next_try:
                next_try = time.monotonic() + 3
                again()
            time.sleep(0.05)
        return screen
