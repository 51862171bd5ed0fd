"""manage.py train"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auth.scope import Scope
from certs.files import PRIVATE
from certs.files import replace as write_file
from config.prose import printable
from models.errors import SpecRefused, TrainingFailed, TrainingRefused
from models.jobs import State
from models.training.progress import Progress
from models.training.spec import MOST_SECONDS, Spec, parse_spec
from service.commands.operator import Operator
from service.commands.output import json_option, listing, progress, show, tenant_option
from service.operations import local_trainings as operations
from service.operations.local_trainings import Ended, Watching, how_to_go_on

if TYPE_CHECKING:
    from models.trainers.files import TrainedFiles

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT: Final = click.Path(dir_okay=False, path_type=Path)
PIECE_BYTES: Final = 1024 * 1024
EVALUATION: Final = ".json"
COLUMNS: Final = ("name", "kind", "missing", "unique", "reason")
LEADERS: Final = (
    "rank",
    "algorithm",
    "tuned",
    "score",
    "low",
    "high",
    "fit_s",
    "engine",
    "p50_ms",
    "chosen",
)


@click.command()
@click.argument("spec", type=FILE, required=False)
@tenant_option
@click.option(
    "--budget",
    type=click.FloatRange(0, MOST_SECONDS, min_open=True),
    help="Seconds for the search, in place of the spec's.",
)
@click.option("--data", type=FILE, help="The table, in place of the spec's.")
@click.option("--report", type=OUTPUT, help="The report; by default MODEL-report.html beside SPEC.")
@click.option(
    "--no-register",
    "register",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Only write the report; make no version.",
)
@click.option("--promote", is_flag=True, help="Make the new version the champion.")
@click.option("--resume", metavar="JOB", help="Go on with a training that was broken off.")
@json_option
@click.pass_obj
def train(
    operator: Operator,
    spec: Path | None,
    tenant: str,
    *,
    budget: float | None,
    data: Path | None,
    report: Path | None,
    register: bool,
    promote: bool,
    resume: str | None,
    as_json: bool,
) -> None:
    """Train as SPEC says, and register the winner. What is found out outlives this command."""
    if report is not None and report.suffix == EVALUATION:
        raise click.UsageError(f"--report: the evaluation is beside it, as {EVALUATION}")
    changes = Changes(budget=budget, data=data, promote=promote)
    if resume is None:
        resume = _begin(operator, tenant, spec, changes, register=register)
    elif changes != Changes() or not register:
        raise click.UsageError("--resume: it goes on as it was begun; give --report at most")
    scope = operator.scope(tenant)
    try:
        with watching(as_json=as_json) as watch:
            ended = operations.carry_out(operator.platform, scope, resume, watch)
    except KeyboardInterrupt:
        _tell_broken_off(scope, resume)
        raise
    beside = Path() if spec is None else spec.parent
    _tell(ended, report or beside / f"{ended.job.model}-report.html", as_json=as_json)


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What a command says in place of the spec."""

    budget: float | None = None
    data: Path | None = None
    promote: bool = False

    def made_to(self, spec: Spec) -> Spec:
        """The spec as the command wants it."""
        spec = replace(spec, promote=spec.promote or self.promote)
        return spec if self.budget is None else replace(spec, budget_seconds=self.budget)


def _begin(
    operator: Operator, tenant: str, path: Path | None, changes: Changes, *, register: bool
) -> str:
    if path is None:
        raise click.UsageError("Missing argument 'SPEC'; or give --resume JOB")
    spec = changes.made_to(parse_spec(path.read_text()))
    platform, scope = operator.platform, operator.scope(tenant)
    before = operations.unfinished(platform, scope, spec)
    if before is not None:
        _tell_broken_off(scope, before.id)
    name, pieces = table_of(spec, path.parent, changes.data)
    return operations.begin(platform, scope, spec, pieces, name, register=register).id


def _tell_broken_off(scope: Scope, job_id: str) -> None:
    told = f"{job_id} of this spec was broken off; {how_to_go_on(scope, job_id)}"
    click.echo(told, err=True)


def table_of(spec: Spec, folder: Path, given: Path | None) -> tuple[str, Iterable[bytes]]:
    """The name of the table, and its bytes."""
    if given is None and spec.data.sql:
        return "query", [_queried(spec)]
    if given is None and not spec.data.path:
        raise SpecRefused("data", "it names neither a path nor a query", "or give --data FILE")
    path = given or folder / spec.data.path
    return path.name, _pieces(path)


def _queried(spec: Spec) -> bytes:
    url = os.environ.get(spec.data.database)
    if not url:
        problem = f"the environment variable {spec.data.database} is not set"
        raise SpecRefused("data.database", problem, "let it hold the URL of the database")
    from models.training.queries import query  # what reads databases is not always needed

    return query(spec.data.sql, url)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


@contextmanager
def watching(*, as_json: bool) -> Iterator[Watching]:
    """Show how far a training is: a bar on a terminal, and a line for each step elsewhere."""
    with progress("Training") as bar:
        task = bar.add_task("training", total=None)
        last = ""

        def told(said: Progress, leading: str) -> None:
            nonlocal last
            best = f" (best: {leading})" if leading else ""
            note = f": {said.note}" if said.note else ""
            line = f"{said.phase} {said.done}/{said.total}{note}{best}"
            if not bar.disable:
                bar.update(task, completed=said.done, total=said.total, description=line)
            elif line != last:
                click.echo(line, err=True)
            last = line

        def studied(columns: list[dict[str, Any]]) -> None:
            if not as_json:
                listing(columns, COLUMNS, as_json=False)

        yield Watching(told, studied)


def _tell(ended: Ended, report: Path, *, as_json: bool) -> None:
    job, trained = ended.job, ended.trained
    if job.problem or (job.version is None and trained is None):
        for line in job.progress.get("report", ()):
            click.echo(line, err=True)
        failure = TrainingRefused if job.state is State.REFUSED else TrainingFailed
        raise failure(job.problem)
    made: dict[str, Any] = {
        "model": job.model,
        "version": job.version,
        "job": job.id,
        "outcome": job.log[-1].note,
    }
    if trained is not None:
        made |= _written(trained, report)
        if not as_json:
            for line in _warnings(trained.evaluation):
                click.echo(line)
            listing(_leaders(trained.evaluation), LEADERS, as_json=False)
            made.pop("leaderboard")
            made |= _in_words(trained.evaluation)
    show(made, as_json=as_json)
    sys.stdout.flush()


def _written(trained: TrainedFiles, report: Path) -> dict[str, Any]:
    """Put the report and the evaluation where they were wanted, for this user alone to read."""
    evaluation = report.with_suffix(EVALUATION)
    write_file(report, trained.report, mode=PRIVATE)
    write_file(evaluation, trained.evaluation_bytes, mode=PRIVATE)
    said = trained.evaluation
    return {
        "champion": said["champion"],
        "holdout": said["holdout"],
        "leaderboard": said["leaderboard"],
        "report": str(report),
        "evaluation": str(evaluation),
    }


def _warnings(evaluation: Any) -> Iterator[str]:
    """What somebody ought to decide about the data, in one line each."""
    for each in (evaluation.get("data") or {}).get("findings", ()):
        if each.get("severity") == "warning":
            remedy = f"; {each['remedy']}" if each.get("remedy") else ""
            yield printable(f"warning: {each.get('where')}: {each.get('what')}{remedy}")


def _in_words(evaluation: Any) -> dict[str, str]:
    """The winner, and the verdict of the rows held out, in one line each."""
    metric, holdout = evaluation["metric"], evaluation["holdout"]
    found = (holdout.get("metrics") or {}).get(metric)
    value, low, high = (_rounded(found, name) for name in ("value", "low", "high"))
    return {
        "champion": str(evaluation["champion"].get("why", "")),
        "holdout": f"{metric} {value} ({low} to {high}) on {holdout.get('rows')} rows held out",
    }


def _leaders(evaluation: Any) -> list[dict[str, Any]]:
    """The leaderboard as people read it: the metric that was compared by, and what it costs."""
    metric = evaluation["metric"]
    return [
        {
            "rank": entry.get("rank"),
            "algorithm": entry.get("algorithm"),
            "tuned": "yes" if entry.get("tuned") else "",
            "score": _rounded((entry.get("metrics") or {}).get(metric), "mean"),
            "low": _rounded((entry.get("metrics") or {}).get(metric), "low"),
            "high": _rounded((entry.get("metrics") or {}).get(metric), "high"),
            "fit_s": _rounded(entry, "fit_seconds"),
            "engine": (entry.get("serving") or {}).get("engine"),
            "p50_ms": _rounded(entry.get("serving"), "p50_ms"),
            "chosen": "yes" if entry.get("chosen") else entry.get("failed") or "",
        }
        for entry in evaluation["leaderboard"]
    ]


def _rounded(entry: Any, name: str) -> str:
    value = (entry or {}).get(name)
    return f"{value:.4g}" if isinstance(value, int | float) else ""
