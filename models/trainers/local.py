"""Trainers that are processes of the operator who trains: they may use the whole machine, or more.

Nothing confines them, so they are for who may run programs here anyway. They have no setting and no
secret of the platform all the same.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Final

from models.hosting.offspring import fate_of
from models.hosting.starting import PASSED_ON, ROOT

MODULE: Final = "models.training"
# What loky, ray and dask look for besides: where their files, sockets and clusters are.
OF_CLUSTERS: Final = (
    "HOME",
    "TMPDIR",
    "LOKY_MAX_CPU_COUNT",
    "RAY_ADDRESS",
    "RAY_TMPDIR",
    "DASK_CONFIG",
    "DASK_SCHEDULER_ADDRESS",
    "NO_PROXY",
    "no_proxy",
)
FIXED: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "svg",
    # It cleans up what interrupted workers leave behind, and need not tell of it.
    "PYTHONWARNINGS": "ignore::UserWarning:joblib.externals.loky.backend.resource_tracker",
    "PYTHONPATH": str(ROOT),
}
END_SECONDS: Final = 5.0


class LocalTrainer:
    """A process of this user, which leads a group of all that it starts."""

    confined = False

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self.connection = connection

    @property
    def pid(self) -> int:
        """The number of its process, and of its group."""
        return self._process.pid

    def fate(self) -> str:
        """How it ended, if it does within a moment."""
        try:
            return fate_of(self._process.wait(END_SECONDS))
        except subprocess.TimeoutExpired:
            return ""

    def close(self) -> None:
        """Hang up, and end it and its group if that does not."""
        self.connection.close()
        if self._process.returncode is None:
            ended = _await_end(self._process.pid, END_SECONDS)
            # Before it is collected its number can be nobody else's.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM if ended else signal.SIGKILL)
            self._process.wait()


class LocalTrainers:
    """Starts a process for every training, which runs a module."""

    def __init__(self, module: str = MODULE) -> None:
        self._module = module

    def open(self, *, seconds: float) -> LocalTrainer:
        """Start one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        argv = (sys.executable, "-P", "-m", self._module, "--connection", str(theirs.fileno()))
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - no word of it comes from outside
                argv,
                env=environment(),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # a terminal's Ctrl-C reaches the command, which hangs up
            )
        return LocalTrainer(process, ours)

    def close(self) -> None:
        """Nothing is kept."""


def environment() -> dict[str, str]:
    """What a trainer of an operator's own is given of the environment."""
    names = (*PASSED_ON, *OF_CLUSTERS)
    return {name: os.environ[name] for name in names if name in os.environ} | FIXED


def _await_end(pid: int, seconds: float) -> bool:
    """Whether a child ends in that time; it is not collected."""
    descriptor = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([descriptor], [], [], seconds)
        return bool(ended)
    finally:
        os.close(descriptor)
