"""What a program here found, kept beside RESULTS.md, and when, how and on what it was measured."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.served import ROOT

HERE: Final = Path(__file__).resolve().parent
PLACES: Final = ("--out", "--folder")  # say where, which is nobody else's


@dataclass(frozen=True, slots=True)
class Measured:
    """What one program found, and under which circumstances."""

    about: dict[str, Any]
    found: dict[str, Any]

    def keep(self, name: str, folder: Path = HERE) -> None:
        """Write it down, in place of what the program found before."""
        (folder / f"{name}.json").write_text(json.dumps(asdict(self), indent=1) + "\n")


def kept(name: str, folder: Path = HERE) -> Measured | None:
    """What a program found last, if it was kept."""
    path = folder / f"{name}.json"
    return Measured(**json.loads(path.read_text())) if path.exists() else None


def circumstances(program: str) -> dict[str, Any]:
    """What a reader must know to judge, and to repeat, a measurement that begins now."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "command": " ".join(["python -m", program, *_words()]),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "load": round(os.getloadavg()[0], 1),
    }


def _words() -> list[str]:
    words = iter(sys.argv[1:])
    found = []
    for word in words:
        if word in PLACES:
            next(words, None)
        elif not word.startswith(tuple(f"{place}=" for place in PLACES)):
            found.append(word)
    return found


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _commit() -> str:
    words = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no repository"
