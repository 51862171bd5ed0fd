"""One message on its way to its answer: who asks, what that is charged, and what is to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from auth.permissions import Permission
from auth.scope import Scope
from service import charging, observing, security
from service.bootstrap import Platform
from service.errors import Policy
from service.grpc_inference.callers import Credential, Metadata
from service.grpc_inference.messages import decode
from service.visits import Visit

DIALECT: Final = "open-inference-grpc"
OTHER_FIELDS: Final = 64  # of a message, beside what there is of each column
# A tensor, its name, datatype, shape of two, and contents; or its raw content; an output's name.
FIELDS_A_COLUMN: Final = 16


@dataclass(slots=True, kw_only=True)
class Asking:
    """A message and its call; its `id` and the `outputs` wanted are known once it is read."""

    metadata: Metadata
    credential: Credential
    data: bytes
    call: observing.Call
    id: str = ""
    outputs: tuple[str, ...] = ()
    charged: tuple[Policy, ...] = ()

    @property
    def platform(self) -> Platform:
        """The platform that is asked."""
        return self.call.platform

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The limits that the caller is closest to."""
        return self.charged or (self.call.visit.policies if self.call.visit else ())

    def read(self, kind: Any) -> Any:
        """The message; raises InputRefused."""
        most = OTHER_FIELDS + FIELDS_A_COLUMN * self.platform.settings.max_columns
        return decode(kind, self.data, most_fields=most)

    def recognise(self) -> None:
        """Note who calls where everybody may, if that is known, and charge them."""
        self.call.scope = self.credential.known(self.platform)
        self._charge()

    def identify(self) -> Scope:
        """Who calls; raises what is wrong with their credential."""
        self.call.scope = self.credential.identify(self.platform)
        return self.call.scope

    def require(self, permission: Permission, model: str | None = None) -> Scope:
        """Who calls, if they may; charged for it if not."""
        scope = self.call.scope or self.identify()
        try:
            security.require(scope, permission, model)
        except Exception:
            self._charge()
            raise
        return scope

    def admit(self, permission: Permission, model: str | None = None) -> Scope:
        """Who calls, if they may; charged for it in any case."""
        scope = self.require(permission, model)
        self._charge()
        return scope

    def visit(self) -> Visit:
        """The caller's visit to the data plane, which charges it."""
        self.call.visit = Visit(
            platform=self.platform,
            scope=self.require(Permission.PREDICT),
            dialect=DIALECT,
            header=self.metadata.first,
            request_id=self.call.request_id,
            stages=self.call.stages,
        )
        return self.call.visit

    def _charge(self) -> None:
        if self.call.scope is not None:
            self.charged = charging.charge(self.platform, self.call.scope, None, rows=0)
