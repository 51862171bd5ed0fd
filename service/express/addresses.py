"""Where plain calls may come: the common spelling of each dialect's addresses for predictions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from models.names import ALIAS, MODEL_NAME, NUMBER, Reference
from service.express.dialects import Mlflow, Native, OpenInference, TensorflowServing
from service.express.heads import Address, Dialect
from service.observing import Outcome
from service.open_inference.asking import version_of

TENSORS: Final = OpenInference()
SERVING: Final = TensorflowServing()
SCORING: Final = Mlflow()
OF_SCORING: Final = {
    "invoke_model": "models",
    "invoke_endpoint": "endpoints",
    "invoke_serving_endpoint": "serving-endpoints",
}
VARIABLE: Final = re.compile(r"<(\w+):(\w+)>")
# What a variable of a route may be here; of more no model or version is called.
FORMS: Final = {
    ("string", "model"): MODEL_NAME.pattern,
    ("servable", "model"): MODEL_NAME.pattern,
    ("string", "version"): "[A-Za-z0-9_.-]{1,64}",
    ("number", "version"): NUMBER.pattern,
    ("servable", "label"): ALIAS.pattern,
}


class Route(NamedTuple):
    """A route of the application that names a model, and perhaps its version."""

    pattern: re.Pattern[str]
    dialect: Dialect
    answered: Outcome
    reference: Callable[[str], Reference]

    def address(self, path: str) -> Address | None:
        """The address of a path of this route."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        model, *version = found.groups()
        reference = self.reference(version[0]) if version else None
        return Address(self.dialect, self.answered, model, reference)


def _answered(endpoint: str, route: str) -> Outcome:
    return Outcome(status=200, endpoint=endpoint, method="POST", route=route)


def _route(
    dialect: Dialect, endpoint: str, route: str, reference: Callable[[str], Reference] = str
) -> Route:
    pattern = VARIABLE.sub(lambda found: f"({FORMS[found[1], found[2]]})", route)
    return Route(re.compile(pattern), dialect, _answered(endpoint, route), reference)


def _routes() -> Iterator[Route]:
    model = "/v2/models/<string:model>"
    yield _route(TENSORS, "open_inference.infer", f"{model}/infer")
    version = f"{model}/versions/<string:version>/infer"
    yield _route(TENSORS, "open_inference.infer_version", version, version_of)
    model, name = "/v1/models/<servable:model>", "tensorflow_serving.predict"
    yield _route(SERVING, name, f"{model}:predict")
    yield _route(SERVING, f"{name}_version", f"{model}/versions/<number:version>:predict", int)
    yield _route(SERVING, f"{name}_label", f"{model}/labels/<servable:label>:predict")
    for endpoint, folder in OF_SCORING.items():
        yield _route(SCORING, f"mlflow.{endpoint}", f"/{folder}/<string:model>/invocations")


PREDICT: Final = Address(Native(), _answered("predict.predict", "/predict"))
FIXED: Final = {
    PREDICT.answered.route: PREDICT,
    "/invocations": Address(SCORING, _answered("mlflow.invoke_default", "/invocations")),
}
ROUTES: Final = tuple(_routes())


def address_of(path: str) -> Address | None:
    """The address of a path, if plain calls may come there."""
    fixed = FIXED.get(path)
    if fixed is not None:
        return fixed
    found = (route.address(path) for route in ROUTES)
    return next((address for address in found if address is not None), None)
