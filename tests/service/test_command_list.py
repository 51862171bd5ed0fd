"""The commands are listed without being imported, in their own words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click import Context

from service.commands.cli import COMMANDS, root

ROOT = Path(__file__).resolve().parent.parent.parent
LISTING = """
import sys
from service.commands.cli import root
root(["--help"], standalone_mode=False)
print(*(name for name in sys.modules if name.startswith("service.commands.")))
"""


def test_each_command_is_listed_with_the_beginning_of_its_own_help() -> None:
    for name, (_, told) in COMMANDS.items():
        command = root.get_command(Context(root), name)
        assert command is not None
        assert " ".join((command.help or "").split()).startswith(told.rstrip("."))


def test_listing_the_commands_imports_none_of_them() -> None:
    words = [sys.executable, "-c", LISTING]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    imported = set(done.stdout.splitlines()[-1].split())
    assert imported == {"service.commands.cli", "service.commands.operator"}
