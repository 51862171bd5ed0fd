"""Serves the tiny application under the real supervisor: `python -m tests.journeys.serve_tiny`."""

from __future__ import annotations

import json
import os
import sys

import click

from config.logging import configure_logging
from config.settings import load_settings
from service.programs import programs_of
from service.supervisor import ServingError, Supervisor

APPLICATION = "tests.journeys.tiny_application:create_application"


def main() -> None:
    """Serve the instance that the environment names; say the ports when ready."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    application = os.environ.get("TINY_APPLICATION", APPLICATION)
    wanted = os.environ.get("TINY_PROGRAMS", "web,mutual-tls").split(",")
    programs = programs_of(settings, application=application)
    supervisor = Supervisor(settings, [p for p in programs if p.name in wanted])
    try:
        supervisor.run(on_ready=lambda: click.echo(json.dumps(supervisor.ports)))
    except ServingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
