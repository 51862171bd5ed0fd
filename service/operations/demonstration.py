"""The demo: two tenants with users and one model each, and a file that says how to log in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from auth.errors import NameTaken, NotFound
from auth.password_rules import generate_password
from auth.plans import DEFAULT_PLAN
from auth.scope import Scope
from certs.files import PRIVATE, replace
from models.errors import ModelNotFound
from service.bootstrap import Platform
from service.operations.accounts import create_user, show_user
from service.operations.imports import import_model
from service.operations.instance_state import DEMO
from service.operations.models import set_default, show_model
from service.operations.tenants import create_tenant, operator_scope, show_tenant

UNFINISHED: Final = "demo.json.unfinished"
MODEL: Final = "linear"
CAST: Final = {
    "acme": {"ada": "admin", "ben": "developer", "rob": "caller"},
    "globex": {"gail": "admin"},
}


def add_demo(platform: Platform) -> Iterator[str]:
    """Add the demo's tenants; what an interrupted run left is completed.

    The passwords are written down before the accounts are made with them, under another name:
    demo.json appears when everything that it says is true.
    """
    instance = platform.settings.instance
    plan = _plan(platform, instance / UNFINISHED)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / f"{MODEL}.skops"
        model.write_bytes(_fitted())
        for tenant in plan["tenants"]:
            _add_tenant(platform, tenant, model)
            yield f"tenant: {tenant['tenant']}, with the model {MODEL}"
    (instance / UNFINISHED).rename(instance / DEMO)
    yield f"demo accounts: {instance / DEMO}"


def _plan(platform: Platform, path: Path) -> dict[str, Any]:
    """What demo.json will say: kept from an interrupted run, or made now."""
    if path.exists():
        kept: dict[str, Any] = orjson.loads(path.read_bytes())
        return kept
    scope = operator_scope(platform)
    for tenant in CAST:
        _refuse_foreign(platform, scope, tenant)
    plan = {
        "url": platform.settings.url,
        "ca": str(platform.authority.ca_file),
        "tenants": [
            {
                "tenant": tenant,
                "users": [
                    {"username": username, "password": generate_password(), "role": role}
                    for username, role in users.items()
                ],
                "model": MODEL,
            }
            for tenant, users in CAST.items()
        ],
    }
    _write(path, plan)
    return plan


def _write(path: Path, plan: dict[str, Any]) -> None:
    replace(path, orjson.dumps(plan, option=orjson.OPT_INDENT_2) + b"\n", mode=PRIVATE)


def _add_tenant(platform: Platform, tenant: dict[str, Any], model: Path) -> None:
    name = tenant["tenant"]
    try:
        scope = operator_scope(platform, name)
    except NotFound:
        create_tenant(platform, operator_scope(platform), name, DEFAULT_PLAN)
        scope = operator_scope(platform, name)
    for user in tenant["users"]:
        _add_user(platform, scope, user)
    try:
        show_model(platform, scope, MODEL)
    except ModelNotFound:
        import_model(platform, scope, MODEL, model)
    set_default(platform, scope, MODEL)


def _add_user(platform: Platform, scope: Scope, user: dict[str, str]) -> None:
    try:
        show_user(platform, scope, user["username"])
    except NotFound:
        create_user(platform, scope, user["username"], user["role"], password=user["password"])


def _refuse_foreign(platform: Platform, scope: Scope, tenant: str) -> None:
    """A tenant that somebody made under the demo's name is not the demo's to fill."""
    try:
        show_tenant(platform, scope, tenant)
    except NotFound:
        return
    raise NameTaken("tenant", tenant)


def _fitted() -> bytes:
    """The demo's model as a file, fitted as anybody would fit it."""
    # They take a second to import, which no other command should pay.
    from sklearn.linear_model import LinearRegression

    from models.handlers.skops_file import write_skops

    return write_skops(LinearRegression().fit([[1, 2], [2, 4], [3, 6], [4, 8]], [3, 6, 9, 12]))
