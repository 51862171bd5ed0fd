"""Opens model files for tests in the processes of `opening_process`, one for each flavour."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
RELATIVE = 1e-6  # of float32 answers that have been written down


@dataclass(frozen=True)
class Sample:
    """A file that a format's own library wrote, rows by column, and its own answers to them."""

    format: str
    data: bytes
    columns: list[list[Any]]
    answers: dict[str, Any]
    name: str = ""
    versions: list[str] = field(default_factory=list)


class Opener:
    """Asks a process of one flavour to open files."""

    def __init__(self, flavour: str, folder: Path) -> None:
        self._path = folder / "model"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.contracts.opening_process", flavour],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            text=True,
        )

    def open(self, format_name: str, data: bytes, columns: list[list[Any]]) -> dict[str, Any]:
        """What came of opening bytes as a format: an outcome, and answers or a reason."""
        self._path.write_bytes(data)
        order = {"format": format_name, "path": str(self._path), "columns": columns}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


def assert_answers(answered: dict[str, Any], sample: Sample) -> None:
    """The file was opened, and every method answered as the library itself."""
    assert answered["outcome"] == "opened", answered
    assert answered["versions"] == sample.versions
    assert answered["answers"].keys() == sample.answers.keys()
    for method, expected in sample.answers.items():
        given, wanted = np.array(answered["answers"][method]), np.array(expected)
        assert given.shape == wanted.shape, method
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(given, wanted, rtol=RELATIVE, atol=1e-7, err_msg=method)
        else:
            assert given.tolist() == wanted.tolist(), method


def assert_refused(answered: dict[str, Any]) -> str:
    """The file was refused, and nothing else happened; returns the reason."""
    assert answered["outcome"] in {"FormatRefused", "EstimatorRefused"}, answered
    return str(answered["reason"])
