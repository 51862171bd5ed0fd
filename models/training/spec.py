"""What is to be trained, from which table, and how it is to be judged: the text of a user.

A spec is TOML in a file and JSON over HTTP; both are the same members. What is not said is
decided by the defaults here, or from the data, and shown before it is used.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, get_args

from models.errors import NameRefused, SpecRefused
from models.names import check_model_name
from models.training.members import Members

Task = Literal["classification", "regression"]
ColumnKind = Literal["numeric", "categorical", "ordinal", "text", "date", "id", "drop"]
Splitting = Literal["auto", "plain", "stratified", "grouped", "time"]
Search = Literal["none", "random", "halving", "bayesian"]
Backend = Literal["loky", "threading", "sequential", "ray", "dask"]

MOST_FOLDS: Final = 20
MOST_REPEATS: Final = 20
MOST_TRIALS: Final = 2_000
MOST_SECONDS: Final = 7 * 86_400.0
MOST_ROWS: Final = 10_000_000
MOST_WORKERS: Final = 512
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """Where the table is: a file beside the spec, or the result of a query. For the CLI only.

    `database` names the environment variable that holds the URL, which may hold a password.
    """

    path: str = ""
    sql: str = ""
    database: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What a column is, where it should not be inferred.

    `order` are the values of an ordinal, low first.
    """

    kind: ColumnKind
    order: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """How candidates are judged: folds, repeats, and rows that none of them sees."""

    kind: Splitting = "auto"
    folds: int = 5
    repeats: int = 1
    group: str = ""
    time: str = ""
    holdout: float = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Compare:
    """Which algorithms, and by which metric; empty is all, and the task's usual one.

    `most_serving_ms`: a candidate whose single row takes longer is not chosen, only shown.
    """

    algorithms: tuple[str, ...] = ()
    metric: str = ""
    confidence: float = 0.95
    most_serving_ms: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Tune:
    """How the best of the compared are made better; `seconds` 0 is what the budget leaves.

    `patience`: trials without a better one after which a search stops; 0 never does.
    """

    method: Search = "random"
    best: int = 1
    trials: int = 20
    seconds: float = 0.0
    patience: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Decide:
    """How probabilities become decisions: calibrated first, weighed by costs, refused in doubt.

    `costs` are those of deciding for the label in the first place where the second is true.
    `reject_cost` is that of handing a row to a person: 0 never does.
    """

    calibrate: bool = False
    positive: str = ""
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reject_cost: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Parallel:
    """Where fits run: joblib's backend, how many at once, and the address of a cluster.

    0 workers are as many as there are processors.
    """

    backend: Backend = "loky"
    workers: int = 0
    address: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One training."""

    model: str
    target: str
    task: Task | None = None
    seed: int = 0
    budget_seconds: float = 0.0
    description: str = ""
    balance: bool = False
    promote: bool = False
    data: Data = Data()
    columns: Mapping[str, Column] = field(default_factory=dict)
    validation: Validation = Validation()
    compare: Compare = Compare()
    tune: Tune = Tune()
    decide: Decide = Decide()
    parallel: Parallel = Parallel()

    def as_json(self) -> dict[str, Any]:
        """The spec as plain JSON types, every member written out; `read_spec` reads it again."""
        said = asdict(self)
        return {name: value for name, value in said.items() if value is not None}


def parse_spec(text: str) -> Spec:
    """Read the TOML of a spec; raises SpecRefused."""
    try:
        said = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # too many digits, or brackets, besides
        raise SpecRefused("text", f"it is no TOML: {error}") from error
    return read_spec(said)


def read_spec(said: Mapping[str, Any]) -> Spec:
    """Read the members of a spec; raises SpecRefused for one that is unknown or unfit."""
    members = Members(said)
    spec = Spec(
        model=members.text("model"),
        target=members.text("target"),
        task=members.choice("task", get_args(Task), None),
        seed=members.whole("seed", 0, most=2**32 - 1),
        budget_seconds=members.number("budget_seconds", 0.0, most=MOST_SECONDS),
        description=members.text("description", "", most=10_000),
        balance=members.flag("balance"),
        promote=members.flag("promote"),
        data=_data(members.inner("data")),
        columns={name: _column(each) for name, each in members.inner("columns").all_inner("kind")},
        validation=_validation(members.inner("validation")),
        compare=_compare(members.inner("compare")),
        tune=_tune(members.inner("tune")),
        decide=_decide(members.inner("decide")),
        parallel=_parallel(members.inner("parallel")),
    )
    members.end()
    _check_name(spec.model)
    return spec


def _check_name(model: str) -> None:
    try:
        check_model_name(model)
    except NameRefused as error:
        raise SpecRefused("model", str(error)) from error


def _data(members: Members) -> Data:
    data = Data(
        path=members.text("path", ""),
        sql=members.text("sql", "", most=100_000),
        database=members.text("database", ""),
    )
    members.end()
    if data.path and data.sql:
        raise SpecRefused("data", "it names a path and a query", "leave one of them out")
    if bool(data.sql) != bool(data.database):
        raise SpecRefused("data", "a query needs a database, and a database a query")
    if data.database and not VARIABLE.fullmatch(data.database):
        # It is not repeated: it may be a URL with a password, which would be kept with the spec.
        problem = "it is not the name of an environment variable"
        raise SpecRefused("data.database", problem, "let a variable hold the URL, and name that")
    return data


def _column(members: Members) -> Column:
    column = Column(kind=members.choice("kind", get_args(ColumnKind)), order=members.texts("order"))
    members.end()
    if bool(column.order) != (column.kind == "ordinal"):
        problem = "the order of its values belongs to an ordinal column, and to no other"
        raise SpecRefused(members.path, problem)
    return column


def _validation(members: Members) -> Validation:
    read = Validation(
        kind=members.choice("kind", get_args(Splitting), "auto"),
        folds=members.whole("folds", 5, least=2, most=MOST_FOLDS),
        repeats=members.whole("repeats", 1, least=1, most=MOST_REPEATS),
        group=members.text("group", ""),
        time=members.text("time", ""),
        holdout=members.number("holdout", 0.2, least=0.01, most=0.9),
    )
    members.end()
    for kind, column in (("grouped", read.group), ("time", read.time)):
        if read.kind == kind and not column:
            raise SpecRefused(members.path, f"{kind} folds need the name of a column")
    return read


def _compare(members: Members) -> Compare:
    compare = Compare(
        algorithms=members.texts("algorithms"),
        metric=members.text("metric", ""),
        confidence=members.number("confidence", 0.95, least=0.5, most=0.999),
        most_serving_ms=members.number("most_serving_ms", 0.0, most=1e6),
    )
    members.end()
    return compare


def _tune(members: Members) -> Tune:
    tune = Tune(
        method=members.choice("method", get_args(Search), "random"),
        best=members.whole("best", 1, least=1, most=10),
        trials=members.whole("trials", 20, least=1, most=MOST_TRIALS),
        seconds=members.number("seconds", 0.0, most=MOST_SECONDS),
        patience=members.whole("patience", 0, most=MOST_TRIALS),
    )
    members.end()
    return tune


def _decide(members: Members) -> Decide:
    costs = {name: each.all_numbers() for name, each in members.inner("costs").all_inner()}
    decide = Decide(
        calibrate=members.flag("calibrate"),
        positive=members.text("positive", ""),
        costs=costs,
        reject_cost=members.number("reject_cost", 0.0, most=1e12),
    )
    members.end()
    if decide.reject_cost and not costs:
        raise SpecRefused(
            members.path, "a cost of rejecting is weighed against others", "add costs"
        )
    return decide


def _parallel(members: Members) -> Parallel:
    parallel = Parallel(
        backend=members.choice("backend", get_args(Backend), "loky"),
        workers=members.whole("workers", 0, most=MOST_WORKERS),
        address=members.text("address", ""),
    )
    members.end()
    return parallel
