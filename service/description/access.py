"""Who may call an operation, as OpenAPI writes it."""

from __future__ import annotations

from typing import Any

from service.description.operations import Operation


def security_of(operation: Operation) -> dict[str, Any]:
    """The ways to identify oneself, each with the permission that one has to hold.

    A public operation keeps what it declares: some take credentials without asking for them.
    """
    permission = operation.access.permission
    if permission is None:
        return {"security": operation.described.get("security", [])}
    held = [str(permission)]
    ways = [{scheme: held} for scheme in schemes_of(operation)]
    return {"security": ways, "x-permission": str(permission)}


def schemes_of(operation: Operation) -> list[str]:
    """The security schemes that an operation with a permission takes."""
    basic = ["basic"] if getattr(operation.view, "accepts_basic", False) else []
    return ["bearer", *basic]
