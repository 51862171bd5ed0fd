"""SavedModels in a zip or tar archive: graphs of TensorFlow, run by TensorFlow."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from models.errors import FormatRefused
from models.formats import FORMATS
from models.handlers import MOST_OPENED_BYTES, Kept, Opened
from models.runtimes.tensorflow_models import TensorFlowModel, check_outputs, input_of_tensor
from models.soundness.saved_models import GRAPH, read_saved_model

FORMAT: Final = FORMATS["savedmodel"]
SERVING: Final = "serving_default"
# What float32 in another order differs by at rows of all sizes.
TOLERANCE: Final = 1e-4
MEMORY: Final = "ram://"  # a file system that TensorFlow keeps within its process
# They reach for files and functions outside of the graph. The sandbox refuses that as well.
REFUSED: Final = frozenset(
    {
        "CollectiveBcastRecv",
        "CollectiveReduce",
        "DebugIdentityV2",
        "EagerPyFunc",
        "LoadLibrary",
        "MatchingFiles",
        "PrintV2",
        "PyFunc",
        "PyFuncStateless",
        "ReadFile",
        "RemoteCall",
        "Recv",
        "Send",
        "WholeFileReaderV2",
        "WriteFile",
    }
)


class SavedModel(TensorFlowModel):
    """One signature of a SavedModel; `loaded` keeps alive what the signature uses."""

    def __init__(self, loaded: Any, *, nbytes: int) -> None:
        self.loaded = loaded
        signature = _signature(loaded.signatures)
        specs: dict[str, Any] = signature.structured_input_signature[1]
        outputs: Mapping[str, Any] = signature.structured_outputs
        check_outputs(list(outputs.values()))
        names, answered = sorted(specs), sorted(outputs)

        def function(*tensors: Any) -> list[Any]:
            answers = signature(**dict(zip(names, tensors, strict=True)))
            return [answers[name] for name in answered]

        inputs = [input_of_tensor(name, specs[name]) for name in names]
        super().__init__(inputs, function, nbytes=nbytes)


class SavedModelFile:
    """Archives of a folder that tf.saved_model.save, or a Keras model's export, wrote."""

    def open(self, data: bytes) -> Opened:
        """Check files and operators, then let TensorFlow load them from its memory."""
        files = read_saved_model(data, most_bytes=MOST_OPENED_BYTES)
        _check_operators(files[GRAPH])
        model = SavedModel(_load(files), nbytes=len(data))
        return Opened(model, (), Kept(FORMAT.name, data, TOLERANCE))


def _check_operators(graph: bytes) -> None:
    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(graph)
    except Exception as error:
        raise FormatRefused(f"its {GRAPH} is broken") from error
    for meta in model.meta_graphs:
        functions = (function.node_def for function in meta.graph_def.library.function)
        for nodes in (meta.graph_def.node, *functions):
            found = sorted({node.op for node in nodes} & REFUSED)
            if found:
                raise FormatRefused(f"it uses {', '.join(found)}, which reach outside of it")


def _load(files: Mapping[str, bytes]) -> Any:
    folder = f"{MEMORY}{secrets.token_hex(8)}"
    try:
        for path, content in files.items():
            tf.io.gfile.makedirs(f"{folder}/{path}".rpartition("/")[0])
            with tf.io.gfile.GFile(f"{folder}/{path}", "wb") as file:
                file.write(content)
        return tf.saved_model.load(folder)
    except Exception as error:
        raise FormatRefused(f"TensorFlow does not take it: {error}"[:300]) from error
    finally:
        if tf.io.gfile.exists(folder):
            tf.io.gfile.rmtree(folder)


def _signature(signatures: Mapping[str, Any]) -> Any:
    if SERVING in signatures:
        return signatures[SERVING]
    if len(signatures) != 1:
        raise FormatRefused(
            f"it has the signatures {', '.join(sorted(signatures))[:200] or 'none'}",
            f"save it with one, or with one called {SERVING}",
        )
    return next(iter(signatures.values()))
