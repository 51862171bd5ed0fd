"""A thousand versions of a hundred tenants on one platform, within one worker's memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from auth.scope import Scope
from config.settings import Settings, load_settings
from models.handlers.skops_file import write_skops
from models.register.version_keys import Draft
from models.stages import Prepared
from service.bootstrap import Platform
from service.operations.clients import create_client
from service.operations.tenants import create_tenant
from tests.house import UNHURRIED, House, opened

TENANTS = 100
VERSIONS = 10
ROOM = 1024 * 1024  # for some two hundred of them, at what each counts for


@pytest.fixture
def crowded(house_settings: Settings) -> Iterator[tuple[House, dict[str, str]]]:
    """A platform on which every tenant has ten versions, and a token of each tenant."""
    settings = load_settings(house_settings.instance, model_cache_bytes=ROOM, **UNHURRIED)
    with opened(settings) as house:
        prepared = _prepared(house)
        yield house, {f"tenant{n}": _settle(house, f"tenant{n}", prepared) for n in range(TENANTS)}


def _prepared(house: House) -> list[Prepared]:
    """One model for each number of version: that many times the sum of both columns."""
    rows = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 5.0], [4.0, 9.0]])
    models = [LinearRegression().fit(rows, n * rows.sum(axis=1)) for n in range(1, VERSIONS + 1)]
    run = house.platform.hosting.intake.run
    return [run(write_skops(model), formats={"skops"}) for model in models]


def _settle(house: House, tenant: str, prepared: list[Prepared]) -> str:
    create_tenant(house.platform, house.operator(), tenant, "unlimited")
    scope = house.operator(tenant)
    _register(house.platform, scope, prepared)
    made = create_client(house.platform, scope, "robot", "predict")
    form = {"grant_type": "client_credentials"}
    answer = house.client.post("/auth/token", data=form, auth=(made.id, made.secret or ""))
    return str(answer.get_json()["access_token"])


def _register(platform: Platform, scope: Scope, prepared: list[Prepared]) -> None:
    """Store and register them as `register` does, but all in one transaction, without an audit."""
    registry, by = platform.registry, str(scope.principal)

    def put(draft: Draft, blobs: Mapping[str, bytes]) -> None:
        for role, blob in blobs.items():
            platform.artefacts.put(draft, role, blob, draft.sealer)

    with platform.database.write() as session:
        drafts = [registry.draft(session, scope, "sums", each.contents) for each in prepared]
        with ThreadPoolExecutor(VERSIONS) as pool:  # so that they wait for the disk together
            list(pool.map(put, drafts, [each.blobs for each in prepared]))
        for draft in drafts:
            registry.register(session, scope, draft, created_by=by)


def test_every_version_of_every_tenant_answers_its_own_and_memory_stays_bounded(
    crowded: tuple[House, dict[str, str]],
) -> None:
    house, tokens = crowded
    client = house.client
    for version in range(1, VERSIONS + 1):
        for token in tokens.values():
            body = {"features": [1, 2], "model": "sums", "version": version}
            headers = {"Authorization": f"Bearer {token}"}
            answer = client.post("/predict", json=body, headers=headers)
            assert answer.get_json()["prediction"] == pytest.approx([3.0 * version])

    compiled = house.platform.executor
    open_now = 0
    for tenant in tokens:
        scope = house.operator(tenant)
        with house.platform.database.read() as session:
            found = list(house.platform.registry.kept(session, scope))
        assert len(found) == VERSIONS
        open_now += sum(compiled.is_warm(version) for version in found)
    assert 0 < open_now < TENANTS * VERSIONS / 2
