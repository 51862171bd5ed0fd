"""What is told of metrics is so: in the guide, in the dashboard, and in the alerts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from auth.permissions import Permission
from config.telemetry import PREFIX, Telemetry
from tests.docs.markdown import ROOT, code, rows
from tests.house import House

DEPLOY = ROOT / "deploy"
GUIDE = ROOT / "docs" / "how-to" / "observe.md"
DESCRIBED = {metric.name: metric for metric in Telemetry().described}
OF_PROMETHEUS = {"instance", "job"}  # it adds these to every series
SERIES = re.compile(rf"\b({PREFIX}_\w+)(?:\{{([^}}]*)\}})?")
GROUPED = re.compile(r"\b(?:by|without) \(([^)]*)\)")
WORD = re.compile(r"(\w+)(?:=~|!=|!~|=)\"")


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DEPLOY / "grafana" / "sallyport.json").read_text())
    return loaded


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((DEPLOY / "prometheus" / "sallyport.rules.yml").read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Where each expression stands, and what it is."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]


def labels_of(series: str) -> set[str]:
    """The labels of a series as it is exposed; fails for one that is not."""
    part = re.search(r"_(bucket|sum|count)$", series)
    metric = DESCRIBED.get(series)
    if metric is None:
        assert part, f"{series} is no metric of this platform"
        metric = DESCRIBED[series.removesuffix(part[0])]
        assert metric.kind == "histogram", series
    else:
        assert metric.kind != "histogram", f"{series} is exposed in parts"
    return {*metric.labels, *OF_PROMETHEUS} | ({"le"} if series.endswith("_bucket") else set())


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_asks_for_what_is_exposed(where: str, expression: str) -> None:
    asked = SERIES.findall(expression)
    recorded = [rule["record"] for rule in rules() if "record" in rule]
    assert asked or "up{" in expression or any(name in expression for name in recorded), where
    offered: set[str] = set()
    for series, selectors in asked:
        offered |= labels_of(series)
        assert set(WORD.findall(selectors)) <= labels_of(series), (where, series)
    for grouped in GROUPED.findall(expression):
        assert {label.strip() for label in grouped.split(",")} <= offered, where


def test_the_dashboard_is_whole() -> None:
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels)))
    assert used - {"__rate_interval"} <= variables


def test_every_metric_is_on_the_dashboard_or_build_info() -> None:
    shown = {
        re.sub(r"_(bucket|sum|count)$", "", series) if series not in DESCRIBED else series
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
        for series, _ in SERIES.findall(target["expr"])
    }
    assert shown == set(DESCRIBED)


def test_an_alert_says_what_it_is_and_what_to_do() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({alert["alert"] for alert in alerts}) == len(alerts)
    for alert in alerts:
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert alert["annotations"].keys() == {"summary", "remedy"}


def test_the_guide_lists_the_metrics_of_the_code() -> None:
    listed = rows(GUIDE.read_text(), f"`{PREFIX}_")
    assert {
        code(name): (kind, {label.strip("` ") for label in labels.split(",") if label})
        for name, kind, labels, _ in listed
    } == {name: (metric.kind, set(metric.labels)) for name, metric in DESCRIBED.items()}
    assert [row[3] for row in listed] == [metric.meaning for metric in DESCRIBED.values()]


def test_prometheus_fetches_a_token_as_its_configuration_says(shared_house: House) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    path = re.sub(r"https://[^/]+", "", job["oauth2"]["token_url"])
    made = shared_house.olga.post(
        "/admin/clients", json={"name": "prometheus", "scope": str(Permission.METRICS)}
    ).get_json()
    # As Go's oauth2 sends them, which Prometheus uses.
    token = shared_house.client.post(
        path, data={"grant_type": "client_credentials"}, auth=(made["id"], made["secret"])
    ).get_json()["access_token"]
    shown = shared_house.client.get(
        job["metrics_path"], headers={"Authorization": f"Bearer {token}"}
    )

    assert shown.status_code == 200
    assert f"{PREFIX}_build_info" in shown.text
