"""The formats of model files: how each is known, and what opening it takes.

Nothing here opens a file; models.handlers does, in a sandbox. A format is a line here and a module
there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, Final, Literal

from models.errors import FormatRefused
from models.marks import COUNTED, VARINT, ZIP, head, matches, message_fields, tar_names, zip_names

Flavour = Literal["sklearn", "tensorflow"]

PICKLE: Final = re.compile(rb"\x80[\x02-\x05]")
# Streams that joblib.dump may have packed a pickle in: zlib, gzip, bzip2, xz, lzma, lz4.
PACKED: Final = re.compile(
    rb"x\x01|x\x5e|x\x9c|x\xda|\x1f\x8b|BZh|\xfd7zXZ|\x5d\x00\x00|\x04\x22\x4d\x18"
)
XGBOOST: Final = re.compile(
    rb'\{\s*"(?:learner|version)"|\{[L\x69\x55].{0,7}?\x07learner', re.DOTALL
)
LIGHTGBM: Final = re.compile(rb"tree\r?\nversion=v[0-9]+\r?\n")
# onnx.proto: the fields of ModelProto.
ONNX: Final = {
    1: VARINT,  # ir_version
    2: COUNTED,  # producer_name
    3: COUNTED,  # producer_version
    4: COUNTED,  # domain
    5: VARINT,  # model_version
    6: COUNTED,  # doc_string
    7: COUNTED,  # graph
    8: COUNTED,  # opset_import
    14: COUNTED,  # metadata_props
    20: COUNTED,  # training_info
    25: COUNTED,  # functions
    26: COUNTED,  # configuration
}
ONNX_NEEDED: Final = frozenset({7, 8})
KERAS_NEEDED: Final = frozenset({"metadata.json", "config.json", "model.weights.h5"})
SKOPS_SCHEMA: Final = "schema.json"
GRAPH: Final = re.compile(r"(?:\./)?(?:[^/]+/)?saved_model\.pb")


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """One format; `library` is the distribution that opens it, in a host of the `flavour`.

    `runs_code` says that opening a file of this format runs what the file says. `extra` is what
    has to be installed besides, `suffix` how such files are usually named: no file is known by it.
    """

    name: str
    library: str
    suffix: str
    sniff: Callable[[BinaryIO], bool]
    flavour: Flavour = "sklearn"
    runs_code: bool = False
    extra: str | None = None


def recognise(source: BinaryIO) -> Format | None:
    """The format of a seekable file, by its bytes; None for none, or for more than one."""
    found = [known for known in FORMATS.values() if known.sniff(source)]
    return found[0] if len(found) == 1 else None


def recognise_bytes(data: bytes) -> Format | None:
    """The format of bytes in memory; None for none, or for more than one."""
    return recognise(io.BytesIO(data))


def unrecognised(source: BinaryIO, accepted: Collection[str]) -> FormatRefused:
    """The refusal of a file that `recognise` does not know."""
    if head(source).startswith(ZIP) and not zip_names(source):
        problem = "it begins like a zip archive that is cut off or broken"
        return FormatRefused(problem, "send the whole file anew")
    return FormatRefused(
        "its bytes are those of no known format", f"give one of {', '.join(sorted(accepted))}"
    )


def _is_skops(source: BinaryIO) -> bool:
    return SKOPS_SCHEMA in zip_names(source)


def _is_joblib(source: BinaryIO) -> bool:
    return matches(source, PICKLE) or matches(source, PACKED)


def _is_onnx(source: BinaryIO) -> bool:
    return message_fields(source, ONNX) >= ONNX_NEEDED


def _is_xgboost(source: BinaryIO) -> bool:
    return matches(source, XGBOOST)


def _is_lightgbm(source: BinaryIO) -> bool:
    return matches(source, LIGHTGBM)


def _is_keras(source: BinaryIO) -> bool:
    return zip_names(source) >= KERAS_NEEDED


def _is_saved_model(source: BinaryIO) -> bool:
    names = zip_names(source) or tar_names(source)
    return any(GRAPH.fullmatch(name) for name in names)


_ALL: Final = (
    Format(name="skops", library="scikit-learn", suffix=".skops", sniff=_is_skops),
    Format(
        name="joblib", library="scikit-learn", suffix=".joblib", sniff=_is_joblib, runs_code=True
    ),
    Format(name="onnx", library="onnxruntime", suffix=".onnx", sniff=_is_onnx),
    Format(
        name="xgboost",
        library="xgboost-cpu",
        suffix=".ubj",
        sniff=_is_xgboost,
        extra="boosting",
    ),
    Format(
        name="lightgbm",
        library="lightgbm",
        suffix=".txt",
        sniff=_is_lightgbm,
        extra="boosting",
    ),
    Format(
        name="keras",
        library="keras",
        suffix=".keras",
        sniff=_is_keras,
        flavour="tensorflow",
        extra="tensorflow",
    ),
    Format(
        name="savedmodel",
        library="tensorflow-cpu",
        suffix=".zip",
        sniff=_is_saved_model,
        flavour="tensorflow",
        extra="tensorflow",
    ),
)
FORMATS: Final[Mapping[str, Format]] = MappingProxyType({known.name: known for known in _ALL})
