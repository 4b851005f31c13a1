"""Alerts and dashboard ask for metrics and labels that the operator has, and reach the cluster as they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import promql_parser
import pytest
import yaml
from charts.helm import CHART, Helm, only
from prometheus_client.samples import Sample
from render.cases import run_of
from selfreward.api import RunStatus
from selfreward.control.metrics import Metrics
from selfreward.plan import build_graph

ALERTS: Final = CHART / "files" / "alerts.yaml"
DASHBOARD: Final = CHART / "files" / "dashboard.json"
_METRIC: Final = re.compile(r"\b(selfreward_\w+)(?:\{([^}]*)\})?")
_GROUPED: Final = re.compile(r"by \(([^)]*)\)")


def samples() -> Iterator[Sample]:
    """One of every series that the operator has ever told of."""
    metrics = Metrics()
    run = run_of()
    metrics.decided("team/demo", run, build_graph(run.spec), RunStatus(), datetime.now(UTC), handed_off=None)
    metrics.step_seconds.labels("dpo").observe(1)
    for counter in (metrics.attempts, metrics.tokens):
        counter.labels("dpo").inc()
    metrics.failures.labels("dpo", "Infrastructure").inc()
    metrics.gpu_seconds.labels("dpo").inc()
    metrics.reconciles.labels("error").inc()
    for family in metrics.collect().collect():
        yield from family.samples


KNOWN: Final[Mapping[str, set[str]]] = {sample.name: set(sample.labels) for sample in samples()}


def expressions() -> dict[str, str]:
    """By where each stands."""
    alerts = {f"alert {each['alert']}": each["expr"] for each in yaml.safe_load(ALERTS.read_text())}
    board = json.loads(DASHBOARD.read_text())
    panels = {
        f"panel {panel['title']} {target['refId']}": target["expr"]
        for panel in board["panels"]
        for target in panel["targets"]
    }
    variables = {
        f"variable {each['name']}": each["definition"]
        for each in board["templating"]["list"]
        if each["type"] == "query"
    }
    return alerts | panels | variables


@pytest.mark.parametrize("expression", [pytest.param(text, id=name) for name, text in expressions().items()])
def test_what_is_asked_for_exists(expression: str) -> None:
    asked = _METRIC.findall(expression)
    assert asked
    for metric, selector in asked:
        assert metric in KNOWN
        matched = {each.partition("=")[0].strip() for each in re.split(r",(?=\s*\w+=)", selector) if each}
        assert matched <= KNOWN[metric]
    for grouped in _GROUPED.findall(expression):
        assert {each.strip() for each in grouped.split(",")} <= set.union(*(KNOWN[metric] for metric, _ in asked))


@pytest.mark.parametrize("expression", [pytest.param(text, id=name) for name, text in expressions().items()])
def test_what_is_asked_is_promql(expression: str) -> None:
    # Grafana and not Prometheus knows its variables; a variable of the dashboard is a call of Grafana's too.
    asked = expression.replace("$__rate_interval", "1m")
    if called := re.fullmatch(r"label_values\((.+), *\w+\)", asked):
        asked = called[1]
    promql_parser.parse(asked)


def test_every_metric_is_on_the_dashboard_or_alerted_on() -> None:
    text = " ".join(expressions().values()) + DASHBOARD.read_text()
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in KNOWN if not name.endswith("_created")}
    assert {name for name in families if name not in text} == set()


@pytest.mark.parametrize("alert", [pytest.param(each, id=each["alert"]) for each in yaml.safe_load(ALERTS.read_text())])
def test_an_alert_says_what_is_wrong_and_only_what_its_expression_leaves(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    kept = {each.strip() for grouped in _GROUPED.findall(alert["expr"]) for each in grouped.split(",")}
    assert used <= kept


def test_rules_and_dashboard_are_there_when_asked_for(helm: Helm) -> None:
    asked = {"prometheusRule": {"enabled": True, "labels": {"release": "p"}}, "dashboard": {"enabled": True}}
    manifests = helm.render({"metrics": asked})
    rule = only(manifests, "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    assert group["rules"] == yaml.safe_load(ALERTS.read_text())
    assert rule["metadata"]["labels"]["release"] == "p"
    board = only(manifests, "ConfigMap")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert board["data"] == {"selfreward.json": DASHBOARD.read_text()}
    assert {"PrometheusRule", "ConfigMap", "ServiceMonitor"}.isdisjoint(each["kind"] for each in helm.render())


def test_more_rules_come_after_the_chart_s_own(helm: Helm) -> None:
    more = {"record": "selfreward:runs", "expr": "sum(selfreward_runs)"}
    asked = {"enabled": True, "additionalRules": [more]}
    rule = only(helm.render({"metrics": {"prometheusRule": asked}}), "PrometheusRule")
    assert rule["spec"]["groups"][0]["rules"][-1] == more


def test_a_run_keeps_its_namespace_where_prometheus_scrapes(helm: Helm) -> None:
    monitor = only(helm.render({"metrics": {"serviceMonitor": {"enabled": True}}}), "ServiceMonitor")
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True
