"""What the platform counts of each version that is called, by whichever dialect."""

from __future__ import annotations

from config.counters import VersionStatistics
from service.operations import tenants, versions
from service.operations.statistics import prune
from tests.house import House


def counted(house: House, tenant: str = "acme", model: str = "linear") -> list[VersionStatistics]:
    return house.platform.statistics.of(house.operator(tenant).tenant_id, model)


def test_answers_and_failures_of_a_version_are_counted(house: House) -> None:
    before = house.platform.clock() * 1000
    house.rob.predict([[5, 10], [6, 12]])
    house.rob.predict([5])

    (version,) = counted(house)
    assert version[2:4] == (1, 1), "the first version, one success"
    assert (version.fail_count, version.rows, version.executions) == (1, 2, 1)
    assert version.fail_ns > 0
    parts = version.queue_ns + version.decode_ns + version.compute_ns + version.encode_ns
    assert version.success_ns == parts
    assert version.decode_ns > 0
    assert version.compute_ns > 0
    assert version.last_ms >= int(before)


def test_what_a_gate_refuses_counts_for_no_version(house: House) -> None:
    assert house.rob.predict([5, 10], model="missing").status_code == 404
    assert house.rob.post("/predict", data=b"{").status_code == 400
    limits = {"model": "linear", "limits": {"rows_per_minute": 1}}
    assert house.olga.call("PATCH", "/admin/limits?tenant=acme", json=limits).status_code == 200
    assert house.rob.predict([[5, 10], [6, 12]]).status_code == 429

    assert counted(house) == []


def test_tenants_versions_and_models_that_go_are_forgotten(house: House) -> None:
    house.add_version()
    for version in (1, 2):
        assert house.ada.predict([5, 10], version=version).status_code == 200
    house.gail.predict([5, 10])

    versions.delete_version(house.platform, house.operator("acme"), "linear", 2)
    assert [version.number for version in counted(house)] == [1]
    tenants.suspend_tenant(house.platform, house.operator(), "globex")
    assert counted(house, "globex") == []
    house.ada.call("DELETE", "/models/linear?confirm=linear")
    assert counted(house) == []


def test_the_upkeep_forgets_whom_the_store_could_not(house: House) -> None:
    house.ada.predict([5, 10])
    gone = VersionStatistics("ten_gone", "linear", 1, 1)
    house.platform.counters.add_statistics(gone)

    prune(house.platform)

    assert house.platform.statistics.of("ten_gone") == []
    assert len(counted(house)) == 1
