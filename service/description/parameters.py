"""The variables of paths: what each names, and how that is written."""

from __future__ import annotations

from typing import Any, Final

from auth.permissions import MODEL_NAME
from models.names import ALIAS
from service.schemas import ACCOUNT, JOB, REFERENCE, described


def _path(description: str, pattern: str, most: int) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1} | described(pattern, most)
    return {"description": description, "schema": schema}


PATH: Final[dict[str, dict[str, Any]]] = {
    "model": _path("The model's name.", MODEL_NAME.pattern, 63),
    "version": _path("The version's number or an alias.", REFERENCE, 63),
    "alias": _path("The alias.", ALIAS.pattern, 63),
    "job_id": _path("The job's name.", JOB, 64),
    "username": _path("The user's name.", ACCOUNT, 128),
    "client_id": _path("The service account's `client_id`.", r"[A-Za-z0-9_-]+", 64),
    "asset": _path("A script or style.", r"[a-z.-]+", 64),
}
