from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle  # noqa: TID251  what is written here, nothing may open
import zipfile
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from models.errors import EstimatorRefused, FormatRefused, LibraryVersionRefused
from models.handlers.joblib_file import JoblibFile
from models.intake import Prepared, Stage, import_file
from models.opening import open_artefact, role_in_process
from tests.models.files import (
    WritesCanary,
    archive_of,
    members_of,
    npy_bytes,
    skops_bytes,
    with_array,
    with_schema,
)

RANDOM = np.random.default_rng(11)
FEATURES = RANDOM.normal(size=(60, 3))
LABELS = np.where(FEATURES[:, 0] > 0, "up", "down")
ANY = frozenset({"skops", "joblib"})


def _joblib_bytes(estimator: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer, **options)
    return buffer.getvalue()


def _answers(prepared: Prepared) -> list[Any]:
    predictor = open_artefact(prepared.contents, prepared.blobs[role_in_process(prepared.contents)])
    answers: list[Any] = predictor.answer("predict", FEATURES).tolist()
    return answers


def test_demo_model_is_compiled_and_found_equal(demo: Prepared) -> None:
    contents = demo.contents

    assert (contents.engine, contents.artefact_format) == ("linear", "arrays")
    assert contents.parity is not None
    assert contents.parity.agrees
    assert contents.parity.rows >= 5000
    assert contents.signature.as_json() == {
        "task": "regression",
        "columns": 2,
        "feature_names": None,
        "dtype": "float64",
        "outputs": 1,
        "classes": None,
        "methods": ["predict"],
    }
    assert contents.digest == hashlib.sha256(demo.artefact).hexdigest()


def test_stages_are_told_in_order(demo_model: Any) -> None:
    told: list[Stage] = []
    import_file(skops_bytes(demo_model), on_progress=lambda stage, _note: told.append(stage))

    assert told == list(Stage)


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)], ids=str)
def test_joblib_file_is_converted_when_asked_for(demo_model: Any, compress: Any) -> None:
    prepared = import_file(_joblib_bytes(demo_model, compress=compress), formats=ANY)

    assert prepared.contents.source_format == "joblib"
    assert prepared.contents.artefact_format == "arrays"


def test_plain_pickle_is_converted_when_asked_for(demo_model: Any) -> None:
    assert import_file(pickle.dumps(demo_model), formats=ANY).contents.engine == "linear"


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(max_depth=3),
        HistGradientBoostingClassifier(max_iter=3),
        KNeighborsClassifier(),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("write", [skops_bytes, _joblib_bytes])
def test_model_that_no_engine_takes_is_served_natively_with_the_reason(
    estimator: Any, write: Any
) -> None:
    fitted = estimator.fit(FEATURES, LABELS)
    prepared = import_file(write(fitted), formats=ANY)

    assert (prepared.contents.engine, prepared.contents.artefact_format) == ("native", "skops")
    assert type(estimator).__name__ in prepared.contents.engine_reason
    assert prepared.contents.signature.classes == ("down", "up")
    assert _answers(prepared) == fitted.predict(FEATURES).tolist()


def test_engine_that_does_not_agree_is_not_used(demo_model: Any) -> None:
    class Rounding(LinearRegression):  # type: ignore[misc]
        """Calls itself a LinearRegression and answers otherwise."""

        def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
            return np.round(super().predict(X))

    Rounding.__name__, Rounding.__module__ = "LinearRegression", LinearRegression.__module__
    estimator = Rounding().fit([[1, 2], [2, 4]], [3, 6])
    told: list[str] = []

    with pytest.raises(FormatRefused):  # skops finds the real class, and that answers otherwise
        _convert(estimator, lambda stage, note: told.append(f"{stage}: {note}"))

    assert any(
        line.startswith("compiled: native, because linear: 0 labels differ") for line in told
    )


def _convert(estimator: Any, tell: Any) -> None:
    from models.handlers import Opened
    from models.intake import _prepare

    _prepare(JoblibFile(), Opened(estimator, ()), "0" * 64, tell)


def test_named_columns_are_kept_in_the_signature_and_do_not_warn() -> None:
    estimator = DecisionTreeClassifier().fit(FEATURES, LABELS)
    estimator.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)
    prepared = import_file(skops_bytes(estimator))

    assert prepared.contents.signature.feature_names == ("a", "b", "c")
    assert len(_answers(prepared)) == 60


@pytest.mark.parametrize(
    "estimator",
    [
        StandardScaler().fit(FEATURES),
        LinearRegression(),
        FunctionTransformer(),
        {"not": "a model"},
        [1, 2],
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_cannot_predict_is_refused(estimator: Any) -> None:
    with pytest.raises(EstimatorRefused, match=type(estimator).__name__):
        import_file(_joblib_bytes(estimator), formats=ANY)


# --- what may be opened -------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)], ids=str)
def test_joblib_file_is_not_opened_unless_it_was_asked_for(tmp_path: Path, compress: Any) -> None:
    canary = tmp_path / "canary"

    with pytest.raises(FormatRefused, match="which was not asked for"):
        import_file(_joblib_bytes(WritesCanary(canary), compress=compress))

    assert not canary.exists()


@pytest.mark.parametrize("formats", [{"skops"}, ANY])
def test_pickle_renamed_skops_is_refused_without_running(tmp_path: Path, formats: Any) -> None:
    canary, file = tmp_path / "canary", tmp_path / "model.skops"
    file.write_bytes(pickle.dumps(WritesCanary(canary)))

    with pytest.raises(FormatRefused, match="its name says skops, its content is joblib"):
        import_file(file, formats=formats)

    assert not canary.exists()


def test_the_canary_does_sing_when_a_pickle_is_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    with pytest.raises(EstimatorRefused):
        import_file(pickle.dumps(WritesCanary(canary)), formats=ANY)

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
            import_file(archive_of(members), formats=ANY)

    assert not canary.exists()


@pytest.mark.parametrize(
    "content", [b"", b"x", b"{}", b"\x80", b"\x80\x09N.", b"\x93NUMPY", b"ONNX"]
)
def test_unknown_content_is_refused(content: bytes) -> None:
    with pytest.raises(FormatRefused):
        import_file(content, formats=ANY)


def test_file_must_be_regular_present_and_not_a_link(tmp_path: Path, demo_model: Any) -> None:
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.write_bytes(skops_bytes(demo_model))
    link.symlink_to(real)
    os.mkfifo(pipe)

    assert import_file(real).contents.engine == "linear"
    for path in (link, pipe, tmp_path, tmp_path / "absent", Path("/dev/zero")):
        with pytest.raises(FormatRefused):
            import_file(path)


def test_file_larger_than_allowed_is_refused(tmp_path: Path, demo_model: Any) -> None:
    data = skops_bytes(demo_model)
    file = tmp_path / "model.skops"
    file.write_bytes(data)

    for source in (data, file):
        assert import_file(source, most_bytes=len(data))
        with pytest.raises(FormatRefused, match="bytes"):
            import_file(source, most_bytes=len(data) - 1)


def test_file_of_another_digest_is_refused(demo_model: Any) -> None:
    data = skops_bytes(demo_model)

    assert import_file(data, expected_digest=hashlib.sha256(data).hexdigest().upper())
    with pytest.raises(FormatRefused, match="SHA-256"):
        import_file(data, expected_digest="0" * 64)


# --- versions of the library --------------------------------------------------------------------


def _saved_by(version: str) -> bytes:
    estimator = LinearRegression().fit(FEATURES, FEATURES[:, 0])

    def change(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["_sklearn_version"]["content"] = f'"{version}"'

    return with_schema(skops_bytes(estimator), change)


def test_file_of_another_minor_version_is_refused_unless_accepted() -> None:
    with pytest.raises(LibraryVersionRefused, match=r"saved by scikit-learn 1\.2\.0"):
        import_file(_saved_by("1.2.0"))

    prepared = import_file(_saved_by("1.2.0"), version_policy="accept")
    assert prepared.contents.libraries["saved by"] == "scikit-learn 1.2.0"


def test_file_of_the_same_minor_version_is_taken() -> None:
    import sklearn

    minor = ".".join(sklearn.__version__.split(".")[:2])
    assert import_file(_saved_by(f"{minor}.99")).contents.engine == "linear"


# --- hostile archives ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def honest() -> bytes:
    """An honest skops file."""
    return skops_bytes(LogisticRegression().fit(FEATURES, LABELS))


def _npy(honest: bytes) -> str:
    return next(name for name in members_of(honest) if name.endswith(".npy"))


def _header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (118 - len(text) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(_header("(100000000000,)"), id="745 GiB in 128 bytes"),
        pytest.param(_header("(-1,)"), id="negative"),
        pytest.param(_header("(2, -4)") + bytes(64), id="two negatives"),
        pytest.param(_header("(1,)", "'|O'") + b"\x80\x04N.", id="objects"),
        pytest.param(_header("(1,)", "[('a', '|O')]") + bytes(8), id="objects in fields"),
        pytest.param(_header("(3,)") + bytes(16), id="truncated"),
        pytest.param(_header("(1,)") + bytes(16), id="trailing"),
        pytest.param(_header("__import__('os').abort()"), id="code in the header"),
        pytest.param(b"\x93NUMPY\x03\x00" + bytes(100), id="version 3"),
        pytest.param(b"", id="empty"),
    ],
)
def test_array_that_is_not_what_its_header_says_is_refused(honest: bytes, array: bytes) -> None:
    with pytest.raises(FormatRefused):
        import_file(archive_of(members_of(honest) | {_npy(honest): array}))


def test_zip_bomb_is_refused_by_its_declared_sizes(
    honest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.handlers.skops_file.MOST_OPENED_BYTES", 1 << 20)
    zeros = npy_bytes(np.zeros(1 << 18))
    bomb = archive_of(members_of(honest) | {_npy(honest): zeros}, compression=zipfile.ZIP_DEFLATED)

    assert len(bomb) < len(zeros) / 20
    with pytest.raises(FormatRefused, match="unpacked"):
        import_file(bomb)


def test_archive_that_lies_about_its_sizes_is_refused(honest: bytes) -> None:
    data = bytearray(archive_of(members_of(honest), compression=zipfile.ZIP_DEFLATED))
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (1).to_bytes(4, "little")  # the size in the central directory

    with pytest.raises(FormatRefused):
        import_file(bytes(data))


@pytest.mark.parametrize(
    "name", ["../../x.npy", "/etc/x.npy", "x.npz", "a/1.npy", "1.npy\n", "1.pkl"]
)
def test_member_of_another_kind_is_refused(honest: bytes, name: str) -> None:
    with pytest.raises(FormatRefused, match="its archive holds"):
        import_file(archive_of(members_of(honest) | {name: npy_bytes(np.ones(1))}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(honest: bytes) -> None:
    buffer = io.BytesIO(honest)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("schema.json", b"{}")

    with pytest.raises(FormatRefused, match="two of one name"):
        import_file(buffer.getvalue())


def test_every_truncation_of_an_honest_file_is_refused(honest: bytes) -> None:
    for length in range(1, len(honest), 97):
        with pytest.raises(FormatRefused):
            import_file(honest[:length], formats=ANY)


@pytest.mark.parametrize(
    ("module", "kind"),
    [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen"), ("models.intake", "Stage")],
)
@pytest.mark.parametrize("loader", ["ObjectNode", "TypeNode", "FunctionNode"])
def test_untrusted_type_is_refused_by_name(
    honest: bytes, module: str, kind: str, loader: str
) -> None:
    def change(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["solver"] = {
            "__class__": kind,
            "__module__": module,
            "__loader__": loader,
            "__id__": 1,
            "content": {"module_path": module, "function": kind},
        }

    with pytest.raises(FormatRefused, match=r"not trusted|cannot be opened"):
        import_file(with_schema(honest, change))


@pytest.mark.parametrize("loader", ["MethodNode", "OperatorFuncNode", "PartialNode"])
def test_node_that_calls_what_a_file_names_is_refused(honest: bytes, loader: str) -> None:
    def change(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["solver"]["__loader__"] = loader

    with pytest.raises(FormatRefused, match=loader):
        import_file(with_schema(honest, change))


@pytest.mark.parametrize("schema", [b"", b"{", b"[]", b"{}", b"null", b'{"__loader__":"x"}'])
def test_malformed_schema_is_refused(honest: bytes, schema: bytes) -> None:
    with pytest.raises(FormatRefused):
        import_file(archive_of(members_of(honest) | {"schema.json": schema}))


def test_compressed_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.handlers.joblib_file.MOST_OPENED_BYTES", 1 << 20)
    bomb = b"\x80\x04" + bytes(1 << 22)

    for data in (zlib.compress(bomb), gzip.compress(bomb)):
        with pytest.raises(FormatRefused, match="unpacked"):
            import_file(data, formats=ANY)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(zlib.compress(b"no pickle"), id="no pickle"),
        pytest.param(zlib.compress(b"\x80\x04N.")[:-3], id="cut off"),
        pytest.param(zlib.compress(b"\x80\x04N.") + b"x", id="trailing"),
        pytest.param(b"\x78\x9cxxxxxx", id="broken"),
        pytest.param(b"BZh9xxxx", id="bzip2"),
        pytest.param(b"\x80\x04\x8c", id="broken pickle"),
    ],
)
def test_broken_joblib_file_is_refused(data: bytes) -> None:
    with pytest.raises(FormatRefused):
        import_file(data, formats=ANY)


# --- data that native code would follow out of its memory ----------------------------------------


def _is_tree(array: Any) -> bool:
    return bool(array.dtype.names and "left_child" in array.dtype.names and array.size > 1)


def _is_histogram(array: Any) -> bool:
    return bool(array.dtype.names and "feature_idx" in array.dtype.names and array.size > 1)


def _is_order(array: Any) -> bool:
    return bool(array.dtype == np.int64 and array.ndim == 1 and len(array) == len(FEATURES))


def _set(field: str, value: int) -> Any:
    def change(array: Any) -> None:
        array[field][0] = value

    return change


@pytest.mark.parametrize(
    ("estimator", "wanted", "change"),
    [
        (DecisionTreeClassifier(), _is_tree, _set("left_child", 2**40)),
        (DecisionTreeClassifier(), _is_tree, _set("right_child", 0)),
        (DecisionTreeClassifier(), _is_tree, _set("right_child", -1)),
        (DecisionTreeClassifier(), _is_tree, _set("left_child", -7)),
        (DecisionTreeClassifier(), _is_tree, _set("feature", 3)),
        (DecisionTreeClassifier(), _is_tree, _set("feature", -2)),
        (HistGradientBoostingClassifier(max_iter=2), _is_histogram, _set("left", 2**31)),
        (HistGradientBoostingClassifier(max_iter=2), _is_histogram, _set("right", 0)),
        (HistGradientBoostingClassifier(max_iter=2), _is_histogram, _set("feature_idx", 9)),
        (HistGradientBoostingClassifier(max_iter=2), _is_histogram, _set("is_categorical", 1)),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else None,
)
def test_tree_with_an_altered_index_is_refused(estimator: Any, wanted: Any, change: Any) -> None:
    honest = skops_bytes(estimator.fit(FEATURES, LABELS))

    with pytest.raises(FormatRefused, match="a node of a tree"):
        import_file(with_array(honest, wanted, change))


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_tree_of_neighbours_with_an_altered_index_is_refused(algorithm: str) -> None:
    def is_tree(array: Any) -> bool:
        return bool(array.dtype.names and "idx_end" in array.dtype.names)

    model = KNeighborsClassifier(algorithm=algorithm, leaf_size=5).fit(FEATURES, LABELS)
    honest = skops_bytes(model)

    for field, value in (("idx_start", -1), ("idx_end", 10**6)):
        with pytest.raises(FormatRefused, match="leads nowhere"):
            import_file(with_array(honest, is_tree, _set(field, value)))
    with pytest.raises(FormatRefused, match="rows that are not there"):
        import_file(with_array(honest, _is_permutation, _last_row_far_away))


def _is_permutation(array: Any) -> bool:
    return _is_order(array) and sorted(array.tolist()) == list(range(len(FEATURES)))


def _last_row_far_away(array: Any) -> None:
    array[-1] = 10**9


def test_model_that_answers_another_number_of_rows_is_refused() -> None:
    class Grumpy(DummyRegressor):  # type: ignore[misc]
        """Answers twice as many rows as it was asked."""

        def predict(self, X: Any) -> Any:  # noqa: N803  scikit-learn's own name
            return np.zeros(2 * len(X))

    with pytest.raises(EstimatorRefused, match="once for each row"):
        _convert(Grumpy().fit(FEATURES, FEATURES[:, 0]), lambda _stage, _note: None)


def test_native_artefact_is_not_served_by_another_release_of_its_library() -> None:
    prepared = import_file(skops_bytes(DecisionTreeClassifier().fit(FEATURES, LABELS)))
    older = with_schema(prepared.artefact, _as_if_saved_by_an_older_release)

    with pytest.raises(LibraryVersionRefused, match=r"1\.2\.0"):
        open_artefact(prepared.contents, older)


def _as_if_saved_by_an_older_release(schema: dict[str, Any]) -> None:
    schema["content"]["content"]["_sklearn_version"]["content"] = '"1.2.0"'
