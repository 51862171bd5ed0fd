"""From an opened model to a version: inspected, compiled, compared, and asked what it should know.

This runs where the model was opened: in the sandbox. Whoever receives what comes out checks it
again, for the model may have had its way with the process.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import IntEnum
from textwrap import shorten
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.arrays import pack_arrays, unpack_arrays
from models.compilation import Engine, Predictor, Unsuitable
from models.engines import ENGINES, NATIVE
from models.errors import ArraysMalformed, FormatRefused, GivenRowsRefused
from models.estimators import NativePredictor, serve_natively
from models.formats import FORMATS
from models.given_rows import read_expected_answers, read_given_rows
from models.handlers import Kept, Opened, open_predictor
from models.handlers.skops_file import write_skops
from models.inspection import Inspected, inspect
from models.landmarks import landmarks_of
from models.library_versions import running_version
from models.manifest import ENGINE, MODEL, Contents, StoredFile
from models.parity import TOLERANCE, Parity, Reference, compare_with, joined
from models.probes import Source
from models.questions import ask_everything, labels_of
from models.signature import Signature
from models.stages import Prepared, Progress, Stage
from models.tables import Features, row_count

MOST_REASON: Final = 2_000
MOST_ENGINE_REASON: Final = 300
ANSWER_TOLERANCE: Final = 1e-6  # of answers that were written down, perhaps rounded, elsewhere


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a model comes from: the digest and format of the file, and how it is asked about."""

    format: str
    digest: str

    @property
    def seed(self) -> int:
        """What decides which rows are drawn: the same for the same file."""
        return int(self.digest[:8], 16)


@dataclass(frozen=True, slots=True)
class Trial:
    """A model's own answers, and how closely another's have to agree with them."""

    signature: Signature
    reference: Reference
    seed: int
    tolerance: float = TOLERANCE

    def compare(self, other: Predictor, methods: tuple[str, ...]) -> Parity:
        """Compare another's answers by some methods with the model's own."""
        labels = labels_of(self.signature)
        return compare_with(
            self.reference,
            other,
            methods,
            labels=labels,
            seed=self.seed,
            tolerance=self.tolerance,
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """What an engine made of an estimator, and how closely it agrees with it."""

    engine: str
    arrays: bytes
    parity: Parity

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in which they agree."""
        return tuple(m for m, report in self.parity.methods.items() if report.agrees)


class Closeness(IntEnum):
    """How far an engine has come with an estimator that it does not serve, or not in all."""

    FOREIGN = 0
    CONSIDERED = 1
    COMPARED = 2


@dataclass(frozen=True, slots=True)
class _Refusal:
    closeness: Closeness
    reason: str


def prepare(
    opened: Opened,
    origin: Origin,
    *,
    rows: bytes | None = None,
    answers: bytes | None = None,
    tell: Progress,
) -> Prepared:
    """Make a version of an opened model; raises IntakeRefused.

    `rows` and `answers` are files that were given with it: the model has to take the rows, and to
    give the answers.
    """
    own, given = with_rows(serve_natively(opened.estimator), rows)
    inspected = inspect(own, given)
    signature = inspected.signature
    tell(Stage.INSPECTED, _described(own, inspected))
    if given is not None:
        tell(Stage.INSPECTED, _self_test(own, signature, given, answers))
    source = Source(own.columns, landmarks_of(own.estimator), given=given, seed=origin.seed)
    reference = ask_everything(own, signature, source, seed=origin.seed)
    trial = Trial(signature, reference, origin.seed, _tolerance(opened))
    compiled, reason = compile_estimator(own.estimator, trial, tell)
    kept = opened.kept or Kept("skops", write_skops(own.estimator))
    again = prove(kept, trial)
    tell(Stage.COMPARED, f"stored as {kept.format}: {summary(again)}")
    forms = {MODEL: kept.format, ENGINE: "arrays"}
    blobs = {MODEL: kept.data} | ({ENGINE: compiled.arrays} if compiled else {})
    contents = Contents(
        files={role: _stored(forms[role], blob) for role, blob in blobs.items()},
        flavour=FORMATS[origin.format].flavour,
        source_format=origin.format,
        source_digest=origin.digest,
        estimator=type(own.estimator).__name__,
        signature=signature,
        engine=compiled.engine if compiled else NATIVE,
        engine_methods=compiled.methods if compiled else (),
        engine_reason=reason,
        parity=_joined(compiled, again),
        libraries=_libraries(origin, opened),
    )
    tell(Stage.READY, _served_by(contents))
    return Prepared(contents, blobs)


def with_rows(own: NativePredictor, rows: bytes | None) -> tuple[NativePredictor, Features | None]:
    """The rows given with a model; they also tell which of its columns hold texts."""
    if rows is None:
        return own, None
    table = read_given_rows(rows)
    own = replace(own, columns=own.columns.with_texts(table.texts(own.columns)))
    return own, table.features(own.columns)


def prove(kept: Kept, trial: Trial) -> Parity:
    """Prove that what a host will open answers as the model did; raises FormatRefused."""
    parity = trial.compare(open_predictor(kept.format, kept.data), tuple(trial.signature.methods))
    if not parity.agrees:
        raise FormatRefused(
            f"stored as {kept.format} the model answers otherwise: {summary(parity)}"
        )
    return parity


def summary(parity: Parity) -> str:
    """A report in one line."""
    refused = f", {parity.refused} refused by both" if parity.refused else ""
    return (
        f"{parity.labels_differing} labels differ, relative error {parity.relative_error:.1e} "
        f"on {parity.rows} rows{refused}"
    )


def compile_estimator(estimator: Any, trial: Trial, tell: Progress) -> tuple[Compiled | None, str]:
    """The first engine that agrees in every method, else the one that agrees in most."""
    refusals: list[_Refusal] = []
    best: Compiled | None = None
    for engine in ENGINES.values():
        loaded = _loaded(engine, estimator)
        if isinstance(loaded, _Refusal):
            refusals.append(loaded)
            continue
        arrays, predictor = loaded
        tell(Stage.COMPILED, f"{engine.name}: {len(arrays)} bytes")
        methods = tuple(m for m in trial.signature.methods if m in predictor.methods)
        parity = trial.compare(predictor, methods)
        found = Compiled(engine.name, arrays, parity)
        tell(Stage.COMPARED, f"{engine.name}: {summary(parity)}")
        if len(found.methods) == len(trial.signature.methods):
            return found, ""
        refusals.append(_Refusal(Closeness.COMPARED, f"{engine.name}: {_shortcoming(found)}"))
        if len(found.methods) > (len(best.methods) if best else 0):
            best = found
    reason = _why(refusals, type(estimator).__name__)
    if best is None:
        tell(Stage.COMPILED, f"{NATIVE}, because {reason}")
    return best, reason


def _why(refusals: list[_Refusal], kind: str) -> str:
    """What the engines say that came closest: what those for other estimators say is no news."""
    closest = max((refusal.closeness for refusal in refusals), default=Closeness.FOREIGN)
    if closest is Closeness.FOREIGN:
        return f"no engine is for a {kind}"
    reasons = "; ".join(refusal.reason for refusal in refusals if refusal.closeness is closest)
    if closest is Closeness.CONSIDERED:
        reasons = f"no engine serves a {kind}: {reasons}"
    return shorten(reasons, MOST_ENGINE_REASON, placeholder=" ...")


def _loaded(engine: Engine, estimator: Any) -> tuple[bytes, Predictor] | _Refusal:
    """The stored form of a compiled estimator, opened as a worker will open it, or why not."""
    closeness = Closeness.CONSIDERED
    try:
        arrays = engine.compile(estimator)
        if not isinstance(arrays, Unsuitable):
            data = pack_arrays(arrays)
            return data, engine.load(unpack_arrays(data))
        reason = arrays.reason
        if arrays.foreign:
            closeness = Closeness.FOREIGN
    except ArraysMalformed as error:
        reason = error.problem
    except Exception as error:  # noqa: BLE001  an engine that fails is one that does not serve
        reason = f"it fails: {type(error).__name__}: {error}"
    return _Refusal(closeness, f"{engine.name}: {reason}")


def _shortcoming(compiled: Compiled) -> str:
    """What keeps an engine that was compared from serving every method."""
    parity = compiled.parity
    if len(compiled.methods) == len(parity.methods):
        return f"it answers {', '.join(compiled.methods)} alone"
    parts = [
        f"{name}: {report.labels_differing} differ, relative error {report.relative_error:.1e}"
        for name, report in parity.methods.items()
        if not report.agrees
    ]
    return f"{'; '.join(parts)} on {parity.rows} rows"


def _joined(compiled: Compiled | None, again: Parity) -> Parity:
    """Of the methods that an engine answers its report, of the others that of the stored file."""
    if compiled is None:
        return again
    own = {m: compiled.parity.methods.get(m) for m in compiled.methods}
    methods = dict(again.methods) | {m: report for m, report in own.items() if report}
    return joined(methods, again.rows, again.refused, again.seed, again.tolerance)


def _self_test(
    own: NativePredictor, signature: Signature, given: Features, answers: bytes | None
) -> str:
    method = signature.default_method
    rows = row_count(given)
    try:
        answered = own.answer(method, given)
    except Exception as error:
        raise GivenRowsRefused(f"the model fails on them: {error}"[:500]) from error
    if answers is None:
        return f"{rows} given rows are answered"
    expected = read_expected_answers(answers, rows=rows)
    if expected.shape != answered.shape:
        raise GivenRowsRefused(
            f"the expected answers are of the shape {expected.shape}, "
            f"what {method} gives is {answered.shape}"
        )
    wrong = _wrong(answered, expected)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise GivenRowsRefused(
            f"{int(wrong.sum())} of {rows} are answered otherwise than expected, the first is row "
            f"{at + 1}: {_plain(answered[at])} where {_plain(expected[at])} was expected"[:500],
            "give the file that gave these answers",
        )
    return f"{rows} given rows are answered as expected"


def _plain(answer: Any) -> str:
    """One answer as people write it, without the names of numpy's kinds of numbers."""
    return repr(np.asarray(answer).tolist())


def _wrong(answered: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.bool_]:
    """Of each row, whether it is answered otherwise than expected."""
    if answered.dtype.kind == "f" and expected.dtype.kind in "biuf":
        size = np.maximum(np.abs(answered), np.abs(expected))
        wrong = ~(np.abs(answered - expected) <= ANSWER_TOLERANCE * size)
        wrong &= ~(np.isnan(answered) & np.isnan(expected.astype(np.float64)))
    elif answered.dtype.kind in "biuf" and expected.dtype.kind in "biuf":
        wrong = answered != expected
    else:
        wrong = answered.astype(str) != expected.astype(str)
    by_row: NDArray[np.bool_] = wrong.reshape(len(wrong), -1).any(axis=1)
    return by_row


def _described(own: NativePredictor, inspected: Inspected) -> str:
    signature = inspected.signature
    texts = own.columns.kinds.count("text")
    parts = [
        f"{type(own.estimator).__name__}: {signature.task}, {signature.columns} columns",
        f"{texts} of text" if texts else "",
        "missing values are taken" if signature.missing else "",
        f"answers {', '.join(signature.methods)}",
        *(f"not {method}: {reason}" for method, reason in inspected.refused.items()),
    ]
    return ", ".join(part for part in parts if part)[:MOST_REASON]


def _served_by(contents: Contents) -> str:
    others = [m for m in contents.signature.methods if m not in contents.engine_methods]
    if contents.engine == NATIVE or not others:
        return f"served by the {contents.engine} engine"
    return f"served by the {contents.engine} engine, {', '.join(others)} by its own library"


def _stored(form: str, blob: bytes) -> StoredFile:
    return StoredFile(hashlib.sha256(blob).hexdigest(), len(blob), form)


def _libraries(origin: Origin, opened: Opened) -> dict[str, str]:
    library = FORMATS[origin.format].library
    libraries = {library: running_version(library), "numpy": np.__version__}
    if opened.other_versions:
        libraries["saved by"] = f"{library} {', '.join(opened.other_versions)}"
    return libraries


def _tolerance(opened: Opened) -> float:
    stated = opened.kept.tolerance if opened.kept else None
    return TOLERANCE if stated is None else stated
