"""The self-test of the sandbox: children enter it and try to get out.

Each layer is entered by itself and must refuse what it is there for; then all of them together.
A layer holds only if every attempt was really refused: what the kernel promises does not count.

Run as a program it prints its report, so that a process with threads or secrets need not fork.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NoReturn

from models.errors import SandboxTooWeak
from models.hosting import sandbox
from models.hosting.attempts import ATTEMPTS, CANARY, LETHAL_ATTEMPTS, Target
from models.hosting.confinement import (
    CALLS,
    PRIVILEGES,
    Confinement,
    Layer,
    Level,
    SandboxReport,
    require,
)
from models.hosting.kernel import system_call
from models.hosting.surroundings import LIBRARIES
from models.hosting.system_calls import number_of

ROOT: Final = Path(__file__).resolve().parent.parent.parent
GROWTH: Final = 32 * 1024 * 1024
TOO_MUCH: Final = 1024 * 1024 * 1024
ALARM_SECONDS: Final = 10
PROGRAM_SECONDS: Final = 60.0
REFUSALS: Final = frozenset(
    {
        errno.EPERM,
        errno.EACCES,
        errno.EBADF,
        errno.EFBIG,
        errno.EMFILE,
        errno.EINVAL,  # a user that the namespace does not have
        errno.ENETUNREACH,
        errno.ECONNREFUSED,
        errno.ENOMEM,
    }
)
SUCCEEDED: Final = "it was not refused"
UNKNOWN: Final = "the tester ended"

Outcomes = Mapping[str, str]  # what was tried: why it does not count as refused, or nothing


def probe(level: Level = "none") -> SandboxReport:
    """Return what really holds here; for a process with one thread. Raises SandboxTooWeak.

    It forks some twenty short-lived children.
    """
    with target_of_attempts() as target:
        layers = tuple(_judge(name, target) for name in sandbox.LAYERS)
        layers = _cross_out(layers, _outcomes(tuple(sandbox.LAYERS), tuple(ATTEMPTS), target))
    report = SandboxReport.of(layers)
    require(report, level)
    return report


@functools.cache
def probe_apart() -> SandboxReport:
    """Return what a fresh process of this user finds; asked once, then remembered.

    For a process that has threads or secrets. Raises SandboxTooWeak if there can be no such one.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no word of it comes from outside
            [sys.executable, "-P", "-m", __spec__.name],
            env=LIBRARIES | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROGRAM_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        problem = f"its self-test cannot run: {error}"
        raise SandboxTooWeak("unknown", "reduced", problem) from error
    return SandboxReport.from_json(json.loads(done.stdout))


def _judge(name: str, target: Target) -> Layer:
    """Enter one layer by itself and try what it must refuse."""
    own = tuple(what for what, attempt in ATTEMPTS.items() if name in attempt.layers)
    # Landlock and seccomp ask for this one of everybody who is not root.
    alone = (name,) if name == PRIVILEGES else (PRIVILEGES, name)
    outcomes = dict(_outcomes(tuple(n for n in sandbox.LAYERS if n in alone), own, target))
    if name == CALLS and not any(outcomes.values()):
        outcomes |= {call: _try_lethal(call, target) for call in LETHAL_ATTEMPTS}
    reasons = {reason: what for what, reason in outcomes.items() if reason}
    reason = next((f"{what}: {reason}" for reason, what in reasons.items()), "")
    return Layer(name, not reasons, reason)


def _cross_out(layers: tuple[Layer, ...], together: Outcomes) -> tuple[Layer, ...]:
    """Judge anew the layers that fail in company; who cannot be entered may be missing."""
    failed = {
        layer: f"{what}, with all layers: {reason}"
        for what, reason in together.items()
        for layer in ATTEMPTS[what].layers
        if reason
    }
    missing = {layer.name for layer in layers if not layer.holds}
    held = {name for name in failed if name not in missing}
    return tuple(
        Layer(layer.name, holds=False, reason=failed[layer.name]) if layer.name in held else layer
        for layer in layers
    )


def _outcomes(layers: tuple[str, ...], attempts: tuple[str, ...], target: Target) -> Outcomes:
    """Try some acts in a child within some layers, and say what became of each."""

    def run(report: int) -> None:
        os.environ[CANARY] = "set"
        keep = (report, target.handed)
        entered = sandbox.close(layers, Confinement(memory_bytes=GROWTH, keep=keep))
        missing = [layer for layer in entered if not layer.holds]
        if missing and len(layers) < len(sandbox.LAYERS):
            found = dict.fromkeys(attempts, missing[0].reason)
        else:
            found = {what: _try(what, target) for what in attempts}
        os.write(report, json.dumps(found).encode())

    answer, _ = _in_child(run)
    found: Outcomes = json.loads(answer) if answer else {}
    return {what: found.get(what, UNKNOWN) for what in attempts}


def _try(what: str, target: Target) -> str:
    try:
        ATTEMPTS[what].act(target)
    except MemoryError:
        return ""
    except OSError as error:
        return "" if error.errno in REFUSALS else str(error)
    return SUCCEEDED


def _try_lethal(call: str, target: Target) -> str:
    """Make a call that must end its process; a child of its own tries, and may be replaced."""

    def run(_report: int) -> None:
        sandbox.close((PRIVILEGES, CALLS), Confinement(memory_bytes=GROWTH))
        if call == "execve":
            os.execv(sys.executable, [sys.executable, "-c", ""])  # noqa: S606
        system_call(number_of(call) or 0, *(0,) * 5)

    _, status = _in_child(run)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
        return ""
    return SUCCEEDED


def _in_child(run: Callable[[int], None]) -> tuple[bytes, int]:
    """Return what a child writes before it ends, and the status of its end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _live(run, writer)
    os.close(writer)
    with open(reader, "rb") as pipe:  # noqa: PTH123
        answer = pipe.read()
    return answer, os.waitpid(child, 0)[1]


def _live(run: Callable[[int], None], writer: int) -> NoReturn:
    signal.alarm(ALARM_SECONDS)
    try:
        run(writer)
    except BaseException:  # noqa: BLE001 - nothing may unwind into the parent's frames
        os._exit(1)
    os._exit(0)


@contextmanager
def target_of_attempts() -> Iterator[Target]:
    """Things outside for attempts to aim at, and listeners that would hear them."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder).chmod(0o777)
        secret, handed = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind("")  # the kernel gives it an abstract name
        named.listen()
        yield Target(
            folder=folder,
            secret=secret.fileno(),
            handed=handed.fileno(),
            port=listener.getsockname()[1],
            abstract=named.getsockname(),
            parent=os.getpid(),
            memory_bytes=TOO_MUCH,
        )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe().as_json()))
