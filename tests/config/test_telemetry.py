"""Metrics are summed over workers, and bounded in their labels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from config.telemetry import Telemetry, prepare_folder

WORKER = """
from config.telemetry import Telemetry
telemetry = Telemetry()
telemetry.logins.labels("admitted").inc(2)
telemetry.epoch.set(7)
"""
SCRAPE = """
from config.telemetry import Telemetry
telemetry = Telemetry()
telemetry.logins.labels("admitted").inc()
telemetry.epoch.set(9)
print(telemetry.exposition().decode())
"""


def run(script: str, folder: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", script],
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_counters_of_ended_workers_count_and_their_gauges_do_not(tmp_path: Path) -> None:
    run(WORKER, tmp_path)
    run(WORKER, tmp_path)

    shown = run(SCRAPE, tmp_path)

    assert 'sallyport_logins_total{outcome="admitted"} 5.0' in shown
    assert "sallyport_epoch 9.0" in shown


def test_a_new_run_starts_from_nothing(tmp_path: Path) -> None:
    run(WORKER, tmp_path)
    prepare_folder(tmp_path)

    assert 'sallyport_logins_total{outcome="admitted"} 1.0' in run(SCRAPE, tmp_path)


def test_a_process_alone_shows_its_own_metrics() -> None:
    telemetry = Telemetry()
    telemetry.refusals.labels("not-found", "none").inc()

    assert (
        b'sallyport_refusals_total{dialect="none",problem="not-found"} 1.0'
        in telemetry.exposition()
    )
