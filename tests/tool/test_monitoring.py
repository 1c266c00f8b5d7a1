#!/usr/bin/python3
"""The alert rules fire when they shall, and the dashboard asks for what is exported, in a language that Prometheus knows."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import holder
from holder import Holder, weir

HERE = pathlib.Path(__file__).parent
SHARE = HERE.parents[1] / "tools" / "weir" / "share"
METRIC = re.compile(r"\bweir_\w+")


def expressions():
    """Those of all panels, as Grafana sends them."""
    board = json.loads((SHARE / "weir-dashboard.json").read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield re.sub(r"\$(instance|pool)\b", ".*", target["expr"]).replace("$__rate_interval", "1m")


@unittest.skipUnless(shutil.which("promtool"), "promtool is not installed (Debian: prometheus)")
class MonitoringTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="weir-tool.")))

    def promtool(self, *arguments):
        return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False,
                              timeout=holder.PATIENCE, cwd=self.folder)

    def check_accepted(self, *arguments):
        done = self.promtool(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_alerts_fire_when_they_shall(self):
        for file in (SHARE / "weir-alerts.yml", HERE / "alerts_test.yml"):
            shutil.copy(file, self.folder)
        self.check_accepted("check", "rules", "weir-alerts.yml")
        self.check_accepted("test", "rules", "alerts_test.yml")

    def test_each_alert_is_tested(self):
        alerts = re.findall(r"alert: (\w+)", (SHARE / "weir-alerts.yml").read_text(encoding="utf-8"))
        tested = (HERE / "alerts_test.yml").read_text(encoding="utf-8")
        for alert in alerts:
            self.assertRegex(tested, rf"alertname: {alert}\n\s+exp_alerts:\n\s+- ", f"{alert} is never seen to fire")

    def rules_of(self, queries):
        rules = [{"record": f"panel{number}", "expr": each} for number, each in enumerate(queries)]
        (self.folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="ascii")

    def test_dashboard_is_understood(self):
        self.rules_of(expressions())
        self.check_accepted("check", "rules", "rules.yml")
        self.rules_of(["sum(weir_pool_buffers"])
        self.assertNotEqual(self.promtool("check", "rules", "rules.yml").returncode, 0)

    def test_what_is_asked_for_is_exported(self):
        with Holder() as held:
            exported = set(METRIC.findall(weir("export", held.pid).stdout))
        rules = (SHARE / "weir-alerts.yml").read_text(encoding="utf-8")
        asked = set(METRIC.findall(" ".join(expressions()))) | set(METRIC.findall(rules))
        self.assertGreater(len(asked), 15)
        self.assertEqual(asked - exported, set())


if __name__ == "__main__":
    unittest.main()
