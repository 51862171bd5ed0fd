"""How a parent of hosts is started: its command line, its environment, and one of one's own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import orjson

from models.errors import HostsUnavailable
from models.hosting import orders
from models.hosting.confinement import Level

ROOT: Final = Path(__file__).resolve().parent.parent.parent
MODULE: Final = "models.hosting.parent"
START_SECONDS: Final = 30.0
# All that it is given: no setting and no secret of this process, nor where its user lives.
PASSED_ON: Final = ("LANG", "LC_ALL", "TZ", "PATH", "LD_LIBRARY_PATH", "PYTHONHASHSEED")
FIXED: Final = MappingProxyType(
    {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HostLimits:
    """What hosts may use; 0 for `total_bytes` is most of the machine's memory."""

    hosts_most: int = 64
    host_memory_bytes: int = 1024**3
    total_bytes: int = 0
    host_idle_seconds: float = 300.0
    predict_seconds: float = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Parentage:
    """How a parent of hosts is to be: its flavour, its limits, and the sandbox it must have.

    One that has nobody to work for ends after `idle_seconds`, unless these are 0.
    An `early` one imports what models need when it starts, else before it first forks.
    """

    flavour: Literal["sklearn", "tensorflow"] = "sklearn"
    limits: HostLimits = HostLimits()
    level: Level = "full"
    log_level: str = "warning"
    log_format: str = "json"
    module: str = MODULE
    idle_seconds: float = 0.0
    early: bool = True

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line, without the descriptors that it inherits."""
        options = {
            "--flavour": self.flavour,
            "--limits": orjson.dumps(asdict(self.limits)).decode(),
            "--level": self.level,
            "--idle-seconds": str(self.idle_seconds),
            "--early": str(int(self.early)),
            "--log-level": self.log_level,
            "--log-format": self.log_format,
        }
        # -P: never import from the current folder
        words = [word for option in options.items() for word in option]
        return (sys.executable, "-P", "-m", self.module, *words)


def scrubbed_environment() -> dict[str, str]:
    """The environment of a parent: what every program needs, and nothing of ours."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed | FIXED


class PrivateParent:
    """A parent of one process's own, started when it is first needed; it dies with its starter."""

    def __init__(self, parentage: Parentage) -> None:
        self._parentage = parentage
        self._lock = threading.Lock()
        self._address = ""
        self._end: weakref.finalize[..., PrivateParent] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def is_there(self) -> bool:
        """Whether it was started, and lives."""
        return self.process is not None and self.process.poll() is None

    def connect(self) -> socket.socket:
        """Connect to the parent, starting it if there is none; raises HostsUnavailable."""
        with self._lock:
            if not self.is_there:
                self._start()
            address = self._address
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """End it, with all its hosts."""
        with self._lock:
            if self._end is not None:
                self._end()
            self._end = self.process = None

    def _start(self) -> None:
        if self._end is not None:
            self._end()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind("")  # a free abstract name; who connects must be of this user all the same
        listener.listen()
        self._address = listener.getsockname()
        lifeline, held = os.pipe()
        ready, spoken = os.pipe()
        given = {"--listener": listener.fileno(), "--ready": spoken, "--lifeline": lifeline}
        options = [word for name, fd in given.items() for word in (name, str(fd))]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - no word of it comes from outside
                [*self._parentage.argv, *options],
                env=scrubbed_environment(),
                pass_fds=tuple(given.values()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # what interrupts its starter reaches it by the lifeline
            )
        finally:
            listener.close()
            os.close(spoken)
            os.close(lifeline)
        self._end = weakref.finalize(self, _end, self.process, held)
        try:
            if not os.read(ready, 1):
                raise HostsUnavailable("their parent ended before it listened; it has said why")
        finally:
            os.close(ready)


class NearestParent:
    """The parent that listens at a path for this user; where none does, one of one's own.

    A command beside a running platform so spares itself the import of what models need.
    """

    def __init__(self, path: Path, parentage: Parentage) -> None:
        self._path = path
        self._own = PrivateParent(parentage)

    @property
    def is_there(self) -> bool:
        """Whether connecting would not have to start one."""
        if self._own.is_there:
            return True
        connection = self._shared()
        if connection is None:
            return False
        connection.close()
        return True

    def connect(self) -> socket.socket:
        """Connect to whichever there is; raises OSError or HostsUnavailable.

        Who has started one stays with it: what became of its hosts no other parent knows.
        """
        shared = None if self._own.is_there else self._shared()
        return shared or self._own.connect()

    def close(self) -> None:
        """Leave the shared one to the others, and end one's own."""
        self._own.close()

    def _shared(self) -> socket.socket | None:
        try:
            connection = orders.connect(self._path)
        except OSError:  # nobody serves, or in another folder
            return None
        # Models are handed to it: it has to be of this user, or of root.
        if orders.is_ours(connection):
            return connection
        connection.close()
        return None


def _end(process: subprocess.Popen[bytes], held: int) -> None:
    os.close(held)
    process.kill()
    process.wait()
