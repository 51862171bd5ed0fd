from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.cluster import Birch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from models.errors import FormatRefused
from models.handlers.joblib_file import JoblibFile
from models.handlers.skops_file import SkopsFile
from tests.models.files import archive_of, members_of, npy_bytes, skops_bytes, with_schema

RANDOM = np.random.default_rng(11)
FEATURES = RANDOM.normal(size=(60, 3))
LABELS = np.where(FEATURES[:, 0] > 0, "up", "down")


@pytest.fixture(scope="module")
def honest() -> bytes:
    """An honest skops file."""
    return skops_bytes(LogisticRegression().fit(FEATURES, LABELS))


def _open(data: bytes) -> Any:
    return SkopsFile().open(data).estimator


def _npy(honest: bytes) -> str:
    return next(name for name in members_of(honest) if name.endswith(".npy"))


def _header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (118 - len(text) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_estimator_that_was_fitted_on_sparse_rows_opens_again() -> None:
    rows = scipy.sparse.csr_matrix(FEATURES)
    model = KNeighborsClassifier(algorithm="brute").fit(rows, LABELS)

    assert _open(skops_bytes(model)).predict(rows).tolist() == model.predict(rows).tolist()


def test_birch_is_written_without_the_web_of_its_growth() -> None:
    model = Birch(n_clusters=2).fit(FEATURES)
    again = _open(skops_bytes(model))

    assert again.root_ is None
    assert again.predict(FEATURES).tolist() == model.predict(FEATURES).tolist()


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
        _open(archive_of(members_of(honest) | {_npy(honest): array}))


def test_zip_bomb_is_refused_by_its_declared_sizes(
    honest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.handlers.skops_file.MOST_OPENED_BYTES", 1 << 20)
    zeros = npy_bytes(np.zeros(1 << 18))
    bomb = archive_of(members_of(honest) | {_npy(honest): zeros}, compression=zipfile.ZIP_DEFLATED)

    assert len(bomb) < len(zeros) / 20
    with pytest.raises(FormatRefused, match="unpacked"):
        _open(bomb)


def test_bomb_within_a_sparse_matrix_is_refused(
    honest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.handlers.skops_file.MOST_OPENED_BYTES", 1 << 20)
    zeros = archive_of({"data.npy": npy_bytes(np.zeros(1 << 18))}, compression=zipfile.ZIP_DEFLATED)
    bomb = archive_of(members_of(honest) | {"1.npz": zeros})

    with pytest.raises(FormatRefused, match="unpacked"):
        _open(bomb)


@pytest.mark.parametrize("members", [{"evil.npy": npy_bytes(np.ones(1))}, {"data.pkl": b"x"}])
def test_archive_of_arrays_that_is_no_sparse_matrix_is_refused(
    honest: bytes, members: dict[str, bytes]
) -> None:
    with pytest.raises(FormatRefused, match="no sparse matrix"):
        _open(archive_of(members_of(honest) | {"1.npz": archive_of(members)}))


def test_archive_that_lies_about_its_sizes_is_refused(honest: bytes) -> None:
    data = bytearray(archive_of(members_of(honest), compression=zipfile.ZIP_DEFLATED))
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (1).to_bytes(4, "little")  # the size in the central directory

    with pytest.raises(FormatRefused):
        _open(bytes(data))


@pytest.mark.parametrize(
    "name", ["../../x.npy", "/etc/x.npy", "x.npz", "a/1.npy", "1.npy\n", "1.pkl"]
)
def test_member_of_another_kind_is_refused(honest: bytes, name: str) -> None:
    with pytest.raises(FormatRefused, match="its archive holds"):
        _open(archive_of(members_of(honest) | {name: npy_bytes(np.ones(1))}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(honest: bytes) -> None:
    buffer = io.BytesIO(honest)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("schema.json", b"{}")

    with pytest.raises(FormatRefused, match="two of one name"):
        _open(buffer.getvalue())


def test_every_truncation_of_an_honest_file_is_refused(honest: bytes) -> None:
    for length in range(1, len(honest), 97):
        with pytest.raises(FormatRefused):
            _open(honest[:length])


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("subprocess", "Popen"),
        ("models.intake", "Intake"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("sklearn.datasets._base", "load_files"),
        ("sklearn.utils._testing", "TempMemmap"),
        ("sklearn.externals._arff", "load"),
        ("sklearn.utils._joblib", "joblib"),
        ("sklearn.utils.parallel", "Parallel"),
        ("sklearn.metrics._scorer", "warnings"),
        ("sklearn.utils.validation", "check_X_y"),
    ],
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
        _open(with_schema(honest, change))


@pytest.mark.parametrize("loader", ["MethodNode", "OperatorFuncNode", "PartialNode"])
def test_node_that_calls_what_a_file_names_is_refused(honest: bytes, loader: str) -> None:
    def change(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["solver"]["__loader__"] = loader

    with pytest.raises(FormatRefused, match=loader):
        _open(with_schema(honest, change))


@pytest.mark.parametrize("schema", [b"", b"{", b"[]", b"{}", b"null", b'{"__loader__":"x"}'])
def test_malformed_schema_is_refused(honest: bytes, schema: bytes) -> None:
    with pytest.raises(FormatRefused):
        _open(archive_of(members_of(honest) | {"schema.json": schema}))


# --- joblib -------------------------------------------------------------------------------------


def test_compressed_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.handlers.joblib_file.MOST_OPENED_BYTES", 1 << 20)
    bomb = b"\x80\x04" + bytes(1 << 22)

    for data in (zlib.compress(bomb), gzip.compress(bomb)):
        with pytest.raises(FormatRefused, match="unpacked"):
            JoblibFile().open(data)


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
        JoblibFile().open(data)
