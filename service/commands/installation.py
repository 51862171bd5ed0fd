"""manage.py init and doctor"""

from __future__ import annotations

import sys

import click

from service.commands.operator import Operator
from service.commands.output import json_option, listing
from service.operations import instance_state

COLUMNS = ("check", "state", "found", "remedy")


@click.command()
@click.option("--demo", is_flag=True, help="Add the tenants acme and globex; see demo.json.")
@click.option("--if-absent", is_flag=True, help="Do nothing if it exists already.")
@click.pass_obj
def init(operator: Operator, *, demo: bool, if_absent: bool) -> None:
    """Make an installation: master key, database, signing keys, certificates."""
    if if_absent and instance_state.is_complete(operator.instance, demo=demo):
        return  # before anything that takes long to import: `make serve` comes here each time
    from service.operations import installation as operations

    for made in operations.initialise(operator.instance, demo=demo, if_absent=if_absent):
        click.echo(made)


@click.command()
@click.option("--deep", is_flag=True, help="Also verify the audit trail and open every artefact.")
@json_option
@click.pass_obj
def doctor(operator: Operator, *, deep: bool, as_json: bool) -> None:
    """Check the installation; say what is wrong and what to do. Exit code 1 if anything failed."""
    from service.operations import diagnosis
    from service.operations.verdicts import FAILED
    from service.pidfile import serving_pid

    findings = diagnosis.diagnose(operator.instance, server=serving_pid, deep=deep)
    listing(findings, COLUMNS, as_json=as_json)
    if any(finding.state == FAILED for finding in findings):
        sys.exit(1)
