"""The supervisor: holds the listeners, keeps the programs alive, reloads and drains them.

The listening sockets belong to it alone: a program that dies or is replaced leaves its queue of
connections to the next one, so a restart refuses nobody.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Final

from config.settings import PREFIX, Settings
from config.telemetry import MULTIPROCESS_VARIABLE, prepare_folder
from models.hosting import orders
from service.pidfile import PID_FILE, read_pid
from service.processes import Child, Post, Signals, fork, reap
from service.programs import Program
from service.scheduled_runs import ScheduledRuns, command_of

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
METRICS: Final = "metrics"
# A program bounds its own drain; the supervisor's bound is for the program that does not.
DRAIN_MARGIN_SECONDS: Final = 2.0
ROOT: Final = Path(__file__).resolve().parent.parent
ONE_THREAD_PER_POOL: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Of glibc's. How many heaps there are in a process: each thread's would keep its end for the next
# large body, and of the first one alone that can be asked back (service/allocator.py). And that
# it keeps what is free until it is asked back: pages that are new with each body of some megabytes
# take as long as to read it.
ALLOCATOR: Final = {
    "MALLOC_ARENA_MAX": 1,
    "MALLOC_MMAP_THRESHOLD_": 32 * 1024**2,
    "MALLOC_TRIM_THRESHOLD_": 64 * 1024**2,
}


class ServingError(Exception):
    """The root of what stops the platform from serving."""


class AlreadyServed(ServingError):
    """Raised when another supervisor serves this instance."""

    def __init__(self, instance: Path, pid: int) -> None:
        self.pid = pid
        super().__init__(
            f"{instance} is served already, by process {pid}; "
            "stop that one first, or choose another --instance"
        )


class AddressUnavailable(ServingError):
    """Raised when the listening address cannot be had."""

    def __init__(self, host: str, port: int, setting: str, error: OSError) -> None:
        reasons = {
            errno.EADDRINUSE: f"is in use; stop what listens there, or choose another {setting}",
            errno.EACCES: f"needs a privilege; choose a {setting} above 1023",
            errno.EADDRNOTAVAIL: "is no address of this machine; choose another --host",
        }
        reason = reasons.get(error.errno or 0, f"cannot be listened on: {error.strerror or error}")
        super().__init__(f"{host} port {port} {reason}")


class SocketUnavailable(ServingError):
    """Raised when the socket of a program cannot be made."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be listened on: {error.strerror or error}; "
            f"choose another folder with {PREFIX}HOSTS_SOCKET_FOLDER"
        )


class ProgramRefused(ServingError):
    """Raised when a program finds the installation unfit to serve, and has said why."""

    def __init__(self) -> None:
        super().__init__("nothing is served; the lines above say why")


class Supervisor:
    """Runs programs until it is told to stop: SIGTERM drains, SIGHUP reloads, twice kills."""

    def __init__(self, settings: Settings, programs: Iterable[Program]) -> None:
        self._settings = settings
        self._programs = tuple(programs)
        self._posts: list[Post] = []
        self.ports: dict[str, int] = {}

    def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until stopped; raises ServingError if it cannot begin.

        `on_ready` is called once, when every worker of every program serves; `ports` then tells
        the real port of each program.
        """
        with ExitStack() as stack:
            stack.enter_context(_only_one(self._settings))
            listeners = {p.name: stack.enter_context(_listeners(p)) for p in self._programs}
            self.ports = {
                program.name: listeners[program.name][0].getsockname()[1]
                for program in self._programs
                if program.port is not None
            }
            lifeline, held = os.pipe()
            stack.callback(os.close, lifeline)
            stack.callback(os.close, held)
            _raise_descriptor_limit()
            prepare_folder(self._settings.state / METRICS)
            signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD))
            stack.callback(signals.close)
            environment = environment_of(self._settings)
            self._posts = [
                Post(
                    program.name,
                    partial(_start, program, listeners[program.name], lifeline, environment),
                    drain_seconds=self._settings.drain_seconds + DRAIN_MARGIN_SECONDS,
                )
                for program in self._programs
            ]
            command = command_of(self._settings, ROOT)
            runs = ScheduledRuns(self._settings, command, environment)
            self._keep(signals, on_ready, runs)

    def _keep(self, signals: Signals, on_ready: Callable[[], None], runs: ScheduledRuns) -> None:
        announced = stopping = False
        kept: tuple[Post | ScheduledRuns, ...] = (*self._posts, runs)
        while True:
            pauses = [pause for each in kept if (pause := each.tick()) is not None]
            if stopping and not any(each.children for each in kept):
                return
            if not announced and not stopping and all(post.serves for post in self._posts):
                announced = True
                on_ready()
            awaited = [ready for post in self._posts for ready in post.listens_to]
            for number in signals.wait(awaited, min(pauses, default=None)):
                stopping = self._obey(number, kept, stopping=stopping)
            reap(kept)
            if not announced and any(post.is_hopeless for post in self._posts):
                # The program has said why; starting it again would say the same.
                raise ProgramRefused

    def _obey(self, number: int, kept: Iterable[Post | ScheduledRuns], *, stopping: bool) -> bool:
        if number == signal.SIGHUP:
            log.info("reloading")
            for post in self._posts:
                post.replace()
        elif number in (signal.SIGTERM, signal.SIGINT):
            for each in kept:
                each.kill() if stopping else each.stop()
            return True
        return stopping


@contextmanager
def _only_one(settings: Settings) -> Any:
    """Hold the instance's lock; the kernel frees it however this process ends."""
    settings.state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(settings.state / PID_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = read_pid(descriptor)
        os.close(descriptor)
        raise AlreadyServed(settings.instance, pid) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


@contextmanager
def _listeners(program: Program) -> Iterator[tuple[socket.socket, ...]]:
    """A listener for each accepting process, among which the kernel divides new connections.

    One for all would leave most connections to whichever process is awake when they come.
    """
    with ExitStack() as stack:
        first = stack.enter_context(_listen(program))
        found = [] if first is None else [first]
        try:
            while found and len(found) < program.accepting:
                found.append(stack.enter_context(_beside(first)))
        except OSError as error:
            raise AddressUnavailable(
                program.host, program.port or 0, program.setting, error
            ) from error
        yield tuple(found)


def _beside(first: socket.socket) -> socket.socket:
    """Another listener at the address of one that was alone there; other users may have none."""
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    another = socket.socket(first.family, first.type, first.proto)
    another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    another.bind(first.getsockname())
    another.listen(BACKLOG)
    return another


@contextmanager
def _listen(program: Program) -> Any:
    if program.path is not None:
        with _listen_at(program.path) as listener:
            yield listener
        return
    if program.port is None:
        yield None
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            program.host, program.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressUnavailable(program.host, program.port, program.setting, error) from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            _share(listener) if program.shares else listener.listen(BACKLOG)
        except OSError as error:
            raise AddressUnavailable(program.host, program.port, program.setting, error) from error
        yield listener


def _share(held: socket.socket) -> None:
    """Let the program's own listeners beside a socket that only holds its address.

    Only now, so that holding failed if anybody listened there; and nobody but this user may.
    """
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _listen_at(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return orders.listen(path)
    except OSError as error:
        raise SocketUnavailable(path, error) from error


def environment_of(settings: Settings) -> Mapping[str, str]:
    """Return this process's environment with the settings that the command line changed.

    A program reads its settings again when it starts. Secrets are not copied: they come from
    where this process had them.
    """
    environment = dict(os.environ)
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if not setting.repr or value == setting.default:
            continue
        name = f"{PREFIX}{setting.name.upper()}"
        environment.pop(f"{name}_FILE", None)
        environment[name] = ",".join(value) if isinstance(value, tuple) else str(value)
    environment[MULTIPROCESS_VARIABLE] = str(settings.state / METRICS)
    for pool in ONE_THREAD_PER_POOL:
        environment.setdefault(pool, "1")
    for name, chosen in ALLOCATOR.items():
        environment.setdefault(name, str(chosen))
    path = environment.get("PYTHONPATH", "")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), path)))
    return environment


def _start(
    program: Program,
    listeners: Sequence[socket.socket],
    lifeline: int,
    environment: Mapping[str, str],
) -> Child:
    return fork(partial(_become, program, listeners, lifeline, environment), leads_group=True)


def _become(
    program: Program,
    listeners: Sequence[socket.socket],
    lifeline: int,
    environment: Mapping[str, str],
    ready: int,
) -> None:
    inherited = [("ready", ready), ("lifeline", lifeline)]
    inherited += [("listener", listener.fileno()) for listener in listeners]
    for _, descriptor in inherited:
        os.set_inheritable(descriptor, True)
    options = [word for name, fd in inherited for word in (f"--{name}", str(fd))]
    argv = [*program.argv, *options]
    given = environment if program.environment is None else program.environment
    os.execve(argv[0], argv, dict(given))  # noqa: S606 - that there is no shell is the point


def _raise_descriptor_limit() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
