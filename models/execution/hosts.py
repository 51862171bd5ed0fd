"""Runs versions in sandboxed hosts, one for each tenant."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from numpy.typing import NDArray

from models.errors import (
    ArtefactBroken,
    DeadlineExceeded,
    FrameMalformed,
    HostCrashed,
    HostsUnavailable,
    PredictionFailed,
    RowsRefused,
    VersionBroken,
)
from models.formats import Flavour
from models.hosting import Incidents, frames
from models.hosting.channel import Expected
from models.hosting.client import HostEnded, HostsClient, TooLate
from models.hosting.frames import Answer
from models.hosting.page import sealed_bytes
from models.hosting.payloads import Buffer
from models.manifest import ENGINE, IN_HOSTS, MODEL
from models.signature import Output
from models.tables import Features, row_count
from models.versions import Version

# A host forgets what it has no room for, and may do so between the opening and the call.
MOST_OPENINGS: Final = 3
KNOWN: Final = 10_000
DTYPES: Final = {"f": "number", "i": "integer", "b": "boolean", "O": "text"}


class HostExecutor:
    """Brings each call to its tenant's host, and the version's file that answers it with the first.

    That is the compiled form for the methods of an engine for hosts, and the model's own file for
    all others. `fetch` returns the bytes of a version's file by its role. `incidents` says which
    versions have ended their hosts too often; `observe(batch, seconds)` is told the size of each
    batch that answered a call, and what it took. `seconds` is what opening may take when nobody
    waits.
    """

    def __init__(
        self,
        clients: Mapping[Flavour, HostsClient],
        fetch: Callable[[Version, str], bytes],
        incidents: Incidents,
        *,
        seconds: float,
        observe: Callable[[int, float], None] = lambda _batch, _seconds: None,
    ) -> None:
        self._clients = clients
        self._fetch = fetch
        self._incidents = incidents
        self._seconds = seconds
        self._observe = observe
        self._keys: dict[tuple[str, str, str, str], bytes] = {}
        self._known: dict[bytes, Version] = {}
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        for client in clients.values():
            client.on_crash = self._record

    def answer(
        self, version: Version, method: str, features: Features, *, seconds: float
    ) -> NDArray[Any]:
        """Answer each row within so many seconds, in the dtype of the model's own answers.

        Raises RowsRefused, PredictionFailed, HostCrashed, DeadlineExceeded, VersionBroken,
        HostsUnavailable, or ArtefactBroken if the file does not open.
        """
        self._refuse_broken(version)
        role = _role_of(version, method)
        key, deadline = self._key(version, role), time.monotonic() + seconds
        output = version.signature.methods[method]
        expected = Expected(row_count(features), output.width or 0)

        def frame(call: int) -> list[Buffer]:
            return frames.prediction(call, key, method, features, deadline=deadline)

        with _named(version, seconds):
            for _ in range(MOST_OPENINGS):
                answer, payload = self._client(version).call(
                    version.tenant_id, frame, expected, seconds=seconds, deadline=deadline
                )
                if answer.status != frames.NOT_OPEN:
                    return self._values(version, output, answer, payload)
                self._open(version, role, seconds=seconds, deadline=deadline)
        raise HostsUnavailable("the host has no room for this model beside the others")

    def warm(self, version: Version) -> None:
        """Open a version in its tenant's host."""
        self._refuse_broken(version)
        deadline = time.monotonic() + self._seconds
        with _named(version, self._seconds):
            for role in _roles_of(version):
                self._open(version, role, seconds=self._seconds, deadline=deadline)

    def is_warm(self, version: Version) -> bool:
        """Whether the tenant's host has it open; starts none."""
        if not self._client(version).has_host(version.tenant_id):
            return False
        deadline = time.monotonic() + self._seconds
        with _named(version, self._seconds):
            return all(
                self._holds(version, self._key(version, role), self._seconds, deadline)
                for role in _roles_of(version)
            )

    def forget(self, tenant_id: str) -> None:
        """End the tenant's hosts."""
        for client in self._clients.values():
            client.forget(tenant_id)

    def _client(self, version: Version) -> HostsClient:
        flavour = version.manifest.contents.flavour
        if flavour not in self._clients:
            raise HostsUnavailable(f"nothing here runs models of {flavour}")
        return self._clients[flavour]

    def _refuse_broken(self, version: Version) -> None:
        reason = self._incidents.open(version)
        if reason is not None:
            raise VersionBroken(version.model, version.number, reason)

    def _key(self, version: Version, role: str) -> bytes:
        named = version.tenant_id, version.id, version.files[role].digest, role
        key = self._keys.get(named)
        if key is None:
            key = frames.version_key(*named)
            with self._lock:
                if len(self._keys) >= KNOWN:
                    self._keys.clear()
                    self._known.clear()
                self._keys[named], self._known[key] = key, version
        return key

    def _record(self, key: bytes, fate: str) -> None:
        with self._lock:
            version = self._known.get(key)
        if version is not None:
            self._incidents.record(version, fate)

    def _holds(self, version: Version, key: bytes, seconds: float, deadline: float) -> bool:
        def frame(call: int) -> list[Buffer]:
            return frames.holds(call, key, deadline=deadline)

        answer, _ = self._client(version).call(
            version.tenant_id, frame, Expected(), seconds=seconds, deadline=deadline
        )
        return answer.status == frames.OPEN

    def _open(self, version: Version, role: str, *, seconds: float, deadline: float) -> None:
        """Have a version opened; of the threads of a tenant that want one, one brings a file."""
        tenant = version.tenant_id
        with self._lock:
            turn = self._opening.setdefault(tenant, threading.Lock())
        if not turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TooLate
        try:
            if not self._holds(version, self._key(version, role), seconds, deadline):
                self._put(version, role, seconds, deadline)
        finally:
            turn.release()
            with self._lock:
                self._opening.pop(tenant, None)

    def _put(self, version: Version, role: str, seconds: float, deadline: float) -> None:
        key, artefact = self._key(version, role), _artefact(version, role)
        descriptor = sealed_bytes([self._fetch(version, role)])

        def frame(call: int) -> list[Buffer]:
            os.lseek(descriptor, 0, os.SEEK_SET)  # a host that ended may have read some
            return frames.put(call, key, artefact, deadline=deadline)

        try:
            answer, payload = self._client(version).call(
                version.tenant_id,
                frame,
                Expected(),
                seconds=seconds,
                deadline=deadline,
                descriptors=(descriptor,),
            )
        finally:
            os.close(descriptor)
        if answer.status == frames.EXPIRED:
            raise TooLate
        if answer.status != frames.OPEN:
            raise ArtefactBroken(
                f"the file of {version.model!r} version {version.number}",
                frames.read_reason(payload),
            )

    def _values(
        self, version: Version, output: Output, answer: Answer, payload: Buffer
    ) -> NDArray[Any]:
        if answer.status == frames.EXPIRED:
            raise TooLate
        if answer.status == frames.REFUSED:
            raise RowsRefused("its own library refuses them")
        if answer.status != frames.ANSWERED:
            reason = frames.read_reason(payload)
            raise PredictionFailed(version.model, version.number, reason)
        try:
            values = frames.read_values(answer, payload)
        except FrameMalformed as error:
            raise PredictionFailed(version.model, version.number, error.problem) from error
        if (DTYPES[values.dtype.kind] == "text") != (output.dtype == "text"):
            reason = f"it answered with {values.dtype}, where its signature says {output.dtype}"
            raise PredictionFailed(version.model, version.number, reason)
        self._observe(answer.batch, answer.microseconds / 1e6)
        return values


def _role_of(version: Version, method: str) -> str:
    """Which of a version's files answers a method in a host."""
    contents = version.manifest.contents
    compiled = contents.engine in IN_HOSTS and method in contents.engine_methods
    return ENGINE if compiled else MODEL


def _roles_of(version: Version) -> list[str]:
    return sorted({_role_of(version, method) for method in version.signature.methods})


def _artefact(version: Version, role: str) -> frames.Artefact:
    stored = version.files[role]
    engine = f":{version.manifest.contents.engine}" if role == ENGINE else ""
    return frames.Artefact(stored.size, bytes.fromhex(stored.digest), stored.format + engine)


@contextmanager
def _named(version: Version, seconds: float) -> Iterator[None]:
    """Say of which version it is that a host has ended or not answered."""
    try:
        yield
    except HostEnded as error:
        raise HostCrashed(version.model, version.number) from error
    except TooLate as error:
        raise DeadlineExceeded(version.model, version.number, seconds) from error
