#!/usr/bin/python3
"""Every subcommand of `weir` that reads a process, on a proxy that relays for redis-benchmark all the while."""

import contextlib
import json
import shutil
import subprocess
import unittest

import harness

class SubcommandsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        binary, benchmark = harness.need("redis-server", "redis-benchmark")
        cls.folder = cls.enterClassContext(harness.temp_folder())
        port = harness.free_port()
        command = [binary, "--port", port, "--bind", "127.0.0.1", "--dir", cls.folder, "--save", "", "--appendonly", "no"]
        cls.enterClassContext(harness.server(command, lambda: harness.listens(port)))
        cls.proxy = cls.enterClassContext(harness.Proxy(port, "--threads", "2", env={"WEIR_TRACE": "1"}))
        command = [benchmark, "-p", cls.proxy.port, "-t", "set,get", "-c", 20, "-d", 3000, "-l", "-q"]
        load = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.enterClassContext(contextlib.closing(contextlib.ExitStack())).callback(lambda: (load.kill(), load.wait()))
        harness.until(lambda: cls.ask("stat", "--json")["receivers"][0]["receives"] > 1000, "traffic")

    @classmethod
    def tell(cls, name, *arguments):
        answer = harness.ask_tool(name, cls.proxy.pid, *arguments)
        assert (answer.returncode, answer.stderr) == (0, ""), answer
        return answer.stdout

    @classmethod
    def ask(cls, name, *arguments):
        return json.loads(cls.tell(name, *arguments))

    def test_stat(self):
        self.assertIn("weir-proxy, process", self.tell("stat"))
        before, after = self.ask("stat", "--json"), self.ask("stat", "--json")
        self.assertGreater(sum(each["receives"] for each in after["receivers"]),
                           sum(each["receives"] for each in before["receivers"]))

    def test_a_saved_copy_is_read_as_the_process_is(self):
        saved = self.folder / "saved"
        shown = self.ask("stat", "--json", "--save", saved)
        again = json.loads(harness.ask_tool("stat", "--segment", saved, "--json").stdout)
        self.assertEqual({**again, "pid": shown["pid"]}, shown)

    def test_ls_and_env(self):
        listed = {each["pid"]: each for each in json.loads(harness.ask_tool("ls", "--json").stdout)}
        self.assertEqual(listed[self.proxy.pid]["pools"], ["proxy"])  # of others there may be an error instead
        options = {each["name"]: each for each in self.ask("env", "--json")["options"]}
        self.assertEqual(options["WEIR_TRACE"]["value"], "1")

    def test_holders(self):
        """A loan is out for microseconds, but for those on their way to a socket that is full."""
        def place():
            return [frame["function"] for group in self.ask("holders", "--json")["holders"] for frame in group["stack"]]

        harness.until(place, "a loan that is out")
        self.assertIn(" out\n", self.tell("holders"))

    def test_map(self):
        self.assertIn("node 0", self.tell("map"))
        cells = [cell for pool in self.ask("map", "--json")["pools"] for arena in pool["arenas"] for cell in arena["cells"]]
        self.assertIn("slab", {cell["kind"] for cell in cells})
        page = self.folder / "map.html"
        self.tell("map", "--html", page)
        self.tell("map", "--svg", self.folder / "map.svg")
        browser = shutil.which("chromium")
        if browser is None:
            self.skipTest("chromium is not installed")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.folder}/browser",
                   "--dump-dom", page.as_uri()]
        seen = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertGreater(seen.count("<title>"), 3)

    def test_advise_and_export(self):
        self.assertIsInstance(self.ask("advise", "--json"), (dict, list))
        self.assertRegex(self.tell("export", "--openmetrics"), r'weir_pool_[a-z_]+\{.*pool="proxy"')

    def test_doctor(self):
        answer = harness.ask_tool("doctor", "--json")
        self.assertIn(answer.returncode, (0, 1, 3))
        self.assertTrue(json.loads(answer.stdout))


if __name__ == "__main__":
    unittest.main()
