"""Whether what a workshop made may become a version: nothing of it is taken at its word.

A workshop may be under the power of the file that it opened. What it says of the file is the
uploader's own matter; what it hands over is checked here for kind, size and meaning, digests are
computed anew, and a compiled form for workers is opened from its arrays as a worker will open it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn, get_args

import orjson

from config.prose import one_line
from models.arrays import unpack_arrays
from models.engines import ENGINES, FOR_WORKERS, NATIVE
from models.errors import ArraysMalformed, IntakeFailed
from models.formats import FORMATS, recognise_bytes
from models.graph_tensors import inputs_fit, outputs_fit
from models.manifest import ENGINE, MODEL, Contents, StoredFile
from models.portions import refuse_large
from models.signature import METHODS, AnswerKind, Kind, Signature, Task
from models.stages import Prepared

MOST_COLUMNS: Final = 1_000_000
MOST_CLASSES: Final = 100_000
MOST_TEXTS: Final = 2_000_000  # names and values of a signature in all
MOST_TEXT: Final = 2_000
MOST_NAME: Final = 200
# 10,000 named columns with dozens of categories each; parsing as much holds a worker for a moment.
MOST_CONTENTS_BYTES: Final = 8 * 1024**2
MOST_CONTENTS_VALUES: Final = 1_000_000
CONTENTS: Final = frozenset(
    {
        "files",
        "flavour",
        "source_format",
        "source_digest",
        "estimator",
        "signature",
        "engine",
        "engine_methods",
        "engine_reason",
        "parity",
        "libraries",
        "parents",
    }
)
SIGNATURE: Final = frozenset(
    {"task", "columns", "feature_names", "kinds", "categories", "missing", "classes", "methods"}
)
MOST_CHANGES: Final = 1000.0
PARITY: Final = frozenset(
    {
        "rows",
        "seed",
        "tolerance",
        "smallest_part",
        "smallest_part_of_single",
        "last_bit_changes",
        "labels_differing",
        "relative_error",
        "agrees",
        "refused",
        "methods",
    }
)
REPORT: Final = frozenset({"rows", "labels_differing", "relative_error", "agrees"})


def contents_fit(text: bytes) -> bool:
    """Whether the text of contents is short enough, and of few enough values, to be parsed.

    Every value but the first of its list or object follows a comma, and the first a bracket: so
    they are counted before anything is allocated for them.
    """
    if len(text) > MOST_CONTENTS_BYTES:
        return False
    return sum(map(text.count, (b",", b"[", b"{"))) < MOST_CONTENTS_VALUES


def read_contents(text: bytes) -> Mapping[str, Any]:
    """Parse the text in which a workshop says what it found out; raises IntakeFailed."""
    _require(contents_fit(text), "its size")
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        _refuse("its description")
    _require(type(said) is dict, "its description")
    return dict(said)


def accept(
    said: Mapping[str, Any],
    blobs: Mapping[str, bytes],
    *,
    source_format: str,
    source_digest: str,
) -> Prepared:
    """Check what a workshop said, and open what it compiled; raises IntakeFailed."""
    _require(said.keys() == CONTENTS, "its members")
    _check_signature(said["signature"])
    _check_parity(said["parity"])
    _check_rest(said)
    form = FORMATS[source_format]
    own = "skops" if form.name in ("skops", "joblib") else form.name
    contents = replace(
        Contents.from_json({**said, **_prose(said), "files": {}, "parents": []}),
        files=_files(blobs, own),
        flavour=form.flavour,
        source_format=source_format,
        source_digest=source_digest,
    )
    _check_engine(contents, blobs)
    return Prepared(contents, blobs)


def _prose(said: Mapping[str, Any]) -> dict[str, Any]:
    """What is only read by people, as they can read it; names that are data stay as they are."""
    return {
        "estimator": one_line(said["estimator"], MOST_NAME),
        "engine_reason": one_line(said["engine_reason"], MOST_TEXT),
        "libraries": {
            one_line(name, MOST_NAME): one_line(version, MOST_NAME)
            for name, version in said["libraries"].items()
        },
    }


def _files(blobs: Mapping[str, bytes], own: str) -> dict[str, StoredFile]:
    """The files with digests of our own computing."""
    _require(MODEL in blobs and blobs.keys() <= {MODEL, ENGINE}, "its files")
    known = recognise_bytes(blobs[MODEL])
    _require(known is not None and known.name == own, "the format of its file")
    forms = {MODEL: own, ENGINE: "arrays"}
    return {
        role: StoredFile(hashlib.sha256(blob).hexdigest(), len(blob), forms[role])
        for role, blob in blobs.items()
    }


def _check_engine(contents: Contents, blobs: Mapping[str, bytes]) -> None:
    compiled = contents.engine != NATIVE
    _require(compiled == (ENGINE in blobs) == bool(contents.engine_methods), "its engine")
    if not compiled:
        return
    _require(contents.engine in ENGINES and contents.parity is not None, "its engine")
    try:
        offered = _offered(contents, blobs[ENGINE])
    except ArraysMalformed as error:
        raise IntakeFailed(f"its compiled form is malformed: {error.problem}") from error
    _require(set(contents.engine_methods) <= offered, "the methods of its engine")
    reports = contents.parity.methods if contents.parity else {}
    proven = all(m in reports and reports[m].agrees for m in contents.engine_methods)
    _require(proven, "the proof of its engine")


def _offered(contents: Contents, blob: bytes) -> frozenset[str]:
    """The methods that a compiled form may answer; raises ArraysMalformed."""
    methods = frozenset(contents.signature.methods)
    arrays = unpack_arrays(blob)
    if contents.engine not in FOR_WORKERS:  # to open it may run its operators: a host does that
        return methods
    predictor = FOR_WORKERS[contents.engine].load(arrays)
    offered = predictor.methods & methods
    refuse_large(predictor, contents.signature, offered & set(contents.engine_methods))
    return offered


def _check_rest(said: Mapping[str, Any]) -> None:
    _require(_is_text(said["estimator"], MOST_NAME), "its estimator")
    _require(type(said["engine"]) is str and _is_text(said["engine_reason"], MOST_TEXT), "engine")
    methods = said["engine_methods"]
    _require(type(methods) is list and all(type(m) is str for m in methods), "its methods")
    _require(len(set(methods)) == len(methods), "its methods")
    libraries = said["libraries"]
    _require(type(libraries) is dict and len(libraries) <= 20, "its libraries")
    for name, version in libraries.items():
        _require(_is_text(name, MOST_NAME) and _is_text(version, MOST_NAME), "its libraries")


def _check_signature(said: Any) -> None:
    _require(type(said) is dict and said.keys() - {"inputs"} == SIGNATURE, "its signature")
    columns = said["columns"]
    _require(said["task"] in get_args(Task), "its task")
    _require(type(columns) is int and 0 < columns <= MOST_COLUMNS, "its columns")
    _require(type(said["missing"]) is bool, "its missing values")
    names, kinds = said["feature_names"], said["kinds"]
    _require(names is None or _are_texts(names, columns), "its names")
    _require(names is None or len(set(names)) == columns, "its names")
    known = get_args(Kind)
    fits = kinds is None or (type(kinds) is list and all(kind in known for kind in kinds))
    _require(fits and (kinds is None or len(kinds) == columns), "its kinds")
    _check_categories(said["categories"], kinds or [])
    _check_classes(said["classes"])
    _check_methods(said["methods"])
    if "inputs" in said:
        _check_parts(said["inputs"])
    signature = Signature.from_json(said)
    _require(inputs_fit(signature), "its inputs")
    _require(outputs_fit(signature), "its outputs")


def _check_categories(said: Any, kinds: Sequence[str]) -> None:
    _require(type(said) is dict, "its categories")
    texts = {str(at) for at, kind in enumerate(kinds) if kind == "text"}
    _require(said.keys() <= texts, "its categories")
    lists = list(said.values())
    _require(all(type(values) is list for values in lists), "its categories")
    _require(sum(map(len, lists)) <= MOST_TEXTS, "its categories")
    _require(all(_are_texts(values, len(values)) for values in lists), "its categories")


def _check_classes(said: Any) -> None:
    if said is None:
        return
    _require(type(said) is list and 0 < len(said) <= MOST_CLASSES, "its classes")
    for label in said:
        _require(type(label) in (int, float, bool) or _is_text(label, MOST_TEXT), "its classes")


def _check_methods(said: Any) -> None:
    _require(type(said) is list and 0 < len(said) <= len(METHODS), "its methods")
    for method in said:
        match method:
            case {"name": str(name), "dtype": str(dtype), "width": width} if (
                len(method.keys() - {"parts"}) == 3
                and name in METHODS
                and dtype in get_args(AnswerKind)
            ):
                if "parts" in method:
                    _check_parts(method["parts"])
                fits = width is None or (type(width) is int and 0 < width <= MOST_COLUMNS)
                _require(fits, "the width of its answers")
            case _:
                _refuse("its methods")
    _require(len({method["name"] for method in said}) == len(said), "its methods")


def _check_parts(said: Any) -> None:
    """Names and widths; whether they fit the columns is asked once all else is known to be so."""
    _require(type(said) is list and len(said) > 0, "its tensors")
    for part in said:
        _require(type(part) is dict and part.keys() == {"name", "width"}, "its tensors")
        width = part["width"]
        fits = width is None or (type(width) is int and 0 < width <= MOST_COLUMNS)
        _require(fits and _is_text(part["name"], MOST_NAME), "its tensors")


def _check_parity(said: Any) -> None:
    _require(type(said) is dict and said.keys() == PARITY, "its parity")
    _check_report(said)
    _require(_is_count(said["seed"]) and _is_count(said["refused"]), "its parity")
    _require(type(said["tolerance"]) is float and 0 <= said["tolerance"] < 1, "its tolerance")
    allowed = (said[name] for name in ("smallest_part", "smallest_part_of_single"))
    _require(all(type(part) is float and 0 <= part <= 1 for part in allowed), "its tolerance")
    changes = said["last_bit_changes"]
    _require(type(changes) is float and 0 <= changes <= MOST_CHANGES, "its tolerance")
    methods = said["methods"]
    _require(type(methods) is dict and methods.keys() <= set(METHODS), "its parity")
    for report in methods.values():
        _require(type(report) is dict and report.keys() == REPORT, "its parity")
        _check_report(report)


def _check_report(said: Mapping[str, Any]) -> None:
    counted = _is_count(said["rows"]) and _is_count(said["labels_differing"])
    measured = type(said["relative_error"]) is float and said["relative_error"] >= 0
    _require(counted and measured and type(said["agrees"]) is bool, "its parity")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _is_text(value: Any, most: int) -> bool:
    return type(value) is str and len(value) <= most


def _are_texts(values: Any, count: int) -> bool:
    return (
        type(values) is list
        and len(values) == count <= MOST_TEXTS
        and all(_is_text(value, MOST_TEXT) for value in values)
    )


def _require(holds: bool, what: str) -> None:
    if not holds:
        _refuse(what)


def _refuse(what: str) -> NoReturn:
    raise IntakeFailed(f"the process that looked at it says what cannot be of {what}")
