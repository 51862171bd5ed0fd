"""MLflow folders, hostile ones above all: only the named file, within the folder, is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from models import mlflow_folders as module
from models.errors import FormatRefused, SignatureRefused
from models.mlflow_folders import MlflowModel, opened_folder
from models.signature import Kind, Output, Signature
from models.wanted_signatures import WantedSignature, read_signature

MLMODEL = """
flavors:
  python_function: {loader_module: mlflow.sklearn}
  sklearn:
    pickled_model: FILE
    serialization_format: skops
    sklearn_version: 1.9.1
mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}]'
  params: null
saved_input_example_info: {artifact_path: input_example.json, type: dataframe}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as MLflow writes it, whose model is some bytes."""
    made = tmp_path / "model"
    made.mkdir()
    (made / "MLmodel").write_text(MLMODEL.replace("FILE", "model.skops"))
    (made / "model.skops").write_bytes(b"content")
    (made / "input_example.json").write_text('{"columns": ["age"], "data": [[1.5], [2.5]]}')
    (made / "requirements.txt").write_text("skops==0.16.0\n--index-url x\nscikit-learn==1.9.1\n")
    return made


def read(folder: Path) -> tuple[MlflowModel, bytes]:
    with opened_folder(folder) as opened:
        model = opened.read()
        with os.fdopen(opened.open(model.file), "rb") as file:
            return model, file.read()


def test_a_folder_says_what_its_model_is(folder: Path) -> None:
    model, content = read(folder)

    assert content == b"content"
    assert (model.file, model.format, model.flavour) == ("model.skops", "skops", "sklearn")
    assert model.versions == {
        "mlflow": "3.17.2",
        "sklearn_version": "1.9.1",
        "skops": "0.16.0",
        "scikit-learn": "1.9.1",
    }
    assert model.signature is not None
    assert model.signature.names == ("age",)
    assert orjson.loads(model.example or b"") == {"columns": {"age": [1.5, 2.5]}}


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", ".", "", "a/../../secret", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("secret")
    (folder / "MLmodel").write_text(MLMODEL.replace("FILE", orjson.dumps(name).decode()))
    with pytest.raises(FormatRefused):
        read(folder)


def _link_file(folder: Path) -> None:
    (folder / "model.skops").unlink()
    (folder / "model.skops").symlink_to(folder.parent / "secret")


def _link_folder(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "model.skops").write_text("secret")
    (folder / "sub").symlink_to(folder.parent / "other")
    (folder / "MLmodel").write_text(MLMODEL.replace("FILE", "sub/model.skops"))


def _pipe(folder: Path) -> None:
    (folder / "model.skops").unlink()
    os.mkfifo(folder / "model.skops")


def _directory(folder: Path) -> None:
    (folder / "model.skops").unlink()
    (folder / "model.skops").mkdir()


def _link_mlmodel(folder: Path) -> None:
    (folder / "MLmodel").rename(folder.parent / "MLmodel")
    (folder / "MLmodel").symlink_to(folder.parent / "MLmodel")


def _link_example(folder: Path) -> None:
    (folder / "input_example.json").unlink()
    (folder / "input_example.json").symlink_to(folder.parent / "secret")


def _missing(folder: Path) -> None:
    (folder / "MLmodel").unlink()


CHANGES = [_link_file, _link_folder, _pipe, _directory, _link_mlmodel, _link_example, _missing]


def held_open(folder: Path) -> list[str]:
    """What this process has open of a folder."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # of others, and of this very listing
            found.append(os.readlink(link))  # noqa: PTH115 - pipes have no paths
    return [path for path in found if path.startswith(str(folder))]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_no_file_of_the_folder_is_not_opened(
    folder: Path, change: Callable[[Path], None]
) -> None:
    (folder.parent / "secret").write_text("secret")
    change(folder)
    with pytest.raises(FormatRefused) as refused:
        read(folder)
    assert "secret" not in str(refused.value)
    assert not held_open(folder.parent)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "flavors: &f {sklearn: {}}\nother: *f\n",
        "flavors: {sklearn: {pickled_model: a, pickled_model: b, serialization_format: skops}}",
        "[" * 5_000,
        "{a: " * 5_000,
        "- flavors",
        "flavors: [sklearn]",
        "flavors: {}",
        "flavors: {pytorch: {}}",
        "flavors: {sklearn: {pickled_model: [a], serialization_format: skops}}",
        "flavors: {sklearn: {pickled_model: model.skops, serialization_format: dill}}",
        "flavors: {sklearn: {serialization_format: skops}}",
        "flavors: {onnx: {data: null-\x00}}",
        "\xff\xfe",
        "",
        "x: " + "9" * (module.MOST_MLMODEL),
    ],
    ids=range(16),
)
def test_an_mlmodel_that_mlflow_would_not_write_is_refused(folder: Path, text: str) -> None:
    (folder / "MLmodel").write_text(text)
    with pytest.raises(FormatRefused):
        read(folder)


def test_no_tag_makes_anything_but_text(folder: Path) -> None:
    marks = ("!!python/object/apply:os.system [id]", "!!int 1:1:1", "!!binary YQ==", "2026-01-01")
    for mark in marks:
        text = MLMODEL.replace("FILE", "model.skops").replace("3.17.2", mark)
        (folder / "MLmodel").write_text(text)
        model, _ = read(folder)
        assert type(model.versions.get("mlflow", "")) is str


FOUND: dict[str, Any] = {
    "task": "regression",
    "columns": 2,
    "feature_names": None,
    "kinds": None,
    "missing": False,
    "classes": None,
    "methods": {"predict": Output("number")},
}
TEXTS: tuple[Kind, Kind] = ("number", "text")


def stated(*columns: dict[str, Any]) -> WantedSignature:
    found = read_signature({"inputs": orjson.dumps(list(columns)).decode()})
    assert found is not None
    return found


def column(name: str, kind: str = "double", *, required: bool = True) -> dict[str, Any]:
    return {"type": kind, "name": name, "required": required}


def tensor(*shape: int, dtype: str = "float64", **more: Any) -> dict[str, Any]:
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, **more}


def test_stated_names_are_taken_where_the_model_has_none() -> None:
    found = stated(column("a", "integer"), column("b", "boolean")).adopted(Signature(**FOUND))
    assert found.feature_names == ("a", "b")
    named = Signature(**FOUND | {"feature_names": ("b", "a")})
    assert stated(column("a"), column("b")).adopted(named) is named
    plain = Signature(**FOUND)
    assert stated(tensor(-1, 2)).adopted(plain) is plain
    both = stated(tensor(-1, name="a"), tensor(-1, 1, name="b")).adopted(plain)
    assert both.feature_names == ("a", "b")


def test_what_is_stated_as_required_may_not_be_left_out_though_values_may_be_missing() -> None:
    said = stated(column("a"), column("b", required=False))
    own = Signature(**FOUND | {"feature_names": ("b", "a"), "missing": True})

    found = said.adopted(own)

    assert found.required == {1}
    assert [found.may_lack(at) for at in (0, 1)] == [True, False]
    assert Signature.from_json(found.as_json()) == found
    assert "required" not in own.as_json()


@pytest.mark.parametrize(
    ("signature", "found", "why"),
    [
        (stated(column("a")), FOUND, "1 columns"),
        (stated(tensor(-1, 3)), FOUND, "3 columns"),
        (stated(column("a"), column("a")), FOUND, "twice"),
        (stated(column("a"), column("c")), FOUND | {"feature_names": ("a", "b")}, "names"),
        (stated(column("a"), column("b", "string")), FOUND, "string"),
        (stated(column("a"), column("b")), FOUND | {"kinds": TEXTS}, "text"),
        (stated(column("a"), column("b", "datetime")), FOUND, "datetime"),
        (stated(column("a"), column("b", required=False)), FOUND, "missing"),
        (stated(tensor(-1, 2, dtype="str")), FOUND, "str"),
    ],
)
def test_a_contradiction_is_refused_with_both_shown(
    signature: WantedSignature, found: dict[str, Any], why: str
) -> None:
    with pytest.raises(SignatureRefused) as refused:
        signature.adopted(Signature(**found))
    assert why in str(refused.value)
    assert str(signature) in str(refused.value)
    assert "x1: " in str(refused.value) or "b: " in str(refused.value)


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        {},
        [1],
        [{"type": 5}],
        [{"type": "double", "name": 5}],
        [{"type": "double", "name": "a", "required": "yes"}],
        [tensor(-1, 28, 28)],
        [tensor(-1, 10**9)],
        [tensor(-1, 2), tensor(-1, 2)],
        [tensor(-1, 0)],
        [{"type": "tensor", "tensor-spec": {"dtype": 1, "shape": [-1]}}],
    ],
)
def test_a_signature_that_is_none_of_columns_is_refused(inputs: Any) -> None:
    with pytest.raises(FormatRefused):
        read_signature({"inputs": orjson.dumps(inputs).decode()})


def test_no_signature_is_none() -> None:
    for said in (None, "null", {}, {"inputs": "null"}, {"outputs": "[]"}):
        assert read_signature(said) is None
