"""On what, with what, and when it was measured."""

from __future__ import annotations

import argparse
import re
from importlib.metadata import version
from typing import Any, Final

from benchmarks.comparison.generators import generator
from benchmarks.comparison.peers import SOURCES
from benchmarks.measured import circumstances

OURS: Final = ("granian", "scikit-learn", "numpy", "treelite", "onnxruntime")
# Of each peer: the distributions that make it fast or slow.
THEIRS: Final = {
    "fastapi": ("fastapi", "uvicorn"),
    "flask": ("Flask", "gunicorn"),
    "textbook": ("Flask-JWT-Extended", "Flask-Limiter", "marshmallow"),
    "mlserver": ("mlserver",),
    "litserve": ("litserve",),
    "bentoml": ("bentoml",),
    "mlflow": ("mlflow",),
    "ray": ("ray",),
}


def about(options: argparse.Namespace) -> dict[str, Any]:
    """What a reader must know to judge, and to repeat, a comparison."""
    return circumstances("benchmarks.comparison") | {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "workers": options.workers,
        "generator": generator(),
        "ours": {name: version(name) for name in OURS},
        "theirs": {peer: _pinned(peer) for peer in THEIRS},
    }


def _pinned(peer: str) -> dict[str, str]:
    text = (SOURCES / peer / "requirements.txt").read_text()
    found = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    return {name: found[name] for name in THEIRS[peer]}
