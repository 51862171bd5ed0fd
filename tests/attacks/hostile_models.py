"""Model files of attackers, after the samples of known advisories."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import pickle  # noqa: TID251  what is written here, only a sandbox opens
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import joblib
import numpy as np
from joblib.numpy_pickle_compat import NDArrayWrapper
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import BernoulliRBM
from sklearn.tree import DecisionTreeClassifier

from tests.models.files import (
    archive_of,
    members_of,
    npy_bytes,
    skops_bytes,
    with_array,
    with_schema,
)

RANDOM: Final = np.random.default_rng(7)
ROWS: Final = RANDOM.random((200, 4))
LABELS: Final = (ROWS[:, 0] > 0.5).astype(int)
HONEST: Final = LogisticRegression().fit(ROWS, LABELS)
SYMLINK: Final = 0o120777 << 16
FAR: Final = 2**27  # further than any memory of the model
FARTHER: Final = 2**40  # where an index has 64 bits


class Runs:
    """An object whose pickle runs Python when it is opened, and is nothing afterwards."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, (self._code,)


class RunsAndIs:
    """An object whose pickle runs Python, and is an honest model afterwards."""

    def __init__(self, code: str, model: object = HONEST) -> None:
        self._code, self._model = code, model

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return eval, ("[exec(code), model][1]", {"code": self._code, "model": self._model})


def joblib_bytes(content: object, **options: Any) -> bytes:
    """A joblib file."""
    buffer = io.BytesIO()
    joblib.dump(content, buffer, **options)
    return buffer.getvalue()


def running(code: str) -> dict[str, bytes]:
    """Files that run code as soon as they are opened as joblib (CVE-2024-37052 to -37060)."""
    opcodes = b"cbuiltins\nexec\n(V" + code.encode("raw-unicode-escape").replace(b"\n", b"\\u000a")
    return {
        "a pickle": pickle.dumps(Runs(code)),
        "a joblib file": joblib_bytes(Runs(code)),
        "compressed": joblib_bytes(Runs(code), compress=3),
        "gzip": joblib_bytes(Runs(code), compress=("gzip", 3)),
        "an honest model behind it": joblib_bytes(RunsAndIs(code)),
        "within an honest model": joblib_bytes(_with_attribute(Runs(code))),
        "within an array of objects": joblib_bytes(np.array([Runs(code)], dtype=object)),
        "an old protocol's opcodes": b"\x80\x02" + opcodes + b"\ntR.",
        "a pickle behind a pickle": pickle.dumps(HONEST) + pickle.dumps(Runs(code)),
        "no end": pickle.dumps(Runs(code))[:-1],  # a scanner that needs the end sees nothing
    }


def evading(code: str) -> dict[str, bytes]:
    """Files in which a scanner finds no pickle, or not this one."""
    hostile = pickle.dumps(Runs(code))
    honest = skops_bytes(HONEST)
    return {
        "a pickle called skops": hostile,
        "a pickle in an archive": archive_of({"data.pkl": hostile}),
        "a pickle as the schema": archive_of({"schema.json": hostile}),
        "a pickle beside the schema": archive_of(members_of(honest) | {"model.pkl": hostile}),
        "a pickle as an array": _array_of_objects(honest, code),
        "a pickle before an archive": hostile + honest,
        "a broken checksum": _broken_checksum(archive_of({"schema.json": hostile})),
        "compressed by bzip2": bz2.compress(hostile),
        "compressed by lzma": lzma.compress(hostile),
        "compressed, and something behind": zlib.compress(hostile) + hostile,
        "an empty file": b"",
    }


def naming_files(path: str) -> dict[str, bytes]:
    """Files that have the reader open what they name (joblib's wrapper of arrays, and numpy)."""

    class Opens:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return np.load, (path,)

    class Maps:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return np.memmap, (path, "uint8", "r")

    class Reads:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return eval, ("[setattr(model, 'classes_', open(path).read()), model][1]", self.names)

        names: Mapping[str, Any] = {"model": LogisticRegression().fit(ROWS, LABELS), "path": path}

    return {
        "joblib's wrapper": pickle.dumps(NDArrayWrapper(path, np.ndarray)),
        "numpy.load": pickle.dumps(Opens()),
        "numpy.memmap": pickle.dumps(Maps()),
        "a file as the classes": pickle.dumps(Reads()),
    }


def escaping(code: str) -> dict[str, bytes]:
    """Archives that would write beside the folder they are unpacked to."""
    honest, hostile = members_of(skops_bytes(HONEST)), code.encode()
    return {
        "a path upwards": archive_of(honest | {"../../canary": hostile}),
        "a path from the root": archive_of(honest | {"/tmp/canary": hostile}),  # noqa: S108
        "a symbolic link": _linked(honest),
        "a path in a tar file": _tar(honest, "../../canary", tarfile.REGTYPE),
        "a symbolic link in a tar file": _tar(honest, "model", tarfile.SYMTYPE),
        "a hard link in a tar file": _tar(honest, "model", tarfile.LNKTYPE),
        "a member twice": _twice(honest),
    }


def misusing_skops(command: str) -> dict[str, bytes]:
    """skops files that have their loader call or import what they name."""
    honest = skops_bytes(HONEST)
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    argument = text | {"content": json.dumps(command), "is_json": True, "__id__": 2}
    arguments = {
        "__class__": "tuple",
        "__module__": "builtins",
        "__loader__": "TupleNode",
        "content": [argument],
        "__id__": 3,
    }
    system = {"module_path": "os", "function": "system"}
    nodes: dict[str, dict[str, Any]] = {
        # CVE-2024-37065, and its successors CVE-2025-54412 and CVE-2025-54413
        "a function": _node("system", "os", "FunctionNode", content=system),
        "a type": _node("Popen", "subprocess", "TypeNode"),
        "an object": _node("Popen", "subprocess", "ObjectNode", content=arguments),
        "an operator": _node("call", "operator", "OperatorFuncNode", attrs=arguments),
        "a method": _node(
            "system",
            "os",
            "MethodNode",
            content={"func": "system", "obj": _node("os", "builtins", "TypeNode")},
        ),
        "a part of a function": _node("partial", "functools", "PartialNode", content=arguments),
        "what reads files": _node(
            "fetch_openml",
            "sklearn.datasets._openml",
            "FunctionNode",
            content={"module_path": "sklearn.datasets._openml", "function": "fetch_openml"},
        ),
    }
    found = {name: with_schema(honest, _replaced(node)) for name, node in nodes.items()}
    trusted = json.dumps(["os.system", "subprocess.Popen"]).encode()
    found["a list of what to trust"] = archive_of(members_of(honest) | {"trusted.json": trusted})
    return found


def claiming(length: int) -> bytes:
    """An .npy file of 128 bytes that claims to be as long as one likes."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (length,)}
    text = repr(header).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _tree(change: Callable[[Any], None]) -> bytes:
    model = DecisionTreeClassifier().fit(ROWS, LABELS)
    return with_array(skops_bytes(model), _has("left_child"), change)


def _boosted() -> bytes:
    model = HistGradientBoostingClassifier(max_iter=2).fit(ROWS, LABELS)
    return with_array(skops_bytes(model), _has("feature_idx"), _set("left", FAR))


def _with_attribute(value: object) -> object:
    model = LogisticRegression().fit(ROWS, LABELS)
    model.classes_ = value
    return model


def _array_of_objects(honest: bytes, code: str) -> bytes:
    members = members_of(honest)
    name = next(name for name in members if name.endswith(".npy"))
    objects = npy_bytes(np.array([Runs(code)], dtype=object), pickled=True)
    return archive_of(members | {name: objects})


def _broken_checksum(data: bytes) -> bytes:
    """Every CRC of an archive is wrong, which scanners stop at and some readers do not."""
    altered = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        at = altered.find(mark)
        while at >= 0:
            altered[at + offset] ^= 0xFF
            at = altered.find(mark, at + 1)
    return bytes(altered)


def _linked(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        link = zipfile.ZipInfo("99.npy")
        link.external_attr, link.create_system = SYMLINK, 3
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def _twice(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO(archive_of(dict(members)))
    info = zipfile.ZipInfo("schema.json")
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.NameToInfo.clear()  # it would warn
        archive.writestr(info, b"{}")
    return buffer.getvalue()


def _tar(members: Mapping[str, bytes], name: str, kind: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info, io.BytesIO())
    return buffer.getvalue()


def _node(kind: str, module: str, loader: str, **content: Any) -> dict[str, Any]:
    names = {"__class__": kind, "__module__": module, "__loader__": loader, "__id__": 1}
    return names | content


def _replaced(node: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def change(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["C"] = node

    return change


def _saying(size: int) -> bytes:
    """An archive whose members say that they unpack to so much each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("schema.json", "1.npy", "2.npy"):
            archive.writestr(name, bytes(1000))
    altered = bytearray(buffer.getvalue())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = altered.find(mark)
        while at >= 0:
            struct.pack_into("<I", altered, at + offset, size)
            at = altered.find(mark, at + 1)
    return bytes(altered)


def _unpacking(pieces: int) -> bytes:
    """A compressed pickle of zeros, of so many times 16 MiB, made without making them."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = stream.compress(b"\x80\x04") + stream.flush(zlib.Z_FULL_FLUSH)
    piece = stream.compress(bytes(16 * 1024**2)) + stream.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\x9c" + start + piece * pieces


def _many_members(count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.npy", b"")
        archive.writestr("schema.json", b"{}")
    return buffer.getvalue()


def _has(field: str) -> Callable[[Any], bool]:
    return lambda array: bool(array.dtype.names and field in array.dtype.names)


def _set(field: str, value: int) -> Callable[[Any], None]:
    def change(nodes: Any) -> None:
        nodes[field][0] = value

    return change


def _circle(nodes: Any) -> None:
    nodes["left_child"][0] = nodes["right_child"][0] = 0


def _far_neighbours() -> bytes:
    """The order of rows in the tree: the one array that is a permutation of them."""

    def is_order(array: Any) -> bool:
        return array.dtype.kind == "i" and sorted(array.ravel().tolist()) == list(range(len(ROWS)))

    def change(order: Any) -> None:
        order[:] = FARTHER

    model = KNeighborsClassifier(algorithm="kd_tree").fit(ROWS, LABELS)
    return with_array(skops_bytes(model), is_order, change)


def _far_random_state() -> bytes:
    def change(schema: dict[str, Any]) -> None:
        waiting: list[Any] = [schema]
        while waiting:
            node = waiting.pop()
            if isinstance(node, dict):
                if "pos" in node:
                    node["pos"]["content"] = str(-FAR)
                waiting.extend(node.values())
            elif isinstance(node, list):
                waiting.extend(node)

    model = BernoulliRBM(random_state=np.random.RandomState(0)).fit(ROWS)
    return with_schema(skops_bytes(model), change)


# Small files that would be large.
BOMBS: Final[Mapping[str, Callable[[], bytes]]] = {
    "an array of 745 GiB in 128 bytes": lambda: claiming(100_000_000_000),
    "such an array in an archive": lambda: archive_of({"1.npy": claiming(100_000_000_000)}),
    "such an array in a model": lambda: archive_of(
        members_of(skops_bytes(HONEST)) | {"1.npy": claiming(100_000_000_000)}
    ),
    "an archive that unpacks to gigabytes": lambda: _saying(3 * 1024**3),
    "a pickle that unpacks to gigabytes": lambda: _unpacking(5 * 64),
    "a schema nested without end": lambda: archive_of({"schema.json": b"[" * 1_000_000}),
    "members without end": lambda: _many_members(250_000),
}
# Pure data that reads or writes outside of memory, or never ends, when it predicts.
CORRUPTED: Final[Mapping[str, Callable[[], bytes]]] = {
    "a child of a tree": lambda: _tree(_set("left_child", FARTHER)),
    "a feature of a tree": lambda: _tree(_set("feature", FARTHER)),
    "a circle in a tree": lambda: _tree(_circle),
    "a node of a boosted tree": _boosted,
    "an index of neighbours": _far_neighbours,
    "the place of a random state": _far_random_state,
}
