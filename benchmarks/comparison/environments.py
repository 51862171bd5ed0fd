"""An environment for each peer under benchmarks/.peers, and the models of the loads in it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.comparison.peers import SOURCES, Peer
from benchmarks.comparison.servers import ROOT, environment

HOME: Final = ROOT / "benchmarks" / ".peers"
FITTING: Final = SOURCES / "models.py"


class NotInstalled(Exception):
    """Raised when a peer cannot be installed, or cannot save the models."""


def programs(peer: Peer) -> Path:
    """Install a peer, unless it is; return the folder of its programs. Raises NotInstalled."""
    folder, wanted = HOME / peer.name, SOURCES / peer.name / "requirements.txt"
    stamp, digest = folder / "installed", hashlib.sha256(wanted.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        python = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")], folder)
        _run([*python, "--disable-pip-version-check", "-r", str(wanted)], folder)
        stamp.write_text(digest)
    return folder / "venv" / "bin"


def saved(peer: Peer, programs: Path, folder: Path, models: Sequence[str]) -> Path:
    """Fit the models in a peer's own environment, and save them as it wants them."""
    _run([str(programs / "python"), str(FITTING), str(folder), *models], folder)
    packing = SOURCES / peer.name / "packing.py"
    if packing.exists():
        _run([str(programs / "python"), str(packing), str(folder)], folder)
    return folder


def _run(words: Sequence[str], folder: Path) -> None:
    """Run a program; raises NotInstalled with its last line."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("wb") as out:
        code = subprocess.call(words, stdout=out, stderr=subprocess.STDOUT, env=environment())
    if code:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise NotInstalled(lines[-1][:160] if lines else f"exit code {code}")
