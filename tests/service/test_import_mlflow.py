"""manage.py models import of folders that MLflow itself has saved."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import FormatRefused, GivenRowsRefused, SignatureRefused
from models.stages import Stage
from service.operations.imports import Imported, import_model
from service.operations.uploads import Wishes
from tests.house import House

AGES = np.array([[1.0, 20.0], [2.0, 10.0], [3.0, 40.0], [4.0, 30.0]])
SIDES = [0, 0, 1, 1]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of each kind: skops, cloudpickle and ONNX of a model with a signature."""
    made = tmp_path_factory.mktemp("mlflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.onnx
        import mlflow.sklearn
        import pandas as pd
        from mlflow.models import infer_signature
        from skl2onnx import to_onnx
        from sklearn.linear_model import LogisticRegression

        frame = pd.DataFrame(AGES, columns=["age", "income"])
        bare = LogisticRegression().fit(AGES, SIDES)
        signature = infer_signature(frame, bare.predict(AGES))
        common: dict[str, Any] = {
            "signature": signature,
            "pip_requirements": ["scikit-learn==1.9.1"],
        }
        mlflow.sklearn.save_model(
            LogisticRegression().fit(frame, SIDES),
            made / "skops",
            serialization_format="skops",
            input_example=frame.head(2),
            **common,
        )
        mlflow.sklearn.save_model(
            bare, made / "cloudpickle", serialization_format="cloudpickle", **common
        )
        mlflow.onnx.save_model(
            to_onnx(bare, AGES[:1], options={"zipmap": False}), made / "onnx", **common
        )
    return made


def imported(house: House, folder: Path, name: str, **wishes: Any) -> tuple[Imported, list[str]]:
    notes: list[str] = []

    def tell(stage: Stage, note: str) -> None:
        notes.append(f"{stage}: {note}")

    scope = house.operator("acme")
    made = import_model(house.platform, scope, name, folder, Wishes(**wishes), progress=tell)
    return made, notes


def names(house: House, model: str) -> list[str]:
    return [column["name"] for column in house.ada.get(f"/models/{model}").get_json()["inputs"]]


def test_a_skops_folder_is_taken_with_its_example_and_signature(
    shared_house: House, folders: Path
) -> None:
    made, notes = imported(shared_house, folders / "skops", "churn")

    assert made.told["signature"] == "as stated"
    assert made.told["flavour"] == "sklearn"
    assert made.told["scikit-learn"] == "1.9.1"
    assert any("2 given rows are answered" in note for note in notes)
    assert names(shared_house, "churn") == ["age", "income"]
    answer = shared_house.rob.post(
        "/predict", json={"records": [{"age": 4, "income": 30}], "model": "churn"}
    )
    assert answer.get_json()["prediction"] == [1]


def test_a_pickled_folder_is_opened_only_when_that_is_declared(
    shared_house: House, folders: Path
) -> None:
    with pytest.raises(FormatRefused, match="runs what its author put in"):
        imported(shared_house, folders / "cloudpickle", "pickled")
    with pytest.raises(FormatRefused, match="not skops"):
        imported(shared_house, folders / "cloudpickle", "pickled", format="skops")

    made, _ = imported(shared_house, folders / "cloudpickle", "pickled", format="pickle")

    assert made.version.manifest.contents.source_format == "joblib"
    assert names(shared_house, "pickled") == ["age", "income"], "which the model has not itself"
    rows = [{"income": 30, "age": 4}, {"income": 10, "age": 2}]
    answer = shared_house.rob.post("/predict", json={"records": rows, "model": "pickled"})
    assert answer.get_json()["prediction"] == [1, 0]


def test_an_onnx_folder_is_taken(shared_house: House, folders: Path) -> None:
    made, _ = imported(shared_house, folders / "onnx", "graph")
    assert made.version.manifest.contents.source_format == "onnx"
    assert names(shared_house, "graph") == ["age", "income"]


def test_a_folder_that_contradicts_its_model_is_refused(
    shared_house: House, folders: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(folders / "skops", folder)
    said = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(said.replace('"age"', '"height"'))
    with pytest.raises(SignatureRefused, match=r"stated: height: double.*found: age: number"):
        imported(shared_house, folder, "contradicts")

    (folder / "MLmodel").write_text(said)
    (folder / "input_example.json").write_text('{"columns": ["age"], "data": [[1.0]]}')
    with pytest.raises(GivenRowsRefused, match="income"):
        imported(shared_house, folder, "contradicts")
    assert shared_house.ada.get("/models/contradicts").status_code == 404
