"""POST /models/{model}/versions: what is taken, what is refused, and what stays of it."""

from __future__ import annotations

import base64
import hashlib
import io
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.settings import Settings, load_settings
from models.uploads import Uploads
from service.operations import models, plans
from service.spools import UPLOAD, Upload
from service.wsgi import BODY
from tests.house import Actor, House
from tests.service.problems import pointers, refused
from tests.service.serving import served
from tests.service.uploading import PATH, REQUEST, joblib_file, kept, skops_file, upload, work


def test_file_that_the_gateway_took_for_none_is_refused(house: House) -> None:
    response = upload(house.ben, environ_overrides={BODY: skops_file()})

    refused(response, 400, "bad-request")
    assert kept(house) == set()


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def form(**parts: Any) -> dict[str, Any]:
    """A form: bytes become files, texts fields."""
    return {
        name: (io.BytesIO(part), f"{name}.bin") if isinstance(part, bytes) else part
        for name, part in parts.items()
    }


def test_file_as_the_body_becomes_a_job_and_a_version(house: House) -> None:
    response = upload(house.ben)

    assert response.status_code == 202, response.text
    job = response.get_json()
    assert response.headers["Location"] == f"/jobs/{job['id']}"
    assert (job["model"], job["state"], job["format"]) == ("fresh", "received", "skops")
    assert (job["digest"], job["size"]) == (digest_of(skops_file()), len(skops_file()))
    assert work(house) == 1
    shown = house.ben.get(f"/jobs/{job['id']}").get_json()
    assert (shown["state"], shown["version"]) == ("ready", 1), shown
    assert house.rob.predict([3.0], model="fresh").get_json()["prediction"] == pytest.approx([3.0])


def test_form_may_bring_rows_and_answers_and_say_what_to_do(house: House) -> None:
    data = form(
        file=skops_file(2.0),
        X=b"[[1.0],[2.0]]",
        y=b"[2.0,4.0]",
        format="skops",
        promote="true",
        alias="blue",
        note="twice as steep",
        digest=f"sha256:{digest_of(skops_file(2.0)).upper()}",
        version_policy="accept",
    )
    upload(house.ben)

    response = house.ben.post(PATH, data=data, content_type="multipart/form-data")

    assert response.status_code == 202, response.text
    job = response.get_json()
    assert (job["promote"], job["alias"], job["note"]) == (True, "blue", "twice as steep")
    assert work(house) == 2
    assert house.rob.predict([3.0], model="fresh").get_json()["version"] == 2
    answer = house.rob.predict([3.0], model="fresh", version="blue").get_json()
    assert answer["prediction"] == pytest.approx([6.0])


def test_rows_may_be_a_field_of_text(house: House) -> None:
    data = form(file=skops_file(), rows=b"[[1.0]]")
    response = house.ben.post(PATH, data=data)
    assert response.status_code == 202, response.text


@pytest.mark.parametrize("header", ["Content-Digest", "Repr-Digest", "X-Model-Digest"])
def test_digest_in_a_header_is_compared(house: House, header: str) -> None:
    def stated(content: bytes) -> str:
        sha = hashlib.sha256(content)
        written = f"sha-512=:AAAA:, sha-256=:{base64.b64encode(sha.digest()).decode()}:"
        return sha.hexdigest() if header == "X-Model-Digest" else written

    assert upload(house.ben, headers={header: stated(skops_file())}).status_code == 202
    refused(upload(house.ben, headers={header: stated(b"other")}), 400, "invalid-input")
    assert len(kept(house)) == 1


def test_digest_of_a_whole_form_is_compared(house: House) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nabc\r\n--x--\r\n'
    )
    right = base64.b64encode(hashlib.sha256(body).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
    kind = {"content_type": "multipart/form-data; boundary=x"}

    for digest, status in ((right, 202), (wrong, 400)):
        headers = {"Content-Digest": f"sha-256=:{digest}:"}
        assert house.ben.post(PATH, data=body, headers=headers, **kind).status_code == status


def test_wrong_digest_is_refused_and_leaves_nothing(house: House) -> None:
    data = form(file=skops_file(), digest="0" * 64)
    body = refused(house.ben.post(PATH, data=data), 400, "invalid-input")

    assert pointers(body) == {"/digest"}
    assert digest_of(skops_file()) in body["detail"]
    assert kept(house) == set()
    assert house.ben.get("/jobs").get_json() == []


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({}, "/file"),
        ({"file": b""}, "/file"),
        ({"file": b"x", "Z": b"x"}, "/Z"),
        ({"file": b"x", "X": b"[1]", "rows": b"[1]"}, "/rows"),
        ({"file": b"x", "y": b"[1]"}, "/y"),
        ({"file": b"x", "colour": "red"}, "/colour"),
        ({"file": b"x", "promote": "perhaps"}, "/promote"),
        ({"file": b"x", "format": "pmml"}, "/format"),
        ({"file": b"x", "digest": "abc"}, "/digest"),
        ({"file": b"x", "alias": "7"}, "/alias"),
        ({"file": b"x", "version_policy": "hope"}, "/version_policy"),
        ({"file": b"x", "note": "x" * 9000}, "/note"),
    ],
)
def test_what_a_form_may_not_hold_is_refused_and_leaves_nothing(
    shared_house: House, parts: dict[str, Any], pointer: str
) -> None:
    response = shared_house.ben.post(PATH, data=form(**parts), content_type="multipart/form-data")

    assert pointers(refused(response, 400, "invalid-input")) == {pointer}
    assert kept(shared_house) == set()


def test_options_of_query_and_form_may_not_contradict_each_other(shared_house: House) -> None:
    response = shared_house.ben.post(f"{PATH}?note=a", data=form(file=b"x", note="b"))
    assert pointers(refused(response, 400, "invalid-input")) == {"/note"}
    response = upload(shared_house.ben, path=f"{PATH}?format=onnx")
    assert pointers(refused(response, 400, "invalid-input")) == {"/format"}


WHOLE = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    + b"abc" * 50
    + b'\r\n--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n--x--\r\n'
)


@pytest.mark.parametrize("kept_bytes", [0, 1, 20, 70, 100, 230, 270, len(WHOLE) - 4])
def test_form_that_was_cut_off_is_refused(shared_house: House, kept_bytes: int) -> None:
    kind = "multipart/form-data; boundary=x"
    response = shared_house.ben.post(PATH, data=WHOLE[:kept_bytes], content_type=kind)

    refused(response, 400, "invalid-input")
    assert kept(shared_house) == set()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, len(WHOLE)), st.binary(max_size=6)), max_size=6))
def test_no_form_leads_to_a_fault(shared_house: House, edits: list[tuple[int, bytes]]) -> None:
    body = WHOLE
    for position, replacement in edits:
        body = body[:position] + replacement + body[position + 3 :]

    response = shared_house.ben.post(
        PATH, data=body, content_type="multipart/form-data; boundary=x"
    )

    assert response.status_code in (202, 400), response.text
    if response.status_code == 202:
        shared_house.ben.call("DELETE", response.headers["Location"])


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 129, "; boundary=é"])
def test_form_without_a_boundary_as_they_are_is_refused(shared_house: House, boundary: str) -> None:
    kind = f"multipart/form-data{boundary}"
    refused(shared_house.ben.post(PATH, data=WHOLE, content_type=kind), 400, "invalid-input")


def test_coded_body_is_refused(shared_house: House) -> None:
    response = upload(shared_house.ben, headers={"Content-Encoding": "gzip"})
    refused(response, 415, "unsupported-media-type")


def test_who_may_not_write_the_model_is_refused(house: House) -> None:
    refused(upload(house.rob), 403, "insufficient-scope")
    assert house.client.post(PATH, data=b"x").status_code == 401
    assert kept(house) == set()


def test_format_that_runs_code_needs_a_permission_of_its_own(house: House) -> None:
    for name in ("joblib", "pickle"):
        response = upload(house.ben, joblib_file(), headers={"X-Model-Format": name})
        refused(response, 403, "insufficient-scope")
    assert upload(house.ada, joblib_file(), headers={"X-Model-Format": "pickle"}).status_code == 202


def test_file_that_runs_code_is_taken_only_if_it_was_declared(house: House) -> None:
    undeclared: dict[str, Any] = {"headers": {"X-Model-Format": None}}
    body = refused(upload(house.ben, joblib_file(), **undeclared), 403, "insufficient-scope")
    assert "models.pickle" in body["detail"]
    body = refused(upload(house.ada, joblib_file(), **undeclared), 400, "invalid-input")
    assert "X-Model-Format: joblib" in str(body["errors"])
    assert kept(house) == set()
    # What is no model file at its beginning is no such file either, whatever comes after.
    job = upload(house.ada, b"{}" + joblib_file(), **undeclared).get_json()
    work(house)
    assert house.ada.get(f"/jobs/{job['id']}").get_json()["state"] == "refused"


@pytest.mark.parametrize("name", ["Fresh", "..", "a b", "x" * 64, "%2e%2e", "-x"])
def test_name_that_no_model_may_have_is_refused(shared_house: House, name: str) -> None:
    response = upload(shared_house.ada, path=f"/models/{name}/versions")
    assert response.status_code in (400, 404), response.text
    assert kept(shared_house) == set()


def test_same_upload_twice_makes_two_versions(house: House) -> None:
    for _ in range(2):
        upload(house.ben)
    assert work(house) == 2
    assert [job["version"] for job in house.ben.get("/jobs").get_json()] == [2, 1]


class TestSizes:
    @pytest.fixture
    def house_settings(self, demo_instance: Path) -> Settings:
        return load_settings(demo_instance, max_model_bytes=4096, max_body_bytes=1024)

    def test_declared_and_undeclared_bodies_over_the_bound_are_refused(self, house: House) -> None:
        refused(upload(house.ben, b"x" * 4097), 413, "too-large")
        stream = io.BytesIO(b"x" * 4097)
        undeclared = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
        response = house.ben.post(PATH, input_stream=stream, environ_overrides=undeclared)
        refused(response, 413, "too-large")
        assert kept(house) == set()

    def test_upload_may_be_larger_than_other_bodies(self, house: House) -> None:
        assert upload(house.ben, b"x" * 4096).status_code == 202
        refused(house.ben.post("/predict", data=b"x" * 1025), 413, "too-large")


def test_rows_are_bounded_by_themselves(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.operations.uploads.MOST_ROWS_BYTES", 100)
    response = house.ben.post(PATH, data=form(file=skops_file(), X=b"1" * 101))
    assert pointers(refused(response, 400, "invalid-input")) == {"/X"}
    assert kept(house) == set()


class TestWaiting:
    @pytest.fixture
    def house_settings(self, demo_instance: Path) -> Settings:
        return load_settings(demo_instance, waiting_jobs=2)

    def test_jobs_that_wait_are_bounded_for_each_tenant(self, house: House) -> None:
        for _ in range(2):
            assert upload(house.ben).status_code == 202
        response = upload(house.ben)
        body = refused(response, 429, "rate-limited")
        assert body["violated_policies"] == ["waiting_jobs"]
        assert int(response.headers["Retry-After"]) >= 1
        assert upload(house.gail).status_code == 202
        work(house)
        assert upload(house.ben).status_code == 202


def test_versions_that_a_tenant_keeps_are_bounded_by_its_plan(house: House) -> None:
    plans.set_limits(house.platform, house.operator("acme"), values={"kept_versions": 2})
    first, second = (upload(house.ben).get_json()["id"] for _ in range(2))
    work(house)

    shown = [house.ben.get(f"/jobs/{job}").get_json() for job in (first, second)]
    assert [job["state"] for job in shown] == ["ready", "refused"]
    assert "kept_versions" in shown[1]["problem"]
    assert "kept_versions" in refused(upload(house.ben), 409, "conflict")["detail"]
    assert upload(house.gail).status_code == 202
    models.delete_model(house.platform, house.operator("acme"), "fresh", confirm="fresh")
    assert upload(house.ben).status_code == 202


def full(house: House, free: int) -> House:
    object.__setattr__(house.platform.settings, "free_disk_bytes", free)
    return house


def test_full_disk_is_told_and_leaves_nothing(house: House) -> None:
    response = upload(full(house, 2**62).ben)

    refused(response, 507, "storage-full")
    assert kept(house) == set()
    assert house.ben.get("/jobs").get_json() == []


def test_disk_that_takes_no_more_is_told_and_leaves_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses files of more than 4 MiB, as a quota would."""
    real, limits = house.platform.uploads.put, resource.getrlimit(resource.RLIMIT_FSIZE)

    def put(*arguments: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 * 2**20, limits[1]))
        try:
            real(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patched:
        patched.setattr(Uploads, "put", lambda _self, *arguments: put(*arguments))
        response = upload(full(house, 0).ben, b"x" * (9 * 2**20))

    refused(response, 507, "storage-full")
    assert kept(house) == set()
    assert [path for path in house.platform.settings.uploads.rglob("*") if path.is_file()] == []


def test_nothing_that_is_kept_is_plaintext(house: House) -> None:
    mark = b"a model that nobody else may read"
    upload(house.ben, mark * 1000)

    files = [path for path in house.folder.rglob("*") if path.is_file()]
    assert all(mark not in path.read_bytes() for path in files)
    assert len(kept(house)) == 1


def head(actor: Actor, upload: Upload, **options: Any) -> Any:
    return actor.post(PATH, environ_overrides={UPLOAD: upload}, **options)


def test_whoever_was_admitted_still_is_when_the_body_has_come(house: House) -> None:
    announced = Upload(declared=None)
    assert head(house.ben, announced).status_code == 100
    assert announced.admission is not None
    assert announced.admission.scope.tenant == "acme"

    announced.complete = True
    stranger = Actor(house.app.test_client(), "acme", "ben", "")
    stranger.tokens = {"access_token": "expired"}
    assert head(stranger, announced, data=skops_file()).status_code == 202


def test_whoever_was_disabled_while_the_body_came_is_refused(house: House) -> None:
    announced = Upload(declared=None)
    assert head(house.ben, announced).status_code == 100
    assert (
        house.ada.call("PATCH", "/admin/users/ben", json={"state": "disabled"}).status_code == 200
    )

    announced.complete = True
    refused(head(house.ben, announced, data=skops_file()), 401, "invalid-token")
    assert kept(house) == set()


def test_whoever_is_not_admitted_is_refused_at_the_head(house: House) -> None:
    for actor, status in ((house.rob, 403), (house.ben, 413)):
        announced = Upload(declared=2**40)
        assert head(actor, announced).status_code == status
        assert announced.admission is None


def test_only_uploads_are_spooled(house: House) -> None:
    application = served(house)
    for path in ("/models/fresh/versions", "//models/a%20b/versions"):
        assert application.takes_upload(replace(REQUEST, path=path)) == "upload"
    for method, path in (
        ("GET", "/models/fresh/versions"),
        ("POST", "/models/a/b/versions"),
        ("POST", "/models/fresh/versions/1"),
        ("POST", "/predict"),
    ):
        assert application.takes_upload(replace(REQUEST, method=method, path=path)) is None


def test_files_of_rows_are_spooled_and_other_rows_are_not(house: House) -> None:
    application = served(house)
    asked = replace(REQUEST, path="/models/linear/predict")
    for media_type, kind in (
        ("text/csv; charset=utf-8", "bulk"),
        ("Application/X-NPY", "bulk"),
        ("application/json", None),
        ("", None),
    ):
        headers = [("content-type", media_type)]
        assert application.takes_upload(replace(asked, headers=headers)) == kind
    assert application.takes_upload(asked) is None
