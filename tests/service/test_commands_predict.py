"""manage.py predict: files of rows from the operator's own disk."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from auth.records import UsageRow
from config.database import Database
from config.settings import load_settings
from tests.models.row_files import written
from tests.service.command_line import CommandLine

ROWS = np.array([[5.0, 10.0], [5.0, 10.0]])
WORDS = ("--model", "linear", "--tenant", "acme")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of rows."""
    path = tmp_path / "rows.npy"
    path.write_bytes(written("npy", ROWS))
    return path


def test_every_row_of_a_file_is_answered_beside_it(manage: CommandLine, rows: Path) -> None:
    made: dict[str, Any] = manage.json("predict", str(rows), *WORDS)

    answers = rows.with_name("rows.answers.npy")
    assert made == {
        "model": "linear",
        "version": 1,
        "methods": ["predict"],
        "rows": 2,
        "answers": str(answers),
    }
    assert np.load(answers).tolist() == [15.0, 15.0]
    assert manage.json("usage", "--tenant", "acme")[0]["rows"] == 2


def test_what_was_used_is_written_when_the_command_ends(manage: CommandLine, rows: Path) -> None:
    manage.text("predict", str(rows), *WORDS)

    with closing(Database(load_settings(manage.instance).database)) as database:
        assert database.glance(select(func.sum(UsageRow.rows))) == 2


def test_answers_have_the_form_that_the_name_of_their_file_ends_in(
    manage: CommandLine, rows: Path, tmp_path: Path
) -> None:
    options = ("--version", "champion", "--method", "predict")
    for name in ("a.csv", "a.parquet", "a.json"):
        manage.text("predict", str(rows), *WORDS, *options, "--output", str(tmp_path / name))

    assert (tmp_path / "a.csv").read_text() == "prediction\n15.0\n15.0\n"
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column("prediction").to_pylist() == [15.0, 15.0]
    assert table.schema.metadata[b"version"] == b"1"
    answers = '{"prediction":[15.0,15.0],"model":"linear","version":1}'
    assert (tmp_path / "a.json").read_text() == answers


def test_what_cannot_be_answered_is_said_in_one_line_and_leaves_no_file(
    manage: CommandLine, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("x0,x1\n5,10\n5,ten\n")

    assert "/rows/1/x1: not a number but a string" in manage.refusal("predict", str(rows), *WORDS)
    rows.write_text("x0,x1\n5,10\n")
    assert "no model 'missing'" in manage.refusal(
        "predict", str(rows), "--model", "missing", "--tenant", "acme"
    )
    for options in (("--version", "9"), ("--version", "-"), ("--output", "answers.doc")):
        assert manage.refusal("predict", str(rows), *WORDS, *options)
    assert "ends in one of" in manage.refusal("predict", str(manage.instance / "demo.json"), *WORDS)
    assert [path.name for path in tmp_path.glob("rows*")] == ["rows.csv"]
    assert not list((manage.instance / "uploads").iterdir())
