"""manage.py predict"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from config.errors import CounterStoreDown
from models.names import read_reference
from models.signature import METHODS
from service.bulk import BulkAnswer, BulkCall
from service.bulk_files import predict_file
from service.columnar.forms import COLUMNAR, FORMS, Form, form_of_file
from service.commands.operator import Operator
from service.commands.output import json_option, progress, show, tenant_option
from service.operations.maintenance import flush_recent_usage

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@click.option("--model", "-m", required=True, help="The model's name.")
@tenant_option
@click.option("--version", help="The version by number or alias; by default the model's own.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(METHODS),
    help="What answers, also several; by default the model's first.",
)
@click.option("--output", "-o", type=OUTPUT, help="The answers; by default beside FILE.")
@json_option
@click.pass_obj
def predict(
    operator: Operator,
    file: Path,
    model: str,
    tenant: str,
    *,
    version: str | None,
    methods: tuple[str, ...],
    output: Path | None,
    as_json: bool,
) -> None:
    """Predict every row of FILE: CSV, Arrow, Parquet or npy by its name's ending."""
    output = output or file.with_suffix(f".answers{file.suffix}")
    call = BulkCall(
        model=model,
        version=_reference(version),
        methods=methods,
        form=_form(file, COLUMNAR),
        answer=_form(output, FORMS),
    )
    answer = _run(operator, tenant, call, file, output)
    made = {
        "model": answer.version.model,
        "version": answer.version.number,
        "methods": answer.methods,
        "rows": answer.rows,
        "answers": str(output),
    }
    show(made, as_json=as_json)


def _run(operator: Operator, tenant: str, call: BulkCall, file: Path, output: Path) -> BulkAnswer:
    platform, scope = operator.platform, operator.scope(tenant)
    with progress("Predicting") as bar:
        task = bar.add_task("predicting", total=file.stat().st_size)

        def tell(rows: int, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{rows:,} rows")

        try:
            return predict_file(platform, scope, call, file, output, told=tell)
        finally:
            with suppress(CounterStoreDown):  # whoever looks at all totals writes it later
                flush_recent_usage(platform)


def _form(path: Path, known: tuple[Form, ...]) -> Form:
    found = form_of_file(path)
    if found not in known:
        endings = ", ".join(suffix for form in known for suffix in form.suffixes)
        raise click.UsageError(f"{path}: the name of the file ends in one of {endings}.")
    assert found is not None, "it is one of the known"
    return found


def _reference(text: str | None) -> int | str | None:
    if text is None:
        return None
    found = read_reference(text)
    if found is None:
        raise click.UsageError(f"{text!r} is neither a version's number nor an alias.")
    return found
