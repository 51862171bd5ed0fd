"""MLflow model folders: which file of one is the model, and what its signature says.

A folder is somebody else's work. Its MLmodel is read as plain texts without aliases or tags; only
the one file that it names is opened, below the folder and through no link; what the folder says of
environments is shown, never followed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import orjson
import yaml

from models.errors import FormatRefused
from models.sealed_files import READ
from models.wanted_signatures import WantedSignature, read_signature

MLMODEL: Final = "MLmodel"
MOST_MLMODEL: Final = 1024**2
MOST_EXAMPLE: Final = 16 * 1024**2
MOST_REQUIREMENTS: Final = 64 * 1024
MOST_SHOWN: Final = 20
PINNED: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.\[\]-]{0,80})==([A-Za-z0-9.+!-]{1,40})")
REMEDY: Final = "give a folder that mlflow.sklearn or mlflow.onnx saved, or the model file itself"
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# How mlflow.sklearn says what it wrote, as our formats.
SERIALIZED: Final[Mapping[str, str]] = {
    "skops": "skops",
    "pickle": "joblib",
    "cloudpickle": "joblib",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MlflowModel:
    """What a folder says of its model: its file and format, its columns, what it was made with.

    `example` is the input example as rows that an intake reads; `versions` are shown to people.
    """

    file: str
    format: str
    flavour: str
    signature: WantedSignature | None
    example: bytes | None
    versions: Mapping[str, str] = field(default_factory=dict)


class MlflowFolder:
    """A folder that is open: every file is reached from it, whatever becomes of its name."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> MlflowModel:
        """What the folder's MLmodel says; raises FormatRefused."""
        said = _parsed(self._content(MLMODEL, MOST_MLMODEL))
        flavours = _mapping(said, "flavors")
        flavour, file, form = _chosen(flavours)
        return MlflowModel(
            file=file,
            format=form,
            flavour=flavour,
            signature=read_signature(said.get("signature")),
            example=self._example(said.get("saved_input_example_info")),
            versions=self._versions(said, _mapping(flavours, flavour)),
        )

    def open(self, file: str) -> int:
        """A descriptor of a regular file below the folder; raises FormatRefused."""
        steps = PurePosixPath(file).parts
        if not steps or file.startswith("/") or "\0" in file or set(steps) & {"..", "."}:
            raise FormatRefused(f"its MLmodel names a file outside of the folder: {file!a}"[:200])
        try:
            descriptor = self._reach(steps)
        except OSError as error:
            problem = f"{file!a} in it cannot be opened: {error.strerror}"
            raise FormatRefused(problem[:200], REMEDY) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FormatRefused(f"{file!a} in it is not a regular file"[:200])
        return descriptor

    def _reach(self, steps: Sequence[str]) -> int:
        with ExitStack() as stack:
            folder = self._descriptor
            for step in steps[:-1]:
                folder = os.open(step, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                stack.callback(os.close, folder)
            return os.open(steps[-1], READ, dir_fd=folder)

    def _content(self, file: str, most: int) -> bytes:
        with os.fdopen(self.open(file), "rb") as source:
            content = source.read(most + 1)
        if len(content) > most:
            raise FormatRefused(f"its {file} has more than {most} bytes")
        return content

    def _example(self, said: Any) -> bytes | None:
        """The input example as an intake reads rows; None if there is none."""
        if type(said) is not dict or type(path := said.get("artifact_path")) is not str:
            return None
        content = self._content(path, MOST_EXAMPLE)
        try:
            example = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise FormatRefused("its input example is no JSON", "give rows with --rows") from error
        match example:
            case {"columns": list(names), "data": [list(), *_] as rows} if all(
                type(row) is list and len(row) == len(names) for row in rows
            ):
                columns = zip(map(str, names), zip(*rows, strict=True), strict=True)
                return orjson.dumps({"columns": dict(columns)})
        return content

    def _versions(self, said: Mapping[str, Any], flavour: Mapping[str, Any]) -> dict[str, str]:
        """What the folder was made with, as far as it says so."""
        found = {"mlflow": said.get("mlflow_version")}
        found |= {name: flavour.get(name) for name in ("sklearn_version", "onnx_version")}
        versions = {name: text[:40] for name, text in found.items() if type(text) is str}
        try:
            lines = self._content("requirements.txt", MOST_REQUIREMENTS).decode().splitlines()
        except (FormatRefused, UnicodeDecodeError):
            return versions
        pinned = (PINNED.fullmatch(line.strip()) for line in lines)
        shown = [match for match in pinned if match][:MOST_SHOWN]
        return versions | {match[1]: match[2] for match in shown}


@contextmanager
def opened_folder(path: Path) -> Iterator[MlflowFolder]:
    """Open an MLflow model folder; raises FormatRefused if it is none."""
    try:
        descriptor = os.open(path, FOLDER)
    except OSError as error:
        raise FormatRefused(f"{path} cannot be opened: {error.strerror}") from error
    try:
        yield MlflowFolder(descriptor)
    finally:
        os.close(descriptor)


class _PlainLoader(yaml.BaseLoader):  # type: ignore[misc]
    """Reads every scalar as the text it is, whatever its tag; refuses aliases and repeats."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        made: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        if len(made) != len(node.value):
            raise yaml.YAMLError("a member that is given twice")
        return made


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        said = yaml.load(content.decode(), Loader=_PlainLoader)  # noqa: S506  it makes texts alone
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise FormatRefused(f"its {MLMODEL} is not what MLflow writes", REMEDY) from error
    if type(said) is not dict:
        raise FormatRefused(f"its {MLMODEL} is not what MLflow writes", REMEDY)
    return said


def _chosen(flavours: Mapping[str, Any]) -> tuple[str, str, str]:
    """The flavour that is taken, its file, and its format."""
    if "sklearn" in flavours:
        own = _mapping(flavours, "sklearn")
        form = SERIALIZED.get(str(own.get("serialization_format")))
        if form is None:
            raise FormatRefused("its sklearn flavour is serialized otherwise than is known", REMEDY)
        return "sklearn", _text(own, "pickled_model"), form
    if "onnx" in flavours:
        return "onnx", _text(_mapping(flavours, "onnx"), "data"), "onnx"
    others = ", ".join(sorted(name for name in flavours if name != "python_function"))
    raise FormatRefused(f"its flavours are {others or 'none'}"[:200], REMEDY)


def _mapping(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = said.get(name)
    if type(found) is not dict:
        raise FormatRefused(f"its {MLMODEL} has no {name}", REMEDY)
    return found


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    if type(found) is not str:
        raise FormatRefused(f"its {MLMODEL} has no {name}", REMEDY)
    return found
