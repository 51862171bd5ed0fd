"""Installations of a size: so many tenants, users and versions, and as many traces of a day's use.

Synthetic are: every user has the same password (hashed once), the versions are of three models in
turns (each taken in once, stored and sealed for each), and what a day leaves behind is one session,
one audit record and one call for each user. Rows are written in bulk through the tables and parts
of the platform; nothing that a server reads has another form than it would have otherwise.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, select

from auth.permissions import Role, format_scope, grants_of_role
from auth.records import RefreshTokenRow, SessionRow, TenantRow, UserRow, new_id
from benchmarks.served import manage, say
from config.counters import Usage
from config.settings import load_settings
from models.stages import Prepared
from service.bootstrap import Platform, assemble
from service.operations.model_sources import open_material
from service.operations.preparation import Source, prepare
from service.operations.registration import register
from service.operations.tenants import operator_scope

EVERYBODYS: Final = "a long password of the benchmark"
MODEL: Final = "small"
NOTE: Final = "benchmark.json"
SOME: Final = 5_000
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Size:
    """How much is in an installation."""

    tenants: int
    users: int
    versions: int


def make(instance: Path, size: Size) -> None:
    """Make an installation of a size, unless it is there; counters end with a boot."""
    note = instance / NOTE
    is_there = note.exists() and json.loads(note.read_text()) == asdict(size)
    if not is_there:
        manage("--instance", str(instance), "init", "--demo")
    platform = assemble(load_settings(instance))
    try:
        if not is_there:
            _fill(platform, size)
        _calls(platform)
    finally:
        platform.close()
    note.write_text(json.dumps(asdict(size)))


def tokens(platform: Platform, count: int, *, tenants: int) -> Iterator[str]:
    """Access tokens of that many callers, in the first tenants in turns; each has a session."""
    rows = (
        select(UserRow.id, SessionRow.id)
        .join(SessionRow, SessionRow.subject_id == UserRow.id)
        .join(TenantRow, TenantRow.id == UserRow.tenant_id)
        .where(TenantRow.name.in_([name_of(number) for number in range(tenants)]))
        .order_by(UserRow.username, TenantRow.name)
        .limit(count)
    )
    with platform.database.read() as session:
        found = session.execute(rows).all()
        for number in range(count):
            user_id, session_id = found[number % len(found)]
            principal = platform.principals.of(session, user_id)
            assert principal is not None, "every user of the benchmark is active"
            bearer = replace(principal, session_id=session_id)
            yield platform.tokens.mint(platform.signer(), bearer, platform.clock())[0]


def name_of(number: int) -> str:
    """The name of a tenant."""
    return f"tenant-{number:05d}"


def account(number: int, tenants: int) -> bytes:
    """The body of a login of some user."""
    tenant = name_of(number % tenants)
    named = {"tenant": tenant, "username": f"user-{number // tenants:05d}"}
    return json.dumps(named | {"password": EVERYBODYS}).encode()


def small_models() -> dict[str, Any]:
    """A linear model, a small tree and a pipeline, fitted on the same two columns."""
    import numpy as np
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    rows = np.random.default_rng(0).normal(size=(300, 2))
    kinds = (rows @ [1.0, 2.0] + rows[:, 0] ** 2 > 0.5).astype(int)
    return {
        "linear": LinearRegression().fit(rows, rows @ [1.0, 2.0]),
        "tree": DecisionTreeClassifier(max_depth=5, random_state=0).fit(rows, kinds),
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, kinds),
    }


def prepared(platform: Platform, model: Any) -> Prepared:
    """What an intake makes of a fitted model."""
    from models.handlers.skops_file import write_skops

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "model.skops"
        path.write_bytes(write_skops(model))
        material = open_material(stack, path, "skops")
        source = Source(
            file=material.file,
            rows=None,
            answers=None,
            digest=None,
            formats=material.formats,
            accept_version=False,
        )
        return prepare(platform, source, tell=lambda *_: None, goes_on=lambda: None)


def _fill(platform: Platform, size: Size) -> None:
    tenants = _tenants(platform, size.tenants)
    _users(platform, tenants, size.users)
    _versions(platform, tenants[: size.versions], size.versions)
    _records(platform)


def _tenants(platform: Platform, count: int) -> list[str]:
    found: list[str] = []
    for some in _batches(range(count)):
        say(f"tenants: {len(found)} of {count}")
        with platform.database.write() as session:
            for number in some:
                tenant = platform.tenants.create(session, name_of(number), plan="unlimited")
                platform.epoch.raise_in(session, tenant.id)
                found.append(tenant.id)
    platform.epoch.publish()
    return found


def _users(platform: Platform, tenants: list[str], count: int) -> None:
    password, now = platform.hasher.hash(EVERYBODYS), platform.clock()
    scope = format_scope(grants_of_role(Role.CALLER))
    for some in _batches(range(count)):
        say(f"users: {some[0]} of {count}")
        users = [_user(n, tenants[n % len(tenants)], len(tenants), password, now) for n in some]
        sessions = [_session(user, scope, now) for user in users]
        refresh = [
            {"digest": secrets.token_hex(32), "session_id": one["id"], "created_at": now}
            for one in sessions
        ]
        with platform.database.write() as session:
            for table, rows in ((UserRow, users), (SessionRow, sessions)):
                session.execute(insert(table), rows)
            session.execute(insert(RefreshTokenRow), refresh)


def _user(number: int, tenant_id: str, tenants: int, password: str, now: float) -> dict[str, Any]:
    return {
        "id": new_id("usr"),
        "tenant_id": tenant_id,
        "username": f"user-{number // tenants:05d}",
        "role": Role.CALLER.value,
        "state": "active",
        "password_hash": password,
        "password_changed_at": now,
        "otp_confirmed": False,
        "otp_last_step": 0,
        "created_at": now,
    }


def _session(user: dict[str, Any], scope: str, now: float) -> dict[str, Any]:
    return {
        "id": new_id("ses"),
        "tenant_id": user["tenant_id"],
        "subject_id": user["id"],
        "scope": scope,
        "created_at": now,
        "expires_at": now + 30 * DAY,
    }


def _versions(platform: Platform, tenants: list[str], count: int) -> None:
    made = [prepared(platform, model) for model in small_models().values()]
    for number in range(count):
        if number % 50 == 0:
            say(f"versions: {number} of {count}")
        scope = operator_scope(platform, name_of(number % len(tenants)))
        register(platform, scope, MODEL, made[number % len(made)])


def _records(platform: Platform) -> None:
    """What a day leaves in the audit trail: a record of each user."""
    for some in _batches(_everybody(platform)):
        say("records of all users")
        with platform.database.write() as session:
            for user_id, tenant_id in some:
                platform.audit.append(
                    session, actor=user_id, tenant_id=tenant_id, action="sessions.login", subject=""
                )


def _calls(platform: Platform) -> None:
    """What a day leaves in the counter store: a call of each user."""
    for user_id, tenant_id in _everybody(platform):
        platform.counters.add_usage(Usage(tenant_id, user_id, MODEL, 1, 1, 20))


def _everybody(platform: Platform) -> list[tuple[str, str]]:
    with platform.database.read() as session:
        users = session.execute(select(UserRow.id, UserRow.tenant_id))
        return [(user_id, tenant_id) for user_id, tenant_id in users]


def _batches(values: Any) -> Iterator[list[Any]]:
    rest = iter(values)
    while some := list(islice(rest, SOME)):
        yield some
