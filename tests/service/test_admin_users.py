"""/admin/users."""

from __future__ import annotations

from typing import Any

import pytest

from tests.house import House
from tests.service.problems import pointers, refused


def make(house: House, username: str, **members: Any) -> dict[str, Any]:
    body = {"username": username, "role": "caller"} | members
    response = house.ada.post("/admin/users", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.get_json()
    return made


def test_created_user_logs_in_with_the_password_shown_once(shared_house: House) -> None:
    made = make(shared_house, "iris", role="developer")
    iris = shared_house.actor("acme", "iris", made["password"])

    assert iris.get("/models").status_code == 200
    shown = shared_house.ada.get("/admin/users/iris").get_json()
    assert "password" not in shown
    assert shown["role"] == "developer"
    assert shown["state"] == "active"


@pytest.mark.parametrize(
    "name", ["zo\u00eb", "\u6771\u4eac", "\u0430\u043d\u043d\u0430", "a@b.example", "x" * 128]
)
def test_names_of_any_script_work_in_bodies_and_paths(shared_house: House, name: str) -> None:
    made = make(shared_house, name)
    someone = shared_house.actor("acme", name, made["password"])

    assert someone.get("/models").status_code == 200
    assert shared_house.ada.get(f"/admin/users/{name}").get_json()["username"] == made["username"]


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"username": "a b"}, "/username"),
        ({"username": "a\u0000b"}, "/username"),
        ({"username": "x" * 129}, "/username"),
        ({"username": "\u200b"}, "/username"),
        ({"username": None}, "/username"),
        ({"role": "king"}, "/role"),
        ({"role": "operator"}, "/role"),
        ({"role": 1}, "/role"),
        ({"scope": "everything"}, "/scope"),
        ({"scope": "users:linear"}, "/scope"),
        ({"password": "short"}, "/password"),
        ({"state": "active"}, "/state"),
    ],
)
def test_bad_user_is_refused_by_its_field(
    shared_house: House, members: dict[str, Any], where: str
) -> None:
    body = {"username": "nobody", "role": "caller"} | members
    kind = "invalid-scope" if "scope" in members else "invalid-input"
    problem = refused(shared_house.ada.post("/admin/users", json=body), 400, kind)

    assert pointers(problem) == {where}
    refused(shared_house.ada.get("/admin/users/nobody"), 404, "not-found")


def test_name_in_use_contradicts_in_every_spelling(shared_house: House) -> None:
    for name in ("ada", "ADA", "\uff21\uff24\uff21"):
        body = {"username": name, "role": "caller"}
        refused(shared_house.ada.post("/admin/users", json=body), 409, "conflict")


def test_scope_beyond_the_role_is_refused(shared_house: House) -> None:
    body = {"username": "nobody", "role": "caller", "scope": "users"}
    refused(shared_house.ada.post("/admin/users", json=body), 403, "grants-exceeded")


def test_narrowed_user_holds_the_scope_alone(shared_house: House) -> None:
    made = make(shared_house, "nils", scope="predict:linear")
    nils = shared_house.actor("acme", "nils", made["password"])

    assert nils.login().get_json()["scope"] == "predict:linear"
    refused(nils.get("/models"), 403, "insufficient-scope")
    assert nils.predict([5, 10]).status_code == 200


def test_disabled_user_is_out_at_once_and_back_when_enabled(shared_house: House) -> None:
    made = make(shared_house, "dora")
    dora = shared_house.actor("acme", "dora", made["password"])
    assert dora.get("/models").status_code == 200

    disabled = shared_house.ada.call("PATCH", "/admin/users/dora", json={"state": "disabled"})

    assert disabled.get_json()["state"] == "disabled"
    refused(dora.get("/models"), 401, "invalid-token")
    refused(dora.login(), 401, "wrong-credentials")
    shared_house.ada.call("PATCH", "/admin/users/dora", json={"state": "active"})
    refused(dora.get("/models"), 401, "invalid-token")
    assert dora.login().status_code == 200


def test_changed_role_holds_for_tokens_given_before(shared_house: House) -> None:
    made = make(shared_house, "rita", role="admin")
    rita = shared_house.actor("acme", "rita", made["password"])
    assert rita.get("/admin/users").status_code == 200

    shared_house.ada.call("PATCH", "/admin/users/rita", json={"role": "caller"})

    refused(rita.get("/admin/users"), 403, "insufficient-scope")


def test_reset_password_replaces_the_old_one_and_ends_sessions(shared_house: House) -> None:
    made = make(shared_house, "remy")
    remy = shared_house.actor("acme", "remy", made["password"])
    assert remy.get("/models").status_code == 200

    reset = shared_house.ada.post("/admin/users/remy/reset-password").get_json()

    refused(remy.get("/models"), 401, "invalid-token")
    refused(remy.login(), 401, "wrong-credentials")
    assert remy.login(password=reset["password"]).status_code == 200


def test_last_administrator_stays(house: House) -> None:
    for change in ({"state": "disabled"}, {"role": "caller"}):
        response = house.ada.call("PATCH", "/admin/users/ada", json=change)
        refused(response, 409, "conflict")
    assert house.ada.get("/admin/users").status_code == 200


def test_pages_follow_one_another_by_the_link(shared_house: House) -> None:
    everybody = [user["username"] for user in shared_house.ada.get("/admin/users").get_json()]
    seen: list[str] = []
    path = "/admin/users?limit=2"
    while path:
        response = shared_house.ada.get(path)
        seen += [user["username"] for user in response.get_json()]
        link = response.headers.get("Link")
        assert link is None or link.endswith('>; rel="next"')
        path = link.partition(">")[0].removeprefix("<") if link else ""

    assert seen == everybody == sorted(everybody)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1e3", "9" * 5000])
def test_page_of_another_size_is_refused(shared_house: House, limit: str) -> None:
    response = shared_house.ada.get(f"/admin/users?limit={limit}")
    assert pointers(refused(response, 400, "invalid-input")) == {"/limit"}


@pytest.mark.parametrize("query", ["limit=1&limit=2", "cursor=a&cursor=b", "page=2", "tenant="])
def test_query_is_read_as_strictly_as_a_body(shared_house: House, query: str) -> None:
    refused(shared_house.ada.get(f"/admin/users?{query}"), 400, "invalid-input")


def test_operator_administers_another_tenant_by_name(shared_house: House) -> None:
    names = [u["username"] for u in shared_house.olga.get("/admin/users?tenant=globex").get_json()]
    assert names == ["gail"]
    for other in ("nowhere", "%00", "%F0%9F%8C%8D"):
        response = shared_house.olga.get(f"/admin/users?tenant={other}")
        refused(response, 404, "not-found")


def test_a_users_role_is_narrowed_and_widened_again_at_once(house: House) -> None:
    assert house.rob.get("/models").status_code == 200

    narrowed = house.ada.call("PATCH", "/admin/users/rob", json={"scope": "predict:linear"})

    assert narrowed.get_json()["scope"] == "predict:linear"
    assert house.rob.get("/models").status_code == 403
    assert house.rob.predict([5, 10]).status_code == 200

    lifted = house.ada.call("PATCH", "/admin/users/rob", json={"scope": None})

    assert "scope" not in lifted.get_json()
    assert house.rob.get("/models").status_code == 200
