"""Children that confine themselves and report what became of it."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from models.hosting import identity
from models.hosting.seccomp import ALLOW, Rule, assemble, install
from models.hosting.system_calls import this_machine

NOBODY = 65_534
ALARM_SECONDS = 60
REFUSED = 0x0005_0000


@dataclass(frozen=True, slots=True)
class End:
    """What a child told, and how it ended: an exit code, or minus the signal."""

    told: Any
    code: int


def in_child(act: Callable[[int], Any], *, as_nobody: bool = False) -> End:
    """Run something in a child, which is given the descriptor that it reports on."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _live(act, writer, as_nobody=as_nobody)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return End(json.loads(told) if told else None, code)


def _live(act: Callable[[int], Any], writer: int, *, as_nobody: bool) -> NoReturn:
    # pytest's own handlers and alarms are the parent's business.
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.alarm(ALARM_SECONDS)
    try:
        if as_nobody:
            become_nobody()
        os.write(writer, json.dumps(act(writer)).encode())
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - nothing may unwind into pytest
        os.write(writer, json.dumps(f"{type(error).__name__}: {error}").encode())
        os._exit(1)


def become_nobody() -> None:
    """Drop from root to an unprivileged user, as an installation that is not run by root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def deny(*numbers: int, reason: int = errno.ENOSYS) -> None:
    """Have the kernel refuse some calls from now on, as an older or a closed one does."""
    identity.renounce_privileges(None)  # type: ignore[arg-type]
    machine = this_machine()
    rules = [Rule(number, REFUSED | reason) for number in numbers]
    program = assemble(rules, architecture=machine.audit, otherwise=ALLOW)
    install(program, number=machine.seccomp)
