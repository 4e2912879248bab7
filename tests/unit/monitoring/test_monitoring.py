"""What comes along for Prometheus and Grafana names what the daemon exports, and does what it says."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.status.metric_rows import OF_DATABASE, OF_PROCESS

ROOT = Path(__file__).parents[3]
RULES = ROOT / "config" / "prometheus-rules.yml"
RULE_TESTS = Path(__file__).with_name("prometheus-rules.test.yml")
DASHBOARD = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text("utf-8"))

EXPORTED = {metric.name for metric in (*OF_PROCESS, *OF_DATABASE)}
# Prometheus' own, and those that prometheus_client exports of every process.
OF_OTHERS = {"up", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}
METRIC = r"\b((?:dongbo|process)_[a-z_]+|up)(?=[{\[\s,)]|$)"
VARIABLES = {"$instance": "shop", "$store": "main", "$__rate_interval": "5m"}
MUST = "DONGBO_PROMTOOL_TESTS"


@pytest.fixture(scope="module")
def promtool() -> str:
    """Of Debian's package `prometheus`."""
    found = shutil.which("promtool")
    if found is None:
        assert os.environ.get(MUST) != "must", "promtool is missing: apt-get install prometheus"
        pytest.skip("promtool is not installed: it is in Debian's package prometheus")
    return found


def run(promtool: str, *arguments: str | Path) -> str:
    """What promtool says; it must be content."""
    ended = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def expressions() -> Iterator[str]:
    """What the rules and the dashboard ask Prometheus for."""
    yield from re.findall(r"^ +expr: (.*)$", RULES.read_text("utf-8"), re.MULTILINE)
    yield from queries()
    yield from (variable["definition"] for variable in DASHBOARD["templating"]["list"] if "definition" in variable)


def panels() -> list[dict[str, Any]]:
    """Those of the dashboard that show something."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[str]:
    """Those of the dashboard's panels."""
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def test_the_rules_are_valid_and_fire_when_they_should(promtool: str) -> None:
    """Each one has a test of its own, of when it fires and when it does not."""
    run(promtool, "check", "rules", RULES)
    run(promtool, "test", "rules", RULE_TESTS)
    rules = set(re.findall(r"- alert: (\w+)", RULES.read_text("utf-8")))
    tests = RULE_TESTS.read_text("utf-8")
    fires = re.findall(r"alertname: (\w+)\n +exp_alerts:", tests)
    rests = re.findall(r"alertname: (\w+) \}", tests)
    assert rules == set(fires) == set(rests)


def test_what_the_dashboard_asks_for_is_valid(promtool: str, tmp_path: Path) -> None:
    """As recording rules, with the variables filled in."""
    rules = []
    for number, query in enumerate(queries()):
        for variable, value in VARIABLES.items():
            query = query.replace(variable, value)
        rules.append({"record": f"query_{number}", "expr": query})
    file = tmp_path / "queries.yml"  # JSON is YAML, too
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    run(promtool, "check", "rules", "--lint=none", file)


def test_all_metrics_that_are_named_are_exported() -> None:
    """A metric that is renamed would leave an alert that never fires, and an empty panel."""
    named = {name for expression in expressions() for name in re.findall(METRIC, expression)}
    assert named
    assert named <= EXPORTED | OF_OTHERS


def test_every_panel_can_be_drawn() -> None:
    """On whatever data source is chosen, under an id of its own, within the grid and over no other."""
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}, panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
