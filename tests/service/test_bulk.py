"""POST /models/{model}/predict: files of rows, what they are answered, and what they cost."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from service.columnar.forms import ARROW_STREAM, COLUMNAR, FORMS, Form, form_of
from service.spools import UPLOAD, Spool, Upload
from service.wsgi import BODY
from tests.house import Actor, House
from tests.models.row_files import written
from tests.service.problems import pointers, refused
from tests.service.scored_models import PEOPLE, POINTS, add_models

PATH: Final = "/models/linear/predict"
each_form = pytest.mark.parametrize("form", COLUMNAR, ids=lambda form: form.name)
ROOT: Final = Path(__file__).resolve().parent.parent.parent
WRITING: Final = """
import io
import sys
from types import SimpleNamespace
import numpy as np
from service.columnar.forms import FORMS
from service.columnar.writers import Answering
from service.columnar.writing import writer_of

answers = {
    "number": np.array([1.5, 2.5]),
    "integer": np.array([1, 2]),
    "boolean": np.array([True, False]),
    "text": np.array(["a", "b"], object),
}
outputs = {kind: SimpleNamespace(width=None, dtype=kind) for kind in answers}
signature = SimpleNamespace(methods=outputs, classes=None)
version = SimpleNamespace(model="linear", number=1, signature=signature)
for form in FORMS:
    if form.name.startswith(("arrow", "parquet")):
        writer = writer_of(form, Answering(version, tuple(answers)), io.BytesIO())
        writer.write(answers)
        writer.finish()
print(sorted({"pyarrow", "pandas"} & sys.modules.keys()))
"""
ROWS: Final = np.array([[5.0, 10.0], [1.5, 2.5], [-3.0, 4.0]])


@pytest.fixture(scope="module")
def scored(shared_house: House) -> House:
    """Models with names, texts, missing values and classes."""
    add_models(shared_house)
    return shared_house


def ask(
    actor: Actor,
    data: bytes,
    form: Form | str,
    *,
    accept: Form | str | None = None,
    path: str = PATH,
) -> TestResponse:
    """Send a file."""
    content_type = form if isinstance(form, str) else form.media_type
    headers = {"Content-Type": content_type}
    if accept is not None:
        headers["Accept"] = accept if isinstance(accept, str) else accept.media_type
    return actor.post(path, data=data, headers=headers)


def answered(response: TestResponse) -> Any:
    """The answers as a frame, or of npy and JSON as values."""
    assert response.status_code == 200, response.text
    form, data = form_of(response.content_type), response.data
    assert form is not None
    assert response.content_length == len(data)
    if form.name == "npy":
        return np.load(io.BytesIO(data), allow_pickle=False)
    if form.name == "json":
        return np.array(response.get_json()["prediction"])
    if form.name == "csv":
        return pd.read_csv(io.BytesIO(data))
    if form.name == "parquet":
        return pq.read_table(io.BytesIO(data)).to_pandas()
    opener: Any = pa.ipc.open_stream if form.name == "arrow" else pa.ipc.open_file
    return opener(io.BytesIO(data)).read_all().to_pandas()


def natively(actor: Actor, rows: Any, **members: Any) -> np.ndarray[Any, Any]:
    """What /predict answers to the same rows."""
    response = actor.predict(rows, **members)
    assert response.status_code == 200, response.text
    return np.array(response.get_json()["prediction"])


@each_form
def test_a_file_is_answered_in_its_own_form_as_its_rows_are(scored: House, form: Form) -> None:
    response = ask(scored.ada, written(form.name, ROWS), form)

    assert response.content_type.startswith(form.media_type)
    assert response.headers["X-Model-Version"] == "1"
    values = np.asarray(answered(response)).ravel()
    assert np.allclose(values, natively(scored.ada, ROWS.tolist()), rtol=1e-13, atol=0)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_answer_has_the_form_that_is_accepted(scored: House, form: Form) -> None:
    response = ask(scored.ada, written("npy", ROWS), "application/x-npy", accept=form)
    assert response.content_type.startswith(form.media_type)
    values = np.asarray(answered(response)).ravel()
    assert np.allclose(values, natively(scored.ada, ROWS.tolist()), rtol=1e-13, atol=0)


@settings(max_examples=12, deadline=None)
@given(
    rows=st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), min_size=1, max_size=30),
    form=st.sampled_from(COLUMNAR),
)
def test_any_rows_are_answered_as_by_the_native_dialect(
    scored: House, rows: list[tuple[float, float]], form: Form
) -> None:
    data = written(form.name, pd.DataFrame(rows, columns=["x0", "x1"]))
    values = np.asarray(answered(ask(scored.ada, data, form, accept="application/x-npy")))
    # A product of another size is added up in another order: the last bit may differ.
    native = natively(scored.ada, [list(row) for row in rows])
    assert np.allclose(values, native, rtol=1e-13, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "frame"), [("kinds", POINTS), ("people", PEOPLE), ("gaps", POINTS * [np.nan, 1])]
)
@pytest.mark.parametrize("form", ["csv", "parquet", "arrow"])
def test_texts_missing_values_and_classes_are_answered_as_natively(
    scored: House, name: str, frame: pd.DataFrame, form: str
) -> None:
    media_type = next(each.media_type for each in COLUMNAR if each.name == form)
    shuffled = frame[list(reversed(frame.columns))]

    found = answered(
        ask(scored.ada, written(form, shuffled), media_type, path=f"/models/{name}/predict")
    )

    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    native = scored.ada.post("/predict", json={"records": records, "model": name}).get_json()
    assert found.columns.tolist() == ["prediction"]
    assert found["prediction"].tolist() == native["prediction"]


def test_methods_are_columns_with_the_names_of_their_classes(scored: House) -> None:
    path = "/models/people/predict?method=predict,predict_proba&version=1"

    found = answered(ask(scored.ada, written("csv", PEOPLE), "text/csv", path=path))

    assert found.columns.tolist() == ["prediction", "predict_proba_goes", "predict_proba_stays"]
    assert found["prediction"].tolist() == ["stays", "goes", "goes", "stays"]
    assert np.allclose(found.filter(like="proba").sum(axis=1), 1.0)
    both = ask(
        scored.ada, written("csv", PEOPLE), "text/csv", accept="application/x-npy", path=path
    )
    assert pointers(refused(both, 400, "invalid-input")) == {"/method"}


def test_an_array_has_a_column_for_each_value_or_texts_as_long_as_the_classes(
    scored: House,
) -> None:
    def values(method: str) -> Any:
        path = f"/models/people/predict?method={method}"
        data = written("parquet", PEOPLE)
        return answered(
            ask(scored.ada, data, "application/x-parquet", accept="application/x-npy", path=path)
        )

    assert values("predict_proba").shape == (4, 2)
    assert values("predict").tolist() == ["stays", "goes", "goes", "stays"]


def test_json_is_the_native_dialect_of_the_model_in_the_address(scored: House) -> None:
    body = {"features": ROWS.tolist()}
    native = scored.ada.post(PATH, json=body)
    assert native.get_json() == scored.ada.post("/predict", json=body).get_json()
    for members in ({"model": "linear"}, {"version": 1}, {"method": "predict"}):
        assert scored.ada.post(PATH, json=body | members).status_code == 200
    other = scored.ada.post(PATH, json=body | {"model": "kinds"})
    assert pointers(refused(other, 400, "invalid-input")) == {"/model"}
    twice = scored.ada.post(f"{PATH}?version=champion", json=body | {"version": 1})
    assert pointers(refused(twice, 400, "invalid-input")) == {"/version"}
    as_csv = scored.ada.post(PATH, json=body, headers={"Accept": "text/csv"})
    assert answered(as_csv)["prediction"].tolist() == native.get_json()["prediction"]


def test_classes_that_are_texts_are_answered_in_json(scored: House) -> None:
    path = "/models/people/predict"
    in_json = scored.ada.post(path, json={"records": PEOPLE.to_dict("records")})
    in_csv = ask(
        scored.ada, written("csv", PEOPLE), "text/csv", accept="application/json", path=path
    )
    for response in (in_json, in_csv):
        assert answered(response).tolist() == ["stays", "goes", "goes", "stays"]


@pytest.mark.parametrize(
    ("content_type", "accept", "status", "name"),
    [
        ("application/pdf", None, 415, "unsupported-media-type"),
        ("application/octet-stream", None, 415, "unsupported-media-type"),
        ("text/csv", "image/png", 406, "not-acceptable"),
        ("text/csv; charset=utf-16", None, 400, "invalid-input"),
        ("text/csv; header=perhaps", None, 400, "invalid-input"),
    ],
)
def test_a_form_that_is_not_offered_is_refused(
    scored: House, content_type: str, accept: str | None, status: int, name: str
) -> None:
    refused(ask(scored.ada, b"1,2\n", content_type, accept=accept), status, name)


@pytest.mark.parametrize(
    "content_type",
    ["text/csv;header=absent;header=present", 'text/csv; header="absent"; Header*=present'],
)
def test_a_parameter_that_is_given_twice_is_refused(scored: House, content_type: str) -> None:
    response = ask(scored.ada, b"1,2\n3,4\n", content_type)
    assert pointers(refused(response, 400, "invalid-input")) == {"/Content-Type"}


@pytest.mark.parametrize("query", ["method=predict,predict", "method=predict&method=predict"])
def test_a_method_that_is_given_twice_is_refused(scored: House, query: str) -> None:
    response = ask(scored.ada, b"1,2\n", "text/csv", path=f"{PATH}?{query}")
    assert pointers(refused(response, 400, "invalid-input")) == {"/method"}


def test_the_forms_of_answers_are_named_to_whoever_accepts_none(scored: House) -> None:
    answer = ask(scored.ada, b"1,2\n", "text/csv", accept="image/png")
    said = refused(answer, 406, "not-acceptable")["detail"]
    assert all(form.media_type in said for form in FORMS)


def test_a_body_in_a_coding_is_refused(scored: House) -> None:
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    refused(scored.ada.post(PATH, data=b"1,2\n", headers=headers), 415, "unsupported-media-type")


def test_an_unknown_version_method_or_model_is_refused_before_the_rows_are_read(
    scored: House,
) -> None:
    broken = b"\xff\xff"
    for path, status, name in (
        (f"{PATH}?version=9", 404, "not-found"),
        (f"{PATH}?version=none", 404, "not-found"),
        (f"{PATH}?version=-1", 400, "invalid-input"),
        (f"{PATH}?method=predict_proba", 400, "invalid-input"),
        (f"{PATH}?method=drop", 400, "invalid-input"),
        (f"{PATH}?colour=red", 400, "invalid-input"),
        ("/models/missing/predict", 404, "not-found"),
    ):
        refused(ask(scored.ada, broken, "text/csv", path=path), status, name)


def test_an_error_far_into_a_file_is_a_refusal_that_names_the_row(scored: House) -> None:
    lines = ["1,2\n"] * 40_000
    lines[39_999] = "1,inf\n"
    body = refused(ask(scored.ada, "".join(lines).encode(), "text/csv"), 400, "invalid-input")
    assert body["errors"] == [{"pointer": "/rows/39999/x1", "detail": "not a finite number"}]


def held(actor: Actor, data: bytes, form: Form, spool: Spool) -> TestResponse:
    """Send a small file as the gateway hands it on: in memory."""
    upload = Upload(len(data), complete=True, body=data, spool=spool)
    headers, overrides = {"Content-Type": form.media_type}, {UPLOAD: upload, BODY: data}
    return actor.post(PATH, data=data, headers=headers, environ_overrides=overrides)


@each_form
def test_a_file_in_memory_is_answered_as_one_on_the_disk(
    scored: House, form: Form, tmp_path: Path
) -> None:
    data = written(form.name, ROWS)
    with closing(Spool(tmp_path / "spool", least_free=0)) as spool:
        response = held(scored.ada, data, form, spool)

    assert response.data == ask(scored.ada, data, form).data
    assert response.headers["X-Model-Version"] == "1"


def test_a_plain_arrow_stream_in_memory_needs_neither_a_reader_nor_the_disk(
    scored: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scored.platform.hosting.readers, "_parent", None)
    spool = Spool(tmp_path / "spool", least_free=0)

    response = held(scored.ada, written("arrow", ROWS), ARROW_STREAM, spool)

    assert np.array_equal(answered(response)["prediction"], natively(scored.ada, ROWS.tolist()))
    assert not (tmp_path / "spool").exists()


def test_a_row_of_a_plain_stream_that_does_not_fit_is_named(scored: House, tmp_path: Path) -> None:
    rows = pa.table({"x0": [1.0, 2.0], "x1": [3.0, float("inf")]})
    with closing(Spool(tmp_path / "spool", least_free=0)) as spool:
        response = held(scored.ada, written("arrow", rows), ARROW_STREAM, spool)

    body = refused(response, 400, "invalid-input")
    assert body["errors"] == [{"pointer": "/rows/1/x1", "detail": "not a finite number"}]


def test_to_write_answers_a_worker_does_not_import_pandas() -> None:
    """It would be a third of the worker's memory, for nothing."""
    done = subprocess.run(
        [sys.executable, "-c", WRITING],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "['pyarrow']\n"
