"""manage.py models log: prediction logs by command."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from config.settings import load_settings
from tests.house import opened
from tests.service.command_line import CommandLine

ACME = ("--model", "linear", "--tenant", "acme")
LOG = ("models", "log")


def test_a_log_is_set_filled_exported_and_destroyed(manage: CommandLine, tmp_path: Path) -> None:
    made = manage.json(*LOG, "set", *ACME, "--sample", "1", "--column", "x1")
    assert (made["sample"], made["columns"], made["rows"]) == (1.0, ["x1"], 0)
    with opened(load_settings(manage.instance)) as house:
        assert house.rob.predict([[1, 2], [3, 4]]).status_code == 200

    assert manage.json(*LOG, "show", *ACME)["rows"] == 2, "written when the worker ended"
    (segment,) = manage.json(*LOG, "segments", *ACME)
    output = tmp_path / "rows.parquet"
    exported = manage.json(*LOG, "export", *ACME, "--output", str(output))
    assert (exported["rows"], exported["lost"]) == (2, 0)
    assert pq.read_table(output).column("input.x1").to_pylist() == [2.0, 4.0]
    assert "exists" in manage.refusal(*LOG, "export", *ACME, "-o", str(output))
    since = ("--since", "2999-01-01")
    assert manage.json(*LOG, "export", *ACME, "-o", str(tmp_path / "none"), *since)["rows"] == 0

    file = next((manage.instance / "prediction-logs").rglob(segment["id"]))
    file.unlink()  # as after a restore
    again = manage.json(*LOG, "export", *ACME, "-o", str(tmp_path / "again"))
    assert (again["rows"], again["lost"]) == (0, 1)

    assert manage.run(*LOG, "delete", *ACME, stdin="n\n").exit_code == 1
    assert manage.json(*LOG, "delete", *ACME, "--yes")["destroyed_rows"] == 2
    assert "no log" in manage.refusal(*LOG, "show", *ACME)


def test_what_cannot_be_logged_is_refused_in_one_line(manage: CommandLine) -> None:
    assert "/sample" in manage.refusal(*LOG, "set", *ACME, "--sample", "0")
    assert "no model" in manage.refusal(
        *LOG, "set", "--model", "none", "--tenant", "acme", "--sample", "1"
    )
    assert "no log" in manage.refusal(*LOG, "export", *ACME, "-o", "x")
