"""No library reports to its maker how it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
COUNT = "import os; print(len(os.listdir('/proc/self/task')))"


@pytest.mark.parametrize(
    "importing",
    ["models.compilation.graph.building, onnxruntime", "models.runtimes.onnx_models"],
    ids=["in a worker", "in a host"],
)
def test_onnx_runtime_starts_no_thread_and_leaves_nothing_at_home(
    tmp_path: Path, importing: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import {importing}\n{COUNT}"],
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "1", done.stderr
    assert not list(tmp_path.rglob("*"))
