"""Hosts: sandboxed processes, one for each tenant, in which models run that nothing else can run.

    worker -- orders --> parent, which imports what models need and forks
       \\                   \\-- host of a tenant     (fork, sandbox, serve)
        \\--- frames --------/ \\-- workshop          (fork, sandbox, one model file, end)

A worker imports `client` and nothing behind the parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # who only starts a parent needs nothing of it
    from models.versions import Version


class Incidents(Protocol):
    """Remembers, for all workers, the versions that ended their hosts."""

    def record(self, version: Version, reason: str) -> None:
        """Note that a version has ended its host; too many in a while break it."""
        ...

    def open(self, version: Version) -> str | None:
        """Why a version is not to be run any more, or None while it may be."""
        ...
