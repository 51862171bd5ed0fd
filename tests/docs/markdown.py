"""The documents, and what the tests read out of them: tables, blocks, links, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
REFERENCE: Final = ROOT / "docs" / "reference"
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED: Final = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
LINK: Final = re.compile(r"\[[^\]\[]+\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)

Row = tuple[str, ...]


def documents() -> list[Path]:
    """Every document that a reader may open."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def rows(text: str, first: str = "") -> list[Row]:
    """The cells of every table row whose first cell begins so; header and rule left out."""
    found = []
    for line in text.splitlines():
        if not line.startswith("| "):
            continue
        cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        if cells[0].startswith(first) and not set(cells[0]) <= {"-", ":"}:
            found.append(cells)
    return found


def table_after(text: str, heading: str) -> list[Row]:
    """The rows of the first table below a heading, header left out."""
    _, found, rest = text.partition(f"{heading}\n")
    assert found, f"there is no heading {heading!r}"
    section = re.split(r"^#{1,6} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return rows(section)[1:]


def code(cell: str) -> str:
    """What a cell says between backticks."""
    match = re.fullmatch(r"`([^`]*)`", cell)
    assert match, f"{cell!r} is not in backticks"
    return match[1]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [body for named, body in FENCE.findall(text) if named == language]


def command_lines(text: str) -> Iterator[str]:
    """Every line of every block of a shell, continued lines joined; pictures are fenced as text."""
    without = FENCE.sub("", text)
    every = [*blocks(text, "bash"), *blocks(text, "sh"), *INDENTED.findall(without)]
    for block in every:
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines())


def links(text: str) -> list[str]:
    """The targets of every link that stands outside of code."""
    return LINK.findall(FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    plain = FENCE.sub("", text)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in HEADING.findall(plain)
    }
