"""The command line as an operator types it, run in this process."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from click.testing import CliRunner, Result

from service.commands.cli import root


@dataclass(frozen=True)
class CommandLine:
    """`manage.py --instance FOLDER`."""

    instance: Path

    def run(self, *words: str, stdin: str | None = None, **environment: str) -> Result:
        """Run a command; no error may reach the operator as a traceback."""
        arguments = ["--instance", str(self.instance), *words]
        with _own_logging():
            result = CliRunner().invoke(root, arguments, input=stdin, env=environment)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise AssertionError("".join(traceback.format_exception(result.exception)))
        return result

    def text(self, *words: str, stdin: str | None = None, **environment: str) -> str:
        """Run a command that succeeds, and return what it printed."""
        result = self.run(*words, stdin=stdin, **environment)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str, **environment: str) -> Any:
        """Run a command that succeeds, with `--json`, and return what it printed."""
        return json.loads(self.text(*words, "--json", **environment))

    def refusal(self, *words: str, stdin: str | None = None, **environment: str) -> str:
        """Run a command that is refused: nothing printed, one line said; return the line."""
        result = self.run(*words, stdin=stdin, **environment)
        assert result.exit_code != 0, result.stdout
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        assert not result.stdout
        return lines[0].removeprefix("Error: ")


@contextmanager
def _own_logging() -> Iterator[None]:
    """A command decides how its process logs; here other tests share the process."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        structlog.reset_defaults()
