"""The sandbox: what a process enters after its fork, before it reads a byte of a tenant's.

Each layer would do for most attacks; they are there together because none of them is perfect.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from models.hosting import confinement as names
from models.hosting import identity, landlock, limits, surroundings, system_calls, warming
from models.hosting.confinement import Confinement, Layer, SandboxReport, require

Close = Callable[[Confinement], None]


def enter(confinement: Confinement) -> SandboxReport:
    """Confine this process for ever; raises SandboxTooWeak if the level asked for is not reached.

    Whoever calls it must end the process then: layers that were reached stay. The process must
    have one thread.
    """
    report = SandboxReport.of(close(tuple(LAYERS), confinement))
    require(report, confinement.level)
    return report


def close(layers: Iterable[str], confinement: Confinement) -> tuple[Layer, ...]:
    """Close some layers, in the order given, and say of each whether the kernel agreed."""
    return tuple(_close(name, confinement) for name in layers)


def _close(name: str, confinement: Confinement) -> Layer:
    try:
        LAYERS[name](confinement)
    except OSError as error:
        return Layer(name, holds=False, reason=error.strerror or str(error))
    return Layer(name, holds=True)


def _clear_surroundings(confinement: Confinement) -> None:
    # Landlock and no_new_privs confine a thread, not a process.
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - names are enough
        raise OSError("the process has threads already")
    surroundings.clear(confinement)


def _forbid_files(confinement: Confinement) -> None:
    landlock.forbid_files(but=warming.READ_AT_START if confinement.threads else ())


def _filter_calls(confinement: Confinement) -> None:
    if confinement.threads:
        # What it reads at its start can be granted up to here; the filter closes that too.
        warming.start_threads()
    system_calls.filter_calls(threads=confinement.threads)


# In this order: each needs what those behind it take away.
LAYERS: Final[Mapping[str, Close]] = {
    names.SURROUNDINGS: _clear_surroundings,
    names.LIMITS: limits.limit,
    names.NAMESPACES: identity.leave_networks,
    names.IDENTITY: identity.become_nobody,
    names.PRIVILEGES: identity.renounce_privileges,
    names.FILES: _forbid_files,
    names.CALLS: _filter_calls,
}
