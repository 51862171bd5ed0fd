"""manage.py models: versions and aliases by command."""

from __future__ import annotations

import pytest

from config.settings import load_settings
from tests.house import opened
from tests.service.command_line import CommandLine

ACME = ("--tenant", "acme")


@pytest.fixture
def three(manage: CommandLine) -> CommandLine:
    """Acme's model has three versions, the first of them champion."""
    with opened(load_settings(manage.instance)) as house:
        house.add_version()
        house.add_version()
    return manage


def test_a_version_is_promoted_and_rolled_back(three: CommandLine) -> None:
    words = ("models", "promote", "linear", "3", *ACME, "--reason", "better")
    moved = three.json(*words)
    assert (moved["from_number"], moved["to_number"], moved["reason"]) == (1, 3, "better")
    assert moved["moved_by"].startswith("operator:")
    assert three.json("models", "show", "linear", *ACME)["champion"] == 3

    back = three.json("models", "rollback", "linear", *ACME)

    assert (back["from_number"], back["to_number"], back["is_rollback"]) == (3, 1, True)
    assert "no other version" in three.refusal("models", "rollback", "linear", *ACME)


def test_another_alias_is_moved_and_listed(three: CommandLine) -> None:
    for version in ("2", "3"):
        three.json("models", "promote", "linear", version, *ACME, "--alias", "canary")

    listed = three.json("models", "aliases", "linear", *ACME)
    assert listed == [
        {"alias": "canary", "version": 3, "previous": 2},
        {"alias": "champion", "version": 1, "previous": None},
    ]
    back = three.json("models", "rollback", "linear", *ACME, "--alias", "canary")
    assert back["to_number"] == 2


def test_a_version_is_retired_activated_pinned_unpinned_and_deleted(three: CommandLine) -> None:
    def change(*words: str) -> tuple[str, bool]:
        shown = three.json("models", words[0], "linear", "2", *ACME)
        return shown["state"], shown["pinned"]

    assert change("retire") == ("retired", False)
    assert "retired" in three.refusal("models", "promote", "linear", "2", *ACME)
    assert change("activate") == ("active", False)
    assert change("pin") == ("active", True)
    delete = ("models", "delete", "linear", "--version", "2", *ACME)
    assert "pinned" in three.refusal(*delete, "--yes")
    assert change("unpin") == ("active", False)
    assert three.run(*delete, stdin="n\n").exit_code == 1
    assert three.json(*delete, "--yes")["state"] == "deleted"
    listed = three.json("models", "versions", "linear", *ACME)
    assert [(v["version"], v["state"]) for v in listed] == [
        (3, "active"),
        (2, "deleted"),
        (1, "active"),
    ]


def test_a_model_is_deleted_when_that_is_meant(three: CommandLine) -> None:
    assert three.run("models", "delete", "linear", *ACME, stdin="n\n").exit_code == 1
    assert three.json("models", "delete", "linear", *ACME, "--yes")["versions"] == [1, 2, 3]
    assert three.json("models", "list", *ACME) == []
    assert "linear" in three.refusal("models", "delete", "linear", *ACME, "--yes")


def test_the_report_of_a_version_can_be_read(three: CommandLine) -> None:
    shown = three.json("models", "show", "linear", *ACME, "--version", "champion")
    assert shown["manifest"]["parity"]["agrees"] is True

    text = three.text("models", "show", "linear", *ACME, "--version", "1")

    lines = {line.split("  ")[0]: line for line in text.splitlines() if line}
    assert "champion" in lines["aliases"]
    assert lines["estimator"].endswith("LinearRegression")
    assert lines["labels differing"].endswith("0")
    assert lines["agrees"].endswith("True")
    assert shown["manifest"]["source_digest"] in text
    for file in shown["manifest"]["files"].values():
        assert file["digest"] in text
    assert any(line.startswith("predict ") for line in text.splitlines()), "parity by method"


REFUSED = [
    ("promote", "linear", "99"),
    ("promote", "linear", "9" * 30),
    ("promote", "none", "1"),
    ("promote", "linear", "1", "--alias", "Big"),
    ("rollback", "linear"),
    ("rollback", "linear", "--alias", "none"),
    ("retire", "linear", "1"),
    ("retire", "linear", "champion"),
    ("retire", "linear", "\udcff"),
    ("activate", "linear", "2"),
    ("delete", "linear", "--version", "1", "--yes"),
    ("delete", "none", "--yes"),
    ("versions", "none"),
    ("versions", "linear", "--limit", "0"),
    ("aliases", "none"),
    ("show", "linear", "--version", "2"),
]


@pytest.mark.parametrize("words", REFUSED, ids=ascii)
def test_a_refusal_is_one_line(manage: CommandLine, words: tuple[str, ...]) -> None:
    assert manage.refusal("models", *words, *ACME)
