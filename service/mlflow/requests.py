"""What a client of MLflow's scoring server asks for, read from the body of its request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from models.errors import InputRefused
from models.names import Reference, read_reference
from models.requests.bounds import Bounds
from models.requests.documents import Document, read_document
from models.requests.faults import kind_of
from models.requests.instances import Given, Place, read_inputs, read_instances, read_rows
from models.requests.tensors import METHOD
from models.signature import Signature
from models.tables import Features
from service.mlflow.csv_rows import read_csv
from service.mlflow.frames import Frame, Instances

SPLIT: Final = "dataframe_split"
RECORDS: Final = "dataframe_records"
INSTANCES: Final = "instances"
INPUTS: Final = "inputs"
FORMS: Final = (SPLIT, RECORDS, INSTANCES, INPUTS)
REQUIRED: Final = (
    "The input must be a JSON dictionary with exactly one of the input fields "
    f"{{{', '.join(map(repr, FORMS))}}}"
)
PARAMS: Final = "params"
METHODS: Final = ("method", "predict_method")
PARTS: Final = frozenset({"columns", "index", "data"})


class Table(Protocol):
    """Rows that wait for the model whose columns they are."""

    def __len__(self) -> int: ...

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Which model an address names, if it names one; a version is a number or an alias."""

    model: str | None
    version: Reference = None


@dataclass(frozen=True, slots=True)
class ScoringCall:
    """Rows, of which model and version, and by which of its methods."""

    target: Target
    table: Table
    method: str | None = None

    @property
    def model(self) -> str | None:
        """The model's name; None is the tenant's default."""
        return self.target.model

    @property
    def version(self) -> Reference:
        """A version's number or alias; None is whatever the model's route says."""
        return self.target.version

    def __len__(self) -> int:
        return len(self.table)

    def methods(self, signature: Signature) -> tuple[str, ...]:
        """The one method asked for, or the model's first."""
        return (signature.check_method(self.method),)

    def bound(self, signature: Signature) -> Features:
        """The rows as the model takes them; raises InputRefused where they do not fit."""
        return self.table.bound(signature)


def read_target(model: str | None, version: str | None) -> Target:
    """What the path and the query name; raises InputRefused for no version's name."""
    if version is None:
        return Target(model)
    reference = read_reference(version)
    if reference is None:
        raise InputRefused("/version", "neither a version's number, from 1, nor an alias")
    return Target(model, reference)


def read_csv_call(body: bytes, target: Target, bounds: Bounds) -> ScoringCall:
    """Read rows in CSV; raises InputRefused."""
    return ScoringCall(target, read_csv(body, bounds))


def read_json_call(body: bytes, target: Target, bounds: Bounds) -> ScoringCall:
    """Read one of the four JSON forms, with `params`; raises InputRefused.

    Other members are left alone, as MLflow does. NaN is read, for its clients write it.
    """
    document = read_document(body, bounds, not_finite=True, wanted=REQUIRED)
    members = document.members
    given = [form for form in FORMS if form in members]
    if len(given) != 1:
        raise InputRefused("", f"{REQUIRED}. Received {len(given)} of them")
    if "signature_name" in members:
        raise InputRefused("", '"signature_name" parameter is currently not supported')
    table = _read_table(given[0], document, bounds)
    return ScoringCall(target, table, _read_method(members.get(PARAMS)))


def _read_table(form: str, document: Document, bounds: Bounds) -> Table:
    value, at = document.members[form], f"/{form}"
    if form == SPLIT:
        return _read_split(value, document, bounds)
    if form == INPUTS:
        return Instances(read_inputs(value, at, document, bounds))
    if form == RECORDS and (type(value) is not list or not set(map(type, value)) <= {dict}):
        raise InputRefused(at, "Dataframe records format must be a list of records.")
    return Instances(read_instances(value, at, document, bounds))


def _read_split(split: Any, document: Document, bounds: Bounds) -> Table:
    at = f"/{SPLIT}"
    if type(split) is not dict:
        raise InputRefused(at, "Dataframe split format must be a dictionary.")
    if "data" not in split or not split.keys() <= PARTS:
        problem = "must have 'data' field and optionally 'columns' and 'index' fields."
        raise InputRefused(at, f"Dataframe split format {problem}")
    given = _read_data(split["data"], Place(f"{at}/data"), document, bounds)
    index = split.get("index")
    if index is not None and (type(index) is not list or len(index) != len(given)):
        raise InputRefused(f"{at}/index", "not a list with a label for each row")
    if split.get("columns") is None:
        return Instances(given)
    names = _read_names(split["columns"], f"{at}/columns", len(split["data"][0]))
    return Frame(names, given)


def _read_data(data: Any, place: Place, document: Document, bounds: Bounds) -> Given:
    if type(data) is not list or not data:
        raise InputRefused(place.rows, "not a list with at least one row")
    for index, row in enumerate(data):
        if type(row) is not list:
            raise InputRefused(f"{place.rows}/{index}", f"not a row but {kind_of(row)}")
    return read_rows(data, place, document, bounds)


def _read_names(columns: Any, at: str, width: int) -> list[str]:
    """The names of a frame's columns; those of one that nobody named are numbers."""
    if type(columns) is not list or not {str, int} >= set(map(type, columns)):
        raise InputRefused(at, "not a list of names")
    names = [str(name) for name in columns]
    if len(names) != width:
        raise InputRefused(at, f"{len(names)} names, where the rows have {width} columns")
    if len(set(names)) != len(names):
        raise InputRefused(at, "a name is given more than once")
    return names


def _read_method(params: Any) -> str | None:
    if params is None:
        return None
    if type(params) is not dict:
        raise InputRefused(f"/{PARAMS}", "not a dictionary")
    if not params.keys() <= set(METHODS):
        raise InputRefused(f"/{PARAMS}", f"unknown parameter; known are {', '.join(METHODS)}")
    named = set(params.values()) if all(type(v) is str for v in params.values()) else {""}
    method = next(iter(named), None)
    if len(named) > 1 or (method is not None and not METHOD.fullmatch(method)):
        raise InputRefused(f"/{PARAMS}", "not the name of one method")
    return method
