"""What a version has to be before it may be champion."""

from __future__ import annotations

from typing import Any

from auth.permissions import Permission
from service.conditional import expected, heeds_conditions, is_tagged, shown
from service.operations import gates
from service.parsing import Blueprint
from service.schemas.gates import GateSchema, GateViewSchema, VerdictSchema
from service.security import current_platform, current_scope, requires

bp = Blueprint("gates", __name__, url_prefix="/models", description="What champions have to be.")


@bp.get("/<string:model>/gate")
@is_tagged
@requires(Permission.MODELS_READ)
@bp.response(200, GateViewSchema)
def show_gate(model: str) -> gates.GateView:
    """Show what a version has to be before it answers calls that name none."""
    view = gates.show_gate(current_platform(), current_scope(), model)
    shown(view.state)
    return view


@bp.put("/<string:model>/gate")
@heeds_conditions
@requires(Permission.MODELS_GATE)
@bp.arguments(GateSchema)
@bp.response(200, GateViewSchema)
def set_gate(body: dict[str, Any], model: str) -> gates.GateView:
    """Say what a version has to be; who is champion already stays so."""
    return gates.set_gate(current_platform(), current_scope(), model, body, expected=expected())


@bp.delete("/<string:model>/gate")
@heeds_conditions
@requires(Permission.MODELS_GATE)
@bp.response(204)
def remove_gate(model: str) -> None:
    """Let every version of a model be champion."""
    gates.remove_gate(current_platform(), current_scope(), model, expected=expected())


@bp.get("/<string:model>/versions/<string:version>/gate")
@requires(Permission.MODELS_WRITE)
@bp.response(200, VerdictSchema)
@bp.alt_response(410, "GONE")
def check_gate(model: str, version: str) -> gates.GateVerdict:
    """Say whether a version would pass, and why not; nothing is moved."""
    return gates.check_gate(current_platform(), current_scope(), model, version)
