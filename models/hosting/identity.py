"""Who a process is: nobody else's user, without a capability, in a network of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

from models.hosting import kernel
from models.hosting.confinement import Confinement

# Users that nothing else takes: above those that systemd gives to containers. One for each process
# number, so that no two processes alive are the same user.
FIRST_USER: Final = 1_879_048_192
NOBODY: Final = 65_534
LAST_CAPABILITY: Final = Path("/proc/sys/kernel/cap_last_cap")
USER_MAP: Final = Path("/proc/self/uid_map")


def leave_networks(_confinement: Confinement) -> None:
    """Move into a network without devices, and a user namespace if it takes one; raises OSError."""
    spaces = kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC
    if os.geteuid() != 0:
        spaces |= kernel.CLONE_NEWUSER
    kernel.unshare(spaces)


def become_nobody(confinement: Confinement) -> None:
    """Give up root, groups and capabilities, and let nobody look inside; raises OSError."""
    parent = os.getppid()
    kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    if os.geteuid() == 0:
        _leave_root(confinement.uid if confinement.uid is not None else own_user())
    kernel.drop_capabilities()
    # Changes of user undo both of these.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def own_user() -> int:
    """Return a user for this process alone, or nobody where the machine has too few users."""
    wanted = FIRST_USER + os.getpid()
    for line in USER_MAP.read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= wanted < first + count:
            return wanted
    return NOBODY


def _leave_root(user: int) -> None:
    for capability in range(int(LAST_CAPABILITY.read_text()) + 1):
        kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def renounce_privileges(_confinement: Confinement) -> None:
    """Let no program that is executed gain a privilege, for ever; raises OSError."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
