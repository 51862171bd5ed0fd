"""What the command line shows of strangers' texts: nothing that a terminal obeys."""

from __future__ import annotations

import pytest
from rich.progress import TextColumn

from config.prose import printable
from models.errors import FormatRefused
from service.commands.output import listing, progress, show
from service.commands.refusals import explain

ODD = "a\x1b]0;owned\x07\n\u202etxt\u2066\x9b[b]:bell:\r\u2028"


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\n", "\r", "\x9b", "\u202e", "\u2066", "\u200b"])
def test_what_is_not_printable_is_escaped_visibly(sign: str) -> None:
    shown = printable(f"a{sign}b")

    assert shown.isprintable()
    assert shown == f"a{sign.encode('unicode_escape').decode()}b"
    assert printable("naïve 数据") == "naïve 数据"


def test_members_and_their_names_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show({ODD: ODD, "list": [ODD], "nested": {ODD: {ODD: ODD}}}, as_json=False)
    lines = capsys.readouterr().out.split("\n")

    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_cells_of_a_table_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    listing([{"name": ODD, "other": "[/red]"}], ("name", "other"), as_json=False)
    lines = capsys.readouterr().out.split("\n")

    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert "[b]:bell:" in lines[1]
    assert "[/red]" in lines[1]


def test_a_bar_shows_a_text_as_it_is() -> None:
    with progress("[/red]") as bar:
        bar.disable = False
        bar.add_task("[link=https://other.example]here[/red]")
        column = bar.columns[0]
        assert isinstance(column, TextColumn)
        shown = str(column(bar.tasks[0]))

    assert shown == "[link=https://other.example]here[/red]"


def test_json_keeps_the_text_and_escapes_what_controls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show({"name": "a\x1b[2J"}, as_json=True)

    assert "\\u001b[2J" in capsys.readouterr().out


def test_refusals_steer_no_terminal() -> None:
    line = explain(FormatRefused(ODD))

    assert line is not None
    assert line.isprintable()
    assert "\\x1b]0;owned" in line
