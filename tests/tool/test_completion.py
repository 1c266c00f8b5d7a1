#!/usr/bin/python3
"""bash, zsh and fish complete weir's words, typed into the shells themselves."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import holder
from holder import Holder, weir
from terminal import Terminal

SHELLS = {
    "bash": (["bash", "--norc", "-i"], 'eval "$(weir completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit && compinit -D -u && eval "$(weir completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "weir completion fish | source"),
}


def subcommands():
    text = weir("--help").stdout.split("Subcommands:\n")[1]
    return re.findall(r"(?m)^  (\w+)", text)


def options_of(subcommand):
    return re.findall(r"(?m)^ +(?:-\w,)?(--[\w-]+)", weir(subcommand, "--help").stdout)


@contextlib.contextmanager
def shell(name):
    """The shell in a terminal, with weir's completion."""
    if not shutil.which(name):
        raise unittest.SkipTest(f"{name} is not installed")
    command, prepare = SHELLS[name]
    with tempfile.TemporaryDirectory(prefix="weir-completion.") as home:
        env = {"HOME": home, "PATH": os.path.dirname(holder.WEIR) + ":" + os.environ["PATH"]}
        pathlib.Path(home, "a-file").touch()
        with Terminal(command, columns=150, rows=50, env=env) as terminal:
            terminal.send(f"cd ~; {prepare}; clear; echo pre''pared", "Enter")
            terminal.until(lambda screen: re.search("(?m)^prepared", screen), "prepared")
            yield terminal


def completes(terminal, typed, result):
    """Types it and Tab, until the line has become the result; then clears the line."""
    def type_it():
        terminal.send("C-u")
        terminal.send("-l", typed)
        terminal.send("Tab")

    type_it()
    terminal.until(lambda screen: re.search(rf"(?m)[#$%>~] ?{re.escape(result)}\b", screen), f"completed to {result}", type_it)
    terminal.send("C-u")


class ShellTest(unittest.TestCase):
    def check(self, name):
        with shell(name) as terminal, Holder() as held:
            completes(terminal, "weir compl", "weir completion")
            completes(terminal, "weir watch --int", "weir watch --interval")
            completes(terminal, "weir completion fi", "weir completion fish")
            completes(terminal, "weir stat --segment a-f", "weir stat --segment a-file")
            def list_processes():
                terminal.send("C-u")
                terminal.send("-l", "weir top ")
                terminal.send("Tab", "Tab")

            list_processes()
            terminal.until(str(held.pid), "completed by processes", list_processes)

    def test_bash(self):
        self.check("bash")

    def test_zsh(self):
        self.check("zsh")

    def test_fish(self):
        self.check("fish")


class WordsTest(unittest.TestCase):
    def test_bash_knows_every_word(self):
        def complete(*words):
            script = '. /dev/stdin; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir; printf "%s\\n" "${COMPREPLY[@]}"'
            done = subprocess.run(["bash", "-c", script, "bash", "weir", *words], input=weir("completion", "bash").stdout,
                                  capture_output=True, text=True, timeout=holder.PATIENCE, check=True)
            return done.stdout.split()

        self.assertEqual(complete(""), ["--help", "--version", *subcommands()])
        self.assertGreaterEqual(len(subcommands()), 6)
        for name in subcommands():
            with self.subTest(name):
                self.assertEqual(sorted(complete(name, "--")), sorted(options_of(name)))

    def test_the_other_scripts_have_every_word(self):
        for name, option in (("zsh", "'{}["), ("fish", " -l {} ")):
            script = weir("completion", name).stdout
            for subcommand in subcommands():
                self.assertIn(subcommand, script)
                for word in options_of(subcommand):
                    self.assertIn(option.format(word if name == "zsh" else word[2:]), script, subcommand)

    def test_unknown_shell(self):
        for arguments in ((), ("tcsh",), ("bash", "zsh")):
            answer = weir("completion", *arguments)
            self.assertEqual((answer.returncode, answer.stdout), (2, ""))
            self.assertRegex(answer.stderr, r"\Aweir: [^\n]+`weir completion --help`\n\Z")


if __name__ == "__main__":
    unittest.main()
