"""What holds of every document."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import click
import pytest

from service.commands.cli import root
from tests.docs.markdown import ROOT, anchors, command_lines, documents, links

REGISTRY: Final = re.compile(r"https?://[^\s)]*(?:pypi|pythonhosted|npmjs|crates\.io)|index-url")
MANAGE: Final = re.compile(r"(?:\.venv/bin/python +)?(?:\bmanage\.py|\bmanage(?= )) +([^|;&)>]+)")
each_document = pytest.mark.parametrize(
    "document", documents(), ids=lambda path: str(path.relative_to(ROOT))
)


@each_document
def test_every_link_leads_to_a_place_that_exists(document: Path) -> None:
    for link in links(document.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document}: {link}"
        assert not anchor or anchor in anchors(target.read_text()), f"{document}: {link}"


@each_document
def test_no_document_names_a_package_registry(document: Path) -> None:
    assert not REGISTRY.search(document.read_text())


@each_document
def test_every_command_shown_exists_with_its_options(document: Path) -> None:
    for line in command_lines(document.read_text()):
        for shown in MANAGE.findall(line.partition(" #")[0]):
            words = shlex.split(shown.replace("'", "").replace('"', "").replace("\\", ""))
            check_command([word.strip("()$") for word in words], line)


def test_a_command_that_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError):
        check_command(["keys", "turn"], "keys turn")
    with pytest.raises(AssertionError):
        check_command(["keys", "rotate", "--fast"], "keys rotate --fast")


def test_every_document_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document in reached or document.suffix != ".md":
            continue
        reached.add(document)
        targets = [link.partition("#")[0] for link in links(document.read_text())]
        waiting += [(document.parent / t).resolve() for t in targets if t and ":" not in t]
    assert set(documents()) <= reached


def check_command(words: list[str], line: str) -> None:
    """Follow the words through click's tree; every option must be one of the command's."""
    command: click.Command = root
    context = click.Context(root)
    known = {"--help", "-h"}
    while words:
        known |= {name for option in command.params for name in option.opts}
        word = words.pop(0)
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in known, f"{word} in: {line}"
            if command is root and word == "--instance":
                words.pop(0)
        elif isinstance(command, click.Group):
            if word in ("...", "@"):
                return
            found = command.get_command(context, word)
            assert found, f"{word} in: {line}"
            command = found
