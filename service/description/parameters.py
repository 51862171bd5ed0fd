"""The variables of paths: what each names, and how that is written."""

from __future__ import annotations

from typing import Any, Final

from auth.permissions import MODEL_NAME
from models.names import ALIAS, NUMBER
from models.prediction_log.segments import SEGMENT_ID
from service.schemas import ACCOUNT, JOB, REFERENCE, described


def _path(description: str, pattern: str, most: int, example: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1} | described(pattern, most)
    return {"description": description, "schema": schema, "example": example}


PATH: Final[dict[str, dict[str, Any]]] = {
    "model": _path("The model's name.", MODEL_NAME.pattern, 63, "linear"),
    "version": _path("The version's number or an alias.", REFERENCE, 63, "1"),
    "alias": _path("The alias.", ALIAS.pattern, 63, "champion"),
    "job_id": _path("The job's name.", JOB, 64, "job_0198a5f0c1d2ab34cd56ef7890"),
    "label": _path("The label: an alias.", ALIAS.pattern, 63, "champion"),
    "segment": _path("The segment's name.", SEGMENT_ID.pattern, 32, f"seg_{'0' * 28}"),
    "username": _path("The user's name.", ACCOUNT, 128, "ben"),
    "client_id": _path(
        "The service account's `client_id`.", r"[A-Za-z0-9_-]+", 64, "cli_0a1b2c3d4e5f"
    ),
    "asset": _path("A script or style.", r"[a-z.-]+", 64, "page.js"),
}
NUMBERED: Final = PATH | {"version": _path("The version's number.", NUMBER.pattern, 15, "1")}


def path_parameter(path: str, name: str) -> dict[str, Any]:
    """What a variable is on this path: TF Serving has labels beside versions."""
    return (NUMBERED if path.startswith("/v1/") else PATH)[name]
