"""A call that has arrived: its head is admitted first, then each of its messages is answered.

Everything here runs in a thread, and a refusal is an answer like any other: nothing is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from grpc import StatusCode

from auth.errors import TokenRefused
from auth.scope import Scope
from service import observing
from service.bootstrap import Platform
from service.errors import (
    ClientRefused,
    CredentialsAmbiguous,
    CredentialsMissing,
    RateLimited,
)
from service.grpc_inference.asking import DIALECT, Asking
from service.grpc_inference.callers import Credential, Metadata
from service.grpc_inference.methods import Method
from service.grpc_inference.refusals import NO_METHOD, Pairs, Refusal, limits_told, refuse
from service.grpc_inference.responses import error_in_stream
from service.observing import Outcome

OK: Final = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: a message unless it is refused, a status, and trailing metadata."""

    data: bytes | None
    code: StatusCode
    words: str
    trailing: Pairs


@dataclass(slots=True, kw_only=True)
class Arrival:
    """A call as its metadata show it; `method` is None where there is no such one.

    `is_counted` says that its address, if it is a stranger's, is counted for the next message.
    """

    platform: Platform
    method: Method | None
    metadata: Metadata
    credential: Credential
    is_counted: bool = False

    def known(self) -> Scope | None:
        """Who calls, if that is known; touches no store but the epoch."""
        return self.credential.known(self.platform)

    def enter(self) -> Reply | None:
        """Admit a call whose messages are not read yet; its refusal if it is none to be read."""
        return self._settle(self._enter, b"")

    def answer(self, data: bytes) -> Reply:
        """Take one message through every gate to its answer."""
        reply = self._settle(self._answer, data)
        assert reply is not None
        return reply

    def _enter(self, asking: Asking) -> bytes | None:
        self._count(asking)
        if self.method is None:
            asking.recognise()
        elif self.method.permission is not None:
            asking.identify()
            asking.require(self.method.permission)
        elif self.credential.values:
            # Whoever is known need not ask in the strangers' places, and nobody else is refused.
            with suppress(TokenRefused, ClientRefused, CredentialsAmbiguous, CredentialsMissing):
                asking.identify()
        return None

    def _answer(self, asking: Asking) -> bytes:
        if not self.is_counted:
            self._count(asking)
        self.is_counted = False
        assert self.method is not None
        return self.method.answer(asking)

    def _count(self, asking: Asking) -> None:
        asking.call.scope = self.credential.enter(self.platform)
        self.is_counted = True

    def _settle(self, work: Callable[[Asking], bytes | None], data: bytes) -> Reply | None:
        call = observing.begin(self.platform, self.metadata.first)
        call.dialect = DIALECT
        asking = Asking(metadata=self.metadata, credential=self.credential, data=data, call=call)
        try:
            answered = work(asking)
            refusal = NO_METHOD if self.method is None else None
        except Exception as error:  # noqa: BLE001 - refuse logs what was not foreseen
            if isinstance(error, RateLimited):
                asking.charged = error.policies
            answered = None
            refusal = refuse(error, endpoint=self._endpoint, request_id=call.request_id)
        if answered is None and refusal is None:
            return None
        return self._reply(asking, answered, refusal)

    def _reply(self, asking: Asking, answered: bytes | None, refusal: Refusal | None) -> Reply:
        told = observing.finish(asking.call, self._outcome(asking, refusal))
        trailing = (
            ("x-request-id", asking.call.request_id),
            *((name.lower(), value) for name, value in told.items()),
            *limits_told(asking.policies),
        )
        if refusal is None:
            return Reply(answered, StatusCode.OK, "", trailing)
        words = refusal.words
        in_stream = self.method is not None and self.method.streams and asking.data
        data = error_in_stream(words, asking.id) if in_stream else None
        return Reply(data, refusal.code, words, trailing + refusal.trailing)

    def _outcome(self, asking: Asking, refusal: Refusal | None) -> Outcome:
        asking.call.problem = refusal.problem.name if refusal else None
        status = refusal.problem.status if refusal else OK
        if self.method is None:
            return Outcome(status=status)
        return Outcome(
            status=status, endpoint=self._endpoint, method="POST", route=self.method.path
        )

    @property
    def _endpoint(self) -> str:
        return self.method.endpoint if self.method else observing.UNROUTED
