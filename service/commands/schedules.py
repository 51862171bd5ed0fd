"""manage.py schedules"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from auth.scope import Scope
from models.errors import TrainingFailed
from models.schedules import DRIFTS
from models.training.spec import Spec, parse_spec
from service.bootstrap import Platform
from service.commands.operator import Operator
from service.commands.output import json_option, listing, show, tenant_option
from service.commands.training import table_of
from service.operations import local_trainings
from service.operations import schedules as operations
from service.operations.local_trainings import Watching

COLUMNS: Final = (
    *("model", "every_seconds", "when_drift", "next_at", "last_at", "last_outcome"),
    *("last_version", "failures"),
)
RAN: Final = ("tenant", "model", "outcome", "version", "note")
INTERVAL: Final = re.compile(r"([1-9][0-9]{0,6})([mhd])")
MOST_ATTEMPTS: Final = 2
UNITS: Final = {"m": 60.0, "h": 3600.0, "d": 86_400.0}


class Interval(click.ParamType[float]):
    """How often: a number with m, h or d."""

    name = "interval"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds."""
        found = INTERVAL.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no interval; say 30m, 12h or 7d", param, ctx)
        return int(found[1]) * UNITS[found[2]]


@click.group()
def schedules() -> None:
    """Trainings that are run again and again."""


@schedules.command("list")
@tenant_option
@json_option
@click.pass_obj
def list_(operator: Operator, tenant: str, *, as_json: bool) -> None:
    """List the scheduled trainings of a tenant, and how the last of each ended."""
    found = operations.list_schedules(operator.platform, operator.scope(tenant))
    listing(found, COLUMNS, as_json=as_json)


@schedules.command("remove")
@click.argument("model")
@tenant_option
@json_option
@click.pass_obj
def remove(operator: Operator, model: str, tenant: str, *, as_json: bool) -> None:
    """Train MODEL no more by itself."""
    removed = operations.remove_schedule(operator.platform, operator.scope(tenant), model)
    show(removed, as_json=as_json)


@schedules.command("run")
@json_option
@click.pass_obj
def run(operator: Operator, *, as_json: bool) -> None:
    """Run what is due of every tenant, one after the other; exit with 1 if one failed."""
    with _stopped_as_by_hand():
        ran = list(operations.run_due(operator.platform, train))
    listing(ran, RAN, as_json=as_json)
    if any(each.outcome == "failed" for each in ran):
        sys.exit(1)


@schedules.command("set")
@click.argument("model")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tenant_option
@click.option("--every", type=Interval(), required=True, help="How often, as 12h or 7d.")
@click.option("--when-drift", type=click.Choice(DRIFTS), help="Only if the log has drifted so far.")
@json_option
@click.pass_obj
def set_(
    operator: Operator,
    model: str,
    spec: Path,
    tenant: str,
    *,
    every: float,
    when_drift: str | None,
    as_json: bool,
) -> None:
    """Train MODEL as SPEC says, again and again, with its table as it is then."""
    read = parse_spec(spec.read_text())
    if read.model != model:
        raise click.UsageError(f"{spec} is of the model {read.model!r}, not of {model!r}.")
    view = operations.set_schedule(
        operator.platform,
        operator.scope(tenant),
        read,
        spec.absolute().parent,
        every_seconds=every,
        when_drift=when_drift or "",
    )
    show(view, as_json=as_json)


@contextmanager
def _stopped_as_by_hand() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, so that what is under way is left for the next to go on with."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def train(platform: Platform, scope: Scope, spec: Spec, folder: Path) -> operations.Trained:
    """Train as `manage.py train` does, or go on with what was broken off.

    What has ended its process already would do so again and again: the table may be another by now.
    """
    before = local_trainings.unfinished(platform, scope, spec)
    if before is None or before.attempts >= MOST_ATTEMPTS or not before.training.register:
        name, pieces = table_of(spec, folder, None)
        before = local_trainings.begin(platform, scope, spec, pieces, name, register=True)
    watching = Watching(lambda _progress, _leading: None, lambda _result: None)
    job = local_trainings.carry_out(platform, scope, before.id, watching).job
    if job.problem or job.version is None:
        raise TrainingFailed(job.problem or "no version was registered")
    return operations.Trained(job.version, job.log[-1].note)
