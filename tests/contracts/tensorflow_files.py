"""A program that has Keras and TensorFlow write models, with what they themselves answer.

It writes into the folder it is given; reading that again needs no TensorFlow.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.contracts.opening import Sample

ROWS = np.random.default_rng(3).random((6, 4))
KINDS = ["low", "mid", "top", "low", "mid", "none of these"]
INDEX = "samples.json"


def read_samples(folder: Path) -> list[Sample]:
    """The models that were written into a folder."""
    told = json.loads((folder / INDEX).read_text())
    return [
        Sample(
            each["format"],
            (folder / each["name"]).read_bytes(),
            each["columns"],
            each["answers"],
            each["name"],
        )
        for each in told
    ]


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: list[dict[str, Any]] = []

    def add(self, name: str, data: bytes, columns: list[list[Any]], answers: Any) -> None:
        form = "keras" if name.endswith(".keras") else "savedmodel"
        (self._path / name).write_bytes(data)
        told = {"format": form, "name": name, "columns": columns}
        self._told.append(told | {"answers": {"predict": answers.tolist()}})

    def finish(self) -> None:
        (self._path / INDEX).write_text(json.dumps(self._told))


def main(folder: Path) -> None:
    """Write every sample."""
    import keras

    keras.utils.set_random_seed(0)
    kept = _Folder(folder)
    _write_keras(kept, folder)
    _write_saved_models(kept, folder)
    kept.finish()


def _models() -> dict[str, Any]:
    import keras
    from keras import layers

    scaler = layers.Normalization()
    scaler.adapt(ROWS)
    plain = keras.Input((4,))
    left, right = keras.Input((3,), name="left"), keras.Input((1,), name="right")
    joined = layers.Concatenate()([layers.Dense(3, activation="tanh")(left), right])
    return {
        "dense": keras.Sequential(
            [
                keras.Input((4,)),
                scaler,
                layers.Dense(8, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.2),
                layers.Dense(3, activation="softmax"),
            ]
        ),
        "image": keras.Sequential(
            [
                keras.Input((2, 2, 1)),
                layers.Conv2D(3, 2, activation="relu"),
                layers.Flatten(),
                layers.Dense(1, activation="sigmoid"),
            ]
        ),
        "chain": keras.Model(plain, layers.Dense(2)(layers.ReLU()(layers.Dense(5)(plain)))),
        "skip": keras.Model(plain, layers.Concatenate()([layers.Dense(2)(plain), plain])),
        "two": keras.Model([left, right], [layers.Dense(1)(joined), layers.Dense(2)(joined)]),
        "lambda": keras.Sequential([keras.Input((4,)), layers.Lambda(lambda rows: rows * 2)]),
    }


def _write_keras(kept: _Folder, folder: Path) -> None:
    models = _models()
    models["dense"].compile("adam", "categorical_crossentropy")  # as whoever trained it did
    columns = [column.tolist() for column in ROWS.T]
    for name, model in models.items():
        path = folder / f"{name}.keras"
        model.save(path)
        kept.add(path.name, path.read_bytes(), columns, _answers(model))
    models["dense"].export(folder / "exported", verbose=False)
    answers = _answers(models["dense"])
    kept.add("dense.zip", _zipped(folder / "exported"), columns, answers)
    kept.add("dense.tar", _tarred(folder / "exported"), columns, answers)


def _answers(model: Any) -> Any:
    """What Keras answers, all outputs side by side."""
    rows, shapes = ROWS.astype(np.float32), [tensor.shape[1:] for tensor in model.inputs]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    given = [
        part.reshape((len(rows), *shape))
        for part, shape in zip(np.split(rows, ends, axis=1), shapes, strict=True)
    ]
    outputs = model(given if len(given) > 1 else given[0], training=False)
    parts = outputs if isinstance(outputs, list) else [outputs]
    answers = np.hstack([np.asarray(part) for part in parts])
    return answers.ravel() if answers.shape[1] == 1 else answers


def _write_saved_models(kept: _Folder, folder: Path) -> None:
    import tensorflow as tf

    class Lookup(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            pairs = tf.lookup.KeyValueTensorInitializer(["low", "mid", "top"], [1.0, 2.0, 3.0])
            self.table = tf.lookup.StaticHashTable(pairs, 0.0)

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None], tf.string, name="kind"),
                tf.TensorSpec([None, 2], tf.float64, name="size"),
            ]
        )
        def answer(self, kind: Any, size: Any) -> dict[str, Any]:
            known = tf.cast(self.table.lookup(kind), tf.float64)
            return {"sum": known + tf.reduce_sum(size, axis=1)}

    class Reads(tf.Module):  # type: ignore[misc]
        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[tf.TensorSpec([None, 1], tf.float32, name="size")]
        )
        def answer(self, size: Any) -> dict[str, Any]:
            length = tf.strings.length(tf.io.read_file("/etc/passwd"))
            return {"read": size + tf.cast(length, tf.float32)}

    columns = [KINDS, *(column.tolist() for column in ROWS.T[:2])]
    lookup, reads = Lookup(), Reads()
    tf.saved_model.save(lookup, str(folder / "lookup"), signatures=lookup.answer)
    answers = lookup.answer(tf.constant(KINDS), tf.constant(ROWS[:, :2]))["sum"].numpy()
    kept.add("lookup.zip", _zipped(folder / "lookup"), columns, answers)
    tf.saved_model.save(reads, str(folder / "reads"), signatures=reads.answer)
    kept.add("reads.zip", _zipped(folder / "reads"), columns[1:2], ROWS[:, 0])


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder.parent))
    return buffer.getvalue()


def _tarred(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, folder.name)
    return buffer.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
