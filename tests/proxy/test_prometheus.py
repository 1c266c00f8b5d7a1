#!/usr/bin/python3
"""A real Prometheus scrapes `weir export --listen` of a proxy at work, with the alert rules, and answers for the dashboard."""

import contextlib
import json
import pathlib
import re
import subprocess
import unittest
import urllib.error
import urllib.parse
import urllib.request

import harness
import wire

SHARE = pathlib.Path(__file__).parents[2] / "tools" / "weir" / "share"
BYTES = 1 << 20
CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: weir
    static_configs: [{{targets: ["{target}"]}}]
"""


class Exporter:
    """A running `weir export PID --listen`."""

    def __init__(self, pid):
        self.pid = pid
        self.process = subprocess.Popen([harness.WEIR_TOOL, "export", str(pid), "--openmetrics", "--listen", "127.0.0.1:0"],
                                        stderr=subprocess.PIPE, text=True)
        self.address = re.search(r"http://([\d.:]+)/metrics", self.process.stderr.readline())[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=harness.PATIENCE)
        assert self.process.returncode == 0, f"weir export ended with {self.process.returncode}"


class Prometheus:
    """Run by hand, never as a service; its data goes with the test."""

    def __init__(self, stack, target):
        folder = stack.enter_context(harness.temp_folder())
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(rules=SHARE / "weir-alerts.yml", target=target))
        port = harness.free_port()
        self.api = f"http://127.0.0.1:{port}/api/v1/"
        command = [harness.need("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
                   f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
        stack.enter_context(harness.server(command, lambda: self.ready(f"http://127.0.0.1:{port}/-/ready")))

    def ready(self, url):
        try:
            with urllib.request.urlopen(url, timeout=1) as reply:
                return reply.status == 200
        except OSError:
            return False

    def get(self, path, **arguments):
        with urllib.request.urlopen(f"{self.api}{path}?{urllib.parse.urlencode(arguments)}", timeout=harness.PATIENCE) as reply:
            return json.load(reply)["data"]

    def values(self, expression):
        return [float(sample["value"][1]) for sample in self.get("query", query=expression)["result"]]


def expressions():
    board = json.loads((SHARE / "weir-dashboard.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield re.sub(r"\$(instance|pool)\b", ".*", target["expr"]).replace("$__rate_interval", "10s")


class PrometheusTest(unittest.TestCase):
    def setUp(self):
        harness.need("prometheus", "promtool")

    def test_scrapes_a_proxy(self):
        with wire.Upstream() as upstream, contextlib.ExitStack() as stack:
            with harness.Proxy(upstream.port) as proxy:
                exporter = stack.enter_context(Exporter(proxy.pid))
                prometheus = Prometheus(stack, exporter.address)
                harness.until(lambda: prometheus.values("up") == [1], "the target is up")
                with contextlib.ExitStack() as ends:
                    pair = ends.enter_context(wire.relayed(proxy, upstream))
                    for sent, received in wire.exchange([pair], BYTES):
                        self.assertEqual(sent, received)
                    self.check_counts(prometheus, proxy.pid)
                    self.check_panels(prometheus)
                self.check_units(prometheus)
                self.check_metrics_of(exporter)
            harness.until(lambda: prometheus.values("up") == [0], "the target is down")
            pending = 'ALERTS{alertname="WeirNotExported", alertstate="pending"}'
            harness.until(lambda: prometheus.values(pending) == [1], "the alert is pending")

    def check_counts(self, prometheus, pid):
        """Its answers are those of `weir stat`."""
        for expression, count in (("sum(weir_receiver_received_bytes_total)", lambda stat: self.received(stat, "bytes")),
                                  ("sum(weir_receiver_connections)", lambda stat: self.received(stat, "connections")),
                                  ('sum(weir_pool_buffers{holder="kernel_ring"})', lambda stat: stat["kernel_ring"]),
                                  ("sum(weir_pool_buffers)", lambda stat: stat["capacity"]),
                                  ("sum(weir_pool_lends_total)", lambda stat: stat["lends"])):
            harness.until(lambda: prometheus.values(expression) == [count(harness.stat(pid))],
                          lambda: f"{expression} is {prometheus.values(expression)}, as `weir stat` says")
        self.assertGreaterEqual(self.received(harness.stat(pid), "bytes"), 2 * BYTES)

    def received(self, stat, name):
        return sum(receiver[name] for receiver in stat["receivers"])

    def check_panels(self, prometheus):
        for expression in expressions():
            harness.until(lambda: prometheus.values(expression), f"an answer to {expression}")

    def check_units(self, prometheus):
        """Only OpenMetrics has them."""
        said = prometheus.get("metadata", metric="weir_receiver_received_bytes")["weir_receiver_received_bytes"]
        self.assertEqual([(each["type"], each["unit"]) for each in said], [("counter", "bytes")])

    def check_metrics_of(self, exporter):
        with urllib.request.urlopen(f"http://{exporter.address}/metrics", timeout=harness.PATIENCE) as reply:
            self.assertTrue(reply.read().endswith(b"# EOF\n"))
        text = harness.ask_tool("export", exporter.pid).stdout
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


if __name__ == "__main__":
    harness.main()
