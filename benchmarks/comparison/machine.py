"""On what, with what, and when it was measured."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.comparison.generators import generator
from benchmarks.comparison.peers import SOURCES
from benchmarks.comparison.servers import ROOT

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
    """What a reader must know to judge, and to repeat, a measurement."""
    given = [word for word in sys.argv[1:] if not word.startswith("--out")]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "command": " ".join(["python -m benchmarks.comparison", *given]),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "workers": options.workers,
        "generator": generator(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "load": round(os.getloadavg()[0], 1),
        "ours": {name: version(name) for name in OURS},
        "theirs": {peer: _pinned(peer) for peer in THEIRS},
    }


def _pinned(peer: str) -> dict[str, str]:
    text = (SOURCES / peer / "requirements.txt").read_text()
    found = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    return {name: found[name] for name in THEIRS[peer]}


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _commit() -> str:
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no repository"
