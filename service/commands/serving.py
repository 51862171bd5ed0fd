"""manage.py serve"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from certs.files import PRIVATE, replace
from config.logging import configure_logging
from config.settings import Settings, load_settings
from service.commands.operator import Operator
from service.programs import programs_of
from service.supervisor import Supervisor

HTTPS: Final = 443
PREDICTION: Final = '{"features": [5, 10]}'


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 512), help="Web worker processes.")
@click.pass_obj
def serve(operator: Operator, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve HTTPS until stopped: SIGTERM drains, SIGHUP reloads code and certificates."""
    configure_logging(operator.settings.log_level, operator.settings.log_format)
    settings = load_settings(operator.instance, host=host, port=port, workers=workers)
    supervisor = Supervisor(settings, programs_of(settings))
    supervisor.run(on_ready=lambda: announce(settings, supervisor.ports))


def announce(settings: Settings, ports: Mapping[str, int]) -> None:
    """Say where the platform is, and for a demo installation how to try it."""
    url = _address(settings, ports["web"])
    authority = _short(settings.instance / "certs" / "ca.pem")
    click.echo(f"Sallyport serves {url}   API: {url}/docs")
    if "grpc" in ports:
        click.echo(f"gRPC             {urlsplit(url).hostname}:{ports['grpc']}")
    click.echo(f"CA file          {authority}")
    demo = settings.instance / "demo.json"
    if demo.is_file():
        _show_demo(_demo_at(demo, url), settings, url, authority)
    sys.stdout.flush()


def _demo_at(path: Path, url: str) -> dict[str, Any]:
    """The demo's file, its address kept true where the server listens elsewhere."""
    demo: dict[str, Any] = json.loads(path.read_text())
    if demo["url"] != url:
        demo["url"] = url
        replace(path, json.dumps(demo, indent=2).encode() + b"\n", mode=PRIVATE)
    return demo


def _address(settings: Settings, port: int) -> str:
    """The public address, unless this server listens on another port of this machine."""
    public = urlsplit(settings.url)
    if public.hostname == "localhost" and (public.port or HTTPS) != port:
        return f"https://localhost:{port}"
    return settings.url


def _show_demo(demo: dict[str, Any], settings: Settings, url: str, authority: str) -> None:
    click.echo(f"Demo accounts    (kept in {_short(settings.instance / 'demo.json')})")
    for tenant in demo["tenants"]:
        for user in tenant["users"]:
            click.echo(
                f"  tenant {tenant['tenant']:<8} user {user['username']:<5}"
                f" {user['role']:<10} password {user['password']}"
            )
    first = demo["tenants"][0]
    user = first["users"][0]
    body = {k: user[k] for k in ("username", "password")} | {"tenant": first["tenant"]}
    log_in, predict = _commands(url, authority, json.dumps(body))
    manage = shlex.join([_short(Path(sys.executable)), "manage.py", *_instance_option(settings)])
    click.echo("\nLog in, predict, rotate the signing keys (paste into another terminal here):\n")
    click.echo(f"{log_in}\n\n{predict}\n\n{manage} keys rotate\n")


def _commands(url: str, authority: str, body: str) -> tuple[str, str]:
    """Log in and predict with curl, or where there is none with the example's client."""
    python = shlex.quote(_short(Path(sys.executable)))
    ca = shlex.quote(authority)
    if shutil.which("curl") is None:
        client = f"{python} examples/client.py --url {url} --ca {ca}"
        return (
            f"TOKEN=$({client} login {shlex.quote(body)})",
            f'{client} --token "$TOKEN" predict {shlex.quote(PREDICTION)}',
        )
    curl = f"curl -sS --cacert {ca} -H 'Content-Type: application/json'"
    extract = f"""{python} -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'"""
    return (
        f"TOKEN=$({curl} {url}/auth/login -d {shlex.quote(body)} | {extract})",
        f'{curl} -H "Authorization: Bearer $TOKEN" {url}/predict -d {shlex.quote(PREDICTION)}',
    )


def _instance_option(settings: Settings) -> list[str]:
    if settings.instance == Path.cwd() / "instance":
        return []
    return ["--instance", _short(settings.instance)]


def _short(path: Path) -> str:
    """The path relative to the current folder, where it is below it."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)
