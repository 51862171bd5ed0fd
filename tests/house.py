"""A whole installation per test, copied from one that is made once, and the people in it.

Acme has Ada (admin), Ben (developer) and Rob (may only call); Globex has Gail; Mallory has no
account; Olga operates the platform.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import argon2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from auth.scope import Scope
from config.settings import Settings, load_settings
from models.stages import Prepared
from models.versions import Version
from service.app import create_app
from service.bootstrap import Platform, assemble
from service.operations import accounts, tenants
from service.operations.registration import register
from tests.both_ways import BothWays

UNHURRIED: Final = {
    "address_requests_per_minute": 1_000_000,
    "login_attempts_per_minute": 1_000,
    "login_account_attempts_per_hour": 100_000,
    "login_address_attempts_per_minute": 1_000_000,
}
# What was found to match: hashes, and what they are of.
MATCHES: Final[set[tuple[str, bytes]]] = set()


@dataclass
class Actor:
    """Somebody with an account, who talks to the platform over HTTP."""

    client: FlaskClient
    tenant: str
    username: str
    password: str = field(repr=False)
    tokens: dict[str, Any] = field(default_factory=dict, repr=False)

    def login(self, **members: str) -> TestResponse:
        """Log in and keep the tokens of a success."""
        body = {"tenant": self.tenant, "username": self.username, "password": self.password}
        response = self.client.post("/auth/login", json=body | members)
        if response.status_code == 200:
            self.tokens = response.get_json()
        return response

    @property
    def token(self) -> str:
        """The access token, of a login made now if there was none."""
        if not self.tokens:
            response = self.login()
            assert response.status_code == 200, response.text
        return str(self.tokens["access_token"])

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        """Send a request with the access token."""
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        """GET with the access token."""
        return self.call("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        """POST with the access token."""
        return self.call("POST", path, **options)

    def predict(self, features: Any, **members: Any) -> TestResponse:
        """Predict."""
        return self.post("/predict", json={"features": features} | members)

    def through(self, client: FlaskClient) -> Actor:
        """The same person with the same tokens, whom another worker answers."""
        assert self.token
        return replace(self, client=client)


@dataclass
class House:
    """An installation that runs in this process."""

    folder: Path
    platform: Platform
    app: Flask
    actors: dict[str, Actor]

    def __getattr__(self, name: str) -> Actor:
        if name in self.actors:
            return self.actors[name]
        raise AttributeError(name)

    @property
    def client(self) -> FlaskClient:
        """A client without an account: Mallory."""
        return self.app.test_client()

    def operator(self, tenant: str = "platform") -> Scope:
        """The scope of the command line within a tenant."""
        return tenants.operator_scope(self.platform, tenant)

    def robot(self, scope: str = "predict", **members: Any) -> tuple[str, str]:
        """The identifier and secret of a new service account of Acme."""
        body = {"name": f"robot-{secrets.token_hex(4)}", "scope": scope} | members
        response = self.ada.post("/admin/clients", json=body)
        assert response.status_code == 201, response.text
        made = response.get_json()
        return made["id"], made["secret"]

    def add_version(
        self, model: str = "linear", tenant: str = "acme", *, promote: bool = False
    ) -> Version:
        """Register the demo's model again, as the next version of this model or as a new one."""
        scope, platform = self.operator(tenant), self.platform
        with platform.database.read() as session:
            version = platform.registry.resolve(session, scope, "linear", 1)
            sealer = platform.registry.sealer(session, version)
        blobs = {role: platform.artefacts.open(version, role, sealer) for role in version.files}
        prepared = Prepared(version.manifest.contents, blobs)
        return register(platform, scope, model, prepared, promote=promote)

    def actor(self, tenant: str, username: str, password: str) -> Actor:
        """Somebody with a client of their own."""
        return Actor(self.app.test_client(), tenant, username, password)


@pytest.fixture(scope="session")
def demo_template(hosts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo installation as `manage.py init --demo` makes it, with Olga added."""
    from service.operations.installation import initialise

    folder = tmp_path_factory.mktemp("demo") / "instance"
    list(initialise(folder, demo=True))
    platform = assemble(load_settings(folder))
    olga = accounts.create_user(platform, tenants.operator_scope(platform), "olga", "operator")
    (folder / "olga").write_text(olga.password or "")
    platform.close()
    shutil.rmtree(folder / "state", ignore_errors=True)
    return folder


@pytest.fixture
def demo_instance(demo_template: Path, tmp_path: Path) -> Path:
    """A copy of the demo installation that the test may change."""
    folder = tmp_path / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    return folder


@pytest.fixture
def house_settings(demo_instance: Path) -> Settings:
    """The settings of this test's installation; a test module may override them."""
    return load_settings(demo_instance)


@pytest.fixture
def house(house_settings: Settings) -> Iterator[House]:
    """The demo installation with everybody in it."""
    with opened(house_settings) as house:
        yield house


@pytest.fixture(scope="module")
def shared_house(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One installation for a whole module, whose tests leave each other alone.

    Nobody is held up by the limits for strangers and guesses, so that hundreds of bad requests
    are each answered for what they are.
    """
    folder = tmp_path_factory.mktemp("shared") / "instance"
    shutil.copytree(demo_template, folder, symlinks=True)
    with opened(load_settings(folder, **UNHURRIED)) as house:
        yield house


class Remembered:
    """Argon2 that does not compute again what the cast's password was found to match.

    Who logs in here is mostly somebody whose token another test needs; a wrong password, and a new
    one, are computed as ever.
    """

    def __init__(self, real: argon2.PasswordHasher) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def verify(self, encoded: str, material: bytes) -> bool:
        """Whether the password is the one hashed; raises VerifyMismatchError."""
        if (encoded, material) not in MATCHES:
            self._real.verify(encoded, material)
            MATCHES.add((encoded, material))
        return True


@contextmanager
def opened(settings: Settings, clock: Callable[[], float] = time.time) -> Iterator[House]:
    """One worker over an installation; several may be open over the same one."""
    platform = assemble(settings, clock)
    hasher: Any = platform.hasher
    hasher._argon2 = Remembered(hasher._argon2)
    app = create_app(settings, platform)
    app.testing = False  # an unforeseen error must become a 500, as it does in production
    app.wsgi_app = BothWays(app.wsgi_app, platform)  # type: ignore[method-assign]
    try:
        yield House(settings.instance, platform, app, _actors(settings.instance, app))
    finally:
        platform.close()


def _actors(folder: Path, app: Flask) -> dict[str, Actor]:
    demo = json.loads((folder / "demo.json").read_text())
    actors = {
        user["username"]: Actor(
            app.test_client(), tenant["tenant"], user["username"], user["password"]
        )
        for tenant in demo["tenants"]
        for user in tenant["users"]
    }
    password = (folder / "olga").read_text()
    return actors | {"olga": Actor(app.test_client(), "platform", "olga", password)}
