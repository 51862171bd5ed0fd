"""joblib and pickle files: opened once, at an operator's word, to be converted.

Opening one runs whatever its author put in. No worker imports this module: import-linter holds it.
"""

from __future__ import annotations

import io
import traceback
import warnings
import zlib
from typing import Final

import joblib
from sklearn.exceptions import InconsistentVersionWarning

from models.errors import FormatRefused
from models.handlers import MOST_OPENED_BYTES, Opened
from models.soundness.boosters import guard_boosters

PICKLE: Final = b"\x80"
PROTOCOLS: Final = range(2, 6)
ZLIB: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
GZIP: Final = b"\x1f\x8b"
OTHER_COMPRESSION: Final = (b"BZh", b"\xfd7zXZ", b"\x5d\x00\x00", b"\x04\x22\x4d\x18")
EITHER_HEADER: Final = zlib.MAX_WBITS | 32
MOST_NAME: Final = 200


class JoblibFile:
    """Files that joblib.dump or pickle.dump wrote, plain or compressed with zlib or gzip."""

    def open(self, data: bytes) -> Opened:
        """Run the pickle, after the same checks of size as for any other file."""
        plain = data if _is_pickle(data) else _unpacked(data)
        if not _is_pickle(plain):
            raise FormatRefused("what it compresses is no pickle")
        guard_boosters()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                estimator = joblib.load(io.BytesIO(plain))  # noqa: TID251  the one place: an operator asked
            except Exception as error:
                raise _refused(error) from error
        versions = {
            w.message.original_sklearn_version
            for w in caught
            if isinstance(w.message, InconsistentVersionWarning)
        }
        return Opened(estimator, tuple(sorted(versions)))


def _refused(error: Exception) -> FormatRefused:
    name = _looked_for(error)
    if not name:
        return FormatRefused(f"it cannot be opened: {type(error).__name__}")
    return FormatRefused(
        f"it needs {name}, which is not on this platform",
        "save a model of classes and functions that scikit-learn brings, or export it to ONNX",
    )


def _looked_for(error: Exception) -> str:
    """The class or function that was not found; empty where something else fails."""
    if not isinstance(error, AttributeError | ImportError):
        return ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "find_class":  # of the unpickler, which alone knows the name
            module, name = (frame.f_locals.get(word) for word in ("module", "name"))
            return f"{module}.{name}"[:MOST_NAME]
    return ""


def _is_pickle(data: bytes) -> bool:
    return data.startswith(PICKLE) and len(data) > 2 and data[1] in PROTOCOLS


def _unpacked(data: bytes) -> bytes:
    if data.startswith(OTHER_COMPRESSION):
        raise FormatRefused(
            "it is compressed by other than zlib or gzip", "save it with joblib.dump(model, file)"
        )
    stream = zlib.decompressobj(EITHER_HEADER)
    try:
        plain = stream.decompress(data, MOST_OPENED_BYTES)
    except zlib.error as error:
        raise FormatRefused("its compressed content is broken") from error
    if stream.unconsumed_tail:
        raise FormatRefused(f"unpacked it would take more than {MOST_OPENED_BYTES} bytes")
    if not stream.eof or stream.unused_data:
        raise FormatRefused("its compressed content is cut off, or something follows it")
    return plain
