"""What each method does, and who may call it: one table, the same gates as over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth.permissions import Permission
from auth.scope import Scope
from models.errors import ModelsError
from service import dataplane
from service.bootstrap import Platform
from service.errors import FAILING
from service.grpc_inference.asking import Asking
from service.grpc_inference.messages import RPCS, encode, message_class, taking_apart
from service.grpc_inference.requests import (
    model_of,
    read_parameters,
    read_request,
    reference_of,
)
from service.grpc_inference.responses import describe_answer, in_stream
from service.open_inference import metadata, models
from service.operations import health, repository

SERVICE: Final = "inference.GRPCInferenceService"
HEALTH: Final = "grpc.health.v1.Health"
Described = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: what it is called, the least permission, and how a message is answered.

    One that `opens` a version may wait for its process.
    """

    path: str
    permission: Permission | None
    answer: Callable[[Asking], bytes]
    streams: bool = False
    opens: bool = False

    @property
    def endpoint(self) -> str:
        """The name in metrics and logs."""
        return f"grpc.{self.path.rpartition('/')[2]}"

    def may_be_called_by(self, scope: Scope) -> bool:
        """Whether the scope has the permission, on any model; which one, only a message says."""
        needed = self.permission
        return needed is None or any(grant.permission is needed for grant in scope.principal.grants)


def _public(path: str, describe: Callable[[Platform, Any], Described]) -> Method:
    kind, answered = _classes(path)

    def answer(asking: Asking) -> bytes:
        asking.recognise()
        return encode(answered, describe(asking.platform, asking.read(kind)))

    return Method(path, None, answer)


def _guarded(
    path: str,
    permission: Permission,
    describe: Callable[[Platform, Scope, Any], Described],
    *,
    named: str | None = None,
    opens: bool = False,
) -> Method:
    """A method that needs a permission, on the model that the field `named` names."""
    kind, answered = _classes(path)

    def answer(asking: Asking) -> bytes:
        asking.identify()
        message = asking.read(kind)
        model = model_of(getattr(message, named)) if named else None
        scope = asking.admit(permission, model)
        return encode(answered, describe(asking.platform, scope, message))

    return Method(path, permission, answer, opens=opens)


def _classes(path: str) -> tuple[Any, Any]:
    rpc = RPCS[path]
    return message_class(rpc.request), message_class(rpc.response)


def _infer(asking: Asking) -> Any:
    asking.identify()
    visit = asking.visit()
    platform, scope = visit.platform, visit.scope

    def decode() -> Any:
        with taking_apart(asking.data):
            message = asking.read(INFER_REQUEST)
            asking.id = message.id
            asked = read_request(
                message,
                platform.bounds,
                lambda model, version: models.signature_of(platform, scope, model, version),
            )
            asking.outputs = asked.outputs
            return asked

    answer = dataplane.predict(visit, decode)
    return describe_answer(answer, asking.outputs, asking.id)


def _infer_one(asking: Asking) -> bytes:
    encoded: bytes = _infer(asking).SerializeToString()
    return encoded


def _infer_in_stream(asking: Asking) -> bytes:
    return in_stream(_infer(asking))


def _ready(platform: Platform, _message: Any) -> Described:
    return {"ready": _is_ready(platform)}


def _is_ready(platform: Platform) -> bool:
    return FAILING not in health.readiness(platform).values()


def _check(platform: Platform, message: Any) -> Described:
    """The health of the server, by its own name or none (gRPC's health checking protocol)."""
    if message.service not in ("", SERVICE, HEALTH):
        return {"status": "SERVICE_UNKNOWN"}
    return {"status": "SERVING" if _is_ready(platform) else "NOT_SERVING"}


def _model_ready(platform: Platform, scope: Scope, message: Any) -> Described:
    """Triton answers that no model of a name is ready where there is none; so do we."""
    try:
        models.find(platform, scope, model_of(message.name), reference_of(message.version))
    except ModelsError:
        return {"ready": False}
    return {"ready": True}


def _metadata(platform: Platform, scope: Scope, message: Any) -> Described:
    model = _model(platform, scope, message)
    return models.metadata(platform, scope, model, reference_of(message.version))


def _configuration(platform: Platform, scope: Scope, message: Any) -> Described:
    model = _model(platform, scope, message)
    version = reference_of(message.version)
    return {"config": models.configuration(platform, scope, model, version)}


def _model(platform: Platform, scope: Scope, message: Any) -> str:
    """The model that a message names, or the tenant's default."""
    return models.find(platform, scope, model_of(message.name)).model


def _statistics(platform: Platform, scope: Scope, message: Any) -> Described:
    model = model_of(message.name)
    version = reference_of(message.version) if model else None
    return models.statistics(platform, scope, model, version)


def _index(platform: Platform, scope: Scope, message: Any) -> Described:
    return {"models": models.index(platform, scope, ready=message.ready)}


def _load(platform: Platform, scope: Scope, message: Any) -> Described:
    repository.load(
        platform, scope, model_of(message.model_name) or "", read_parameters(message.parameters)
    )
    return {}


def _unload(platform: Platform, scope: Scope, message: Any) -> Described:
    repository.unload(
        platform, scope, model_of(message.model_name) or "", read_parameters(message.parameters)
    )
    return {}


def _table() -> Mapping[str, Method]:
    def at(name: str) -> str:
        return f"/{SERVICE}/{name}"

    predict, write = Permission.PREDICT, Permission.MODELS_WRITE
    methods = (
        _public(at("ServerLive"), lambda _platform, _message: {"live": True}),
        _public(at("ServerReady"), _ready),
        _public(at("ServerMetadata"), lambda _platform, _message: metadata.describe_server()),
        _public(f"/{HEALTH}/Check", _check),
        _guarded(at("ModelReady"), predict, _model_ready, named="name"),
        _guarded(at("ModelMetadata"), predict, _metadata, named="name"),
        _guarded(at("ModelConfig"), predict, _configuration, named="name"),
        _guarded(at("ModelStatistics"), predict, _statistics, named="name"),
        _guarded(at("RepositoryIndex"), Permission.MODELS_READ, _index),
        _guarded(at("RepositoryModelLoad"), write, _load, named="model_name", opens=True),
        _guarded(at("RepositoryModelUnload"), write, _unload, named="model_name"),
        Method(at("ModelInfer"), predict, _infer_one),
        Method(at("ModelStreamInfer"), predict, _infer_in_stream, streams=True),
    )
    return {method.path: method for method in methods}


INFER_REQUEST: Final = message_class("inference.ModelInferRequest")
METHODS: Final = _table()
