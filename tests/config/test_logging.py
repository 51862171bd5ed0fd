"""What a log line may hold: identifiers and reasons, no secret and no caller's data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from config.database import Database
from config.logging import frames_of

SECRET = "correct horse battery staple"
COLOUR = r"\x1b\[[0-9;]*m"
SCRIPT = """
import sys
import structlog
from config.logging import configure_logging

configure_logging("info", sys.argv[1])
secret = sys.argv[2]
log = structlog.get_logger("test")
log.info(
    "refused",
    tenant="ten_1",
    new_password=secret,
    Authorization=secret,
    refresh_token=secret,
    body={"otp": secret, "rows": [{"features": secret}]},
)
try:
    local = secret
    raise ValueError("a plain reason")
except ValueError:
    log.exception("unforeseen")
log.debug("below the level")
"""
STEERING = """
import logging
import structlog
from config.logging import configure_logging

configure_logging("info", "console")
odd = "a\\x1b[2J\\nforged \\u202etxt\\u2066"
structlog.get_logger("test").info(odd, reason=odd, short="\\x1b[2J", nested=[odd], **{odd: 1})
logging.getLogger("library").warning("of a library: %s", odd)
try:
    raise ValueError(odd.replace("\\n", " "))
except ValueError:
    structlog.get_logger("test").exception("unforeseen")
"""


def logged(form: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, form, SECRET], capture_output=True, text=True, check=True
    )
    assert run.stdout == ""
    return run.stderr


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_blanked_wherever_they_are_named_and_absent_from_tracebacks(form: str) -> None:
    text = logged(form)

    assert SECRET not in text
    assert "ten_1" in text
    assert "a plain reason" in text
    assert "below the level" not in text


def test_each_line_is_one_json_object_with_level_and_time() -> None:
    lines = [json.loads(line) for line in logged("json").splitlines()]

    assert [line["level"] for line in lines] == ["info", "error"]
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_a_terminal_obeys_nothing_that_a_line_holds() -> None:
    run = subprocess.run(
        [sys.executable, "-c", STEERING], capture_output=True, text=True, check=True
    )
    lines = re.sub(COLOUR, "", run.stderr).split("\n")

    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("forged") for line in lines)
    assert len([line for line in lines if "Traceback" in line]) == 1


def test_an_unforeseen_error_is_told_without_what_it_quotes() -> None:
    try:
        try:
            float(str(SECRET))
        except ValueError as error:
            raise RuntimeError(f"no such row: {error}") from error
    except RuntimeError as error:
        told = frames_of(error)

    assert "test_logging.py" in told
    assert told.endswith("RuntimeError of ValueError")
    assert SECRET not in told


def test_an_error_of_the_database_hides_what_it_was_asked_with(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(OperationalError) as raised, database.read() as session:
        session.execute(text("SELECT * FROM nowhere WHERE word = :word"), {"word": SECRET})
    database.close()

    assert "nowhere" in str(raised.value)
    assert SECRET not in str(raised.value)
