from __future__ import annotations

import hashlib
import os
import pickle  # noqa: TID251  what is written here, nothing may open
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from models.errors import (
    EstimatorRefused,
    ExtraMissing,
    FormatRefused,
    IntakeFailed,
    IntakeRefused,
    LibraryVersionRefused,
)
from models.hosting.opener import open_model
from models.intake import Intake, open_regular
from models.manifest import Contents
from models.stages import Prepared, Stage
from tests.models.files import (
    WritesCanary,
    archive_of,
    members_of,
    npy_bytes,
    skops_bytes,
    with_schema,
)
from tests.models.workshops import ANY, SKOPS, Parent, joblib_bytes, take_in

RANDOM = np.random.default_rng(11)
FEATURES = RANDOM.normal(size=(60, 3))
LABELS = np.where(FEATURES[:, 0] > 0, "up", "down")


def _answers(prepared: Prepared) -> list[Any]:
    model = open_model(prepared.contents.files["model"].format, prepared.blobs["model"])
    answers: list[Any] = model.answer("predict", FEATURES).tolist()
    return answers


def test_demo_model_is_compiled_and_found_equal(demo_model: Any) -> None:
    prepared = take_in(skops_bytes(demo_model))
    contents = prepared.contents

    assert (contents.engine, contents.engine_methods) == ("linear", ("predict",))
    assert contents.parity is not None
    assert contents.parity.agrees
    assert contents.parity.rows >= 5000
    assert contents.signature.as_json() == {
        "task": "regression",
        "columns": 2,
        "feature_names": None,
        "kinds": None,
        "categories": {},
        "missing": False,
        "classes": None,
        "methods": [{"name": "predict", "dtype": "number", "width": None}],
    }
    assert {role: file.format for role, file in contents.files.items()} == {
        "model": "skops",
        "engine": "arrays",
    }
    for role, blob in prepared.blobs.items():
        assert contents.files[role].digest == hashlib.sha256(blob).hexdigest()
        assert contents.files[role].size == len(blob)


def test_what_an_intake_says_survives_the_manifest(demo_model: Any) -> None:
    contents = take_in(skops_bytes(demo_model)).contents

    assert Contents.from_json(contents.as_json()) == contents


def test_stages_are_told_in_order(demo_model: Any) -> None:
    told: list[Stage] = []
    take_in(skops_bytes(demo_model), on_progress=lambda stage, _note: told.append(stage))

    assert list(dict.fromkeys(told)) == list(Stage)
    assert told == sorted(told, key=list(Stage).index)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)], ids=str)
def test_joblib_file_is_converted_in_a_workshop_of_its_own(demo_model: Any, compress: Any) -> None:
    parent = Parent()
    intake = Intake({"sklearn": parent})
    prepared = intake.run(joblib_bytes(demo_model, compress=compress), formats={"joblib"})

    assert prepared.contents.source_format == "joblib"
    assert prepared.contents.files["model"].format == "skops"
    assert len(parent.orders) == 2


def test_plain_pickle_is_converted_when_asked_for(demo_model: Any) -> None:
    assert take_in(pickle.dumps(demo_model), formats=ANY).contents.engine == "linear"


def test_same_file_is_prepared_alike_twice() -> None:
    data = skops_bytes(LogisticRegression().fit(FEATURES, LABELS))

    assert take_in(data).contents.parity == take_in(data).contents.parity


@pytest.mark.parametrize("write", [skops_bytes, joblib_bytes])
def test_model_that_no_engine_takes_is_served_natively_with_the_reason(write: Any) -> None:
    prepared = take_in(write(KernelDensity().fit(FEATURES)), formats=ANY)

    assert prepared.contents.engine == "native"
    assert prepared.contents.engine_methods == ()
    assert "KernelDensity" in prepared.contents.engine_reason
    assert prepared.blobs.keys() == {"model"}


def test_what_a_host_opens_answers_as_the_model_did() -> None:
    fitted = DecisionTreeClassifier(max_depth=3).fit(FEATURES, LABELS)

    assert _answers(take_in(joblib_bytes(fitted), formats=ANY)) == fitted.predict(FEATURES).tolist()


def test_estimator_that_skops_would_make_another_of_is_refused() -> None:
    class Rounding(LinearRegression):  # type: ignore[misc]
        """Calls itself a LinearRegression and answers otherwise."""

        def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
            return np.round(super().predict(X))

    estimator = Rounding().fit([[1, 2], [2, 4]], [3, 6])
    Rounding.__name__, Rounding.__module__ = "LinearRegression", LinearRegression.__module__
    from models.conversion import convert

    with pytest.raises(FormatRefused, match="answers otherwise"):
        convert(estimator, seed=1)


def test_named_columns_are_kept_in_the_signature() -> None:
    estimator = DecisionTreeClassifier().fit(FEATURES, LABELS)
    estimator.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)
    prepared = take_in(skops_bytes(estimator))

    assert prepared.contents.signature.feature_names == ("a", "b", "c")
    assert len(_answers(prepared)) == 60


def test_transformer_is_served_by_its_transform() -> None:
    signature = take_in(skops_bytes(StandardScaler().fit(FEATURES))).contents.signature

    assert (signature.task, tuple(signature.methods)) == ("transform", ("transform",))


@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), FunctionTransformer(), {"not": "a model"}, [1, 2]],
    ids=lambda e: type(e).__name__,
)
def test_what_cannot_predict_is_refused(estimator: Any) -> None:
    with pytest.raises(EstimatorRefused, match=type(estimator).__name__):
        take_in(joblib_bytes(estimator), formats=ANY)


def test_function_of_ones_own_is_refused_with_a_remedy() -> None:
    estimator = FunctionTransformer(func=_own_function).fit(FEATURES)

    with pytest.raises(IntakeRefused) as refused:
        take_in(joblib_bytes(estimator), formats=ANY)
    assert "_own_function" in refused.value.reason
    assert refused.value.remedy


def _own_function(x: Any) -> Any:
    return x


# --- what may be opened -------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)], ids=str)
def test_joblib_file_is_not_opened_unless_it_was_asked_for(tmp_path: Path, compress: Any) -> None:
    canary, parent = tmp_path / "canary", Parent()

    with pytest.raises(FormatRefused, match="which was not asked for: opening one runs"):
        Intake({"sklearn": parent}).run(
            joblib_bytes(WritesCanary(canary), compress=compress), formats=SKOPS
        )

    assert not canary.exists()
    assert not parent.orders


def test_the_canary_does_sing_when_a_pickle_is_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    with pytest.raises(EstimatorRefused):
        take_in(pickle.dumps(WritesCanary(canary)), formats=ANY)

    assert canary.read_text() == "ran"


def test_pickle_within_a_zip_is_not_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    hostile = pickle.dumps(WritesCanary(canary))
    honest = members_of(skops_bytes(LinearRegression().fit(FEATURES, FEATURES[:, 0])))
    name = next(name for name in honest if name.endswith(".npy"))
    objects = npy_bytes(np.array([WritesCanary(canary)], dtype=object), pickled=True)

    for members in (
        {"data.pkl": hostile},
        {"schema.json": hostile},
        honest | {name: hostile},
        honest | {name: objects},
        honest | {"model.pkl": hostile},
    ):
        with pytest.raises(FormatRefused):
            take_in(archive_of(members), formats=ANY)

    assert not canary.exists()


@pytest.mark.parametrize(
    "content", [b"", b"x", b"{}", b"\x80", b"\x80\x09N.", b"\x93NUMPY", b"ONNX"]
)
def test_unknown_content_is_refused(content: bytes) -> None:
    with pytest.raises(FormatRefused):
        take_in(content, formats=ANY)


def test_file_is_what_its_bytes_say_and_not_what_its_uploader_says(demo_model: Any) -> None:
    with pytest.raises(FormatRefused, match="its content is skops, which was not asked for"):
        take_in(skops_bytes(demo_model), formats={"onnx"})


def test_format_whose_extra_is_not_there_is_refused_by_its_name() -> None:
    keras = archive_of({"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": b""})

    with pytest.raises(ExtraMissing, match="the extra tensorflow"):
        take_in(keras, formats=ANY)


def test_file_must_be_regular_present_and_not_a_link(tmp_path: Path, demo_model: Any) -> None:
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_bytes(skops_bytes(demo_model))
    link.symlink_to(real)
    os.mkfifo(pipe)

    descriptor = open_regular(real)
    assert take_in(descriptor).contents.engine == "linear"
    os.close(descriptor)
    for path in (link, pipe, tmp_path, tmp_path / "absent", Path("/dev/zero")):
        with pytest.raises(FormatRefused):
            open_regular(path)


def test_file_larger_than_allowed_is_refused(demo_model: Any) -> None:
    data = skops_bytes(demo_model)

    assert Intake({"sklearn": Parent()}, most_bytes=len(data)).run(data, formats=SKOPS)
    with pytest.raises(FormatRefused, match="bytes"):
        Intake({"sklearn": Parent()}, most_bytes=len(data) - 1).run(data, formats=SKOPS)


def test_file_of_another_digest_is_refused(demo_model: Any) -> None:
    data = skops_bytes(demo_model)

    assert take_in(data, expected_digest=hashlib.sha256(data).hexdigest().upper())
    with pytest.raises(FormatRefused, match="SHA-256"):
        take_in(data, expected_digest="0" * 64)


def test_file_that_changes_while_it_is_taken_in_is_taken_as_it_was_hashed(demo_model: Any) -> None:
    data = skops_bytes(demo_model)
    source = os.memfd_create("upload")
    os.write(source, data)

    def change(stage: Stage, _note: str) -> None:
        if stage is Stage.VERIFIED:
            os.pwrite(source, bytes(len(data)), 0)

    digest = hashlib.sha256(data).hexdigest()
    prepared = take_in(source, expected_digest=digest, on_progress=change)
    os.close(source)

    assert prepared.contents.source_digest == digest


# --- versions of the library --------------------------------------------------------------------


def _saved_by(version: str) -> bytes:
    estimator = LinearRegression().fit(FEATURES, FEATURES[:, 0])

    def change(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["_sklearn_version"]["content"] = f'"{version}"'

    return with_schema(skops_bytes(estimator), change)


def _pickled_by(version: str) -> bytes:
    estimator = LinearRegression().fit(FEATURES, FEATURES[:, 0])
    import sklearn

    running = sklearn.__version__.encode()
    assert len(running) == len(version)
    return pickle.dumps(estimator).replace(running, version.encode())


@pytest.mark.parametrize(
    "data", [_saved_by("1.2.0"), _pickled_by("1.2.0")], ids=["skops", "pickle"]
)
def test_file_of_another_minor_version_is_refused_unless_accepted(data: bytes) -> None:
    with pytest.raises(LibraryVersionRefused, match=r"saved by scikit-learn 1\.2\.0"):
        take_in(data, formats=ANY)

    told: list[str] = []
    prepared = take_in(
        data,
        formats=ANY,
        version_policy="accept",
        on_progress=lambda _stage, note: told.append(note),
    )
    assert prepared.contents.libraries["saved by"] == "scikit-learn 1.2.0"
    assert any("saved by scikit-learn 1.2.0" in note for note in told)


def test_file_of_the_same_minor_version_is_taken() -> None:
    import sklearn

    minor = ".".join(sklearn.__version__.split(".")[:2])
    assert take_in(_saved_by(f"{minor}.99")).contents.engine == "linear"


# --- workshops that fail ------------------------------------------------------------------------


def _waits(done: threading.Event) -> None:
    done.wait(60)


def test_workshop_that_ends_without_a_word_is_a_failure_of_the_file(demo_model: Any) -> None:
    intake = Intake({"sklearn": Parent(lambda connection: connection.close())})

    with pytest.raises(IntakeFailed, match="ended"):
        intake.run(skops_bytes(demo_model), formats=SKOPS)


def test_workshop_that_says_nothing_is_left_at_the_deadline(demo_model: Any) -> None:
    done = threading.Event()
    intake = Intake({"sklearn": Parent(lambda _connection: _waits(done))})

    with pytest.raises(IntakeFailed, match="longer than it may"):
        intake.run(skops_bytes(demo_model), formats=SKOPS, seconds=0.3)
    done.set()


def test_intake_ends_as_soon_as_it_should_not_go_on(demo_model: Any) -> None:
    class Cancelled(Exception):
        """Raised by whoever started the intake."""

    def goes_on() -> None:
        raise Cancelled

    done = threading.Event()
    intake = Intake({"sklearn": Parent(lambda _connection: _waits(done))})

    with pytest.raises(Cancelled):
        intake.run(skops_bytes(demo_model), formats=SKOPS, goes_on=goes_on)
    done.set()
