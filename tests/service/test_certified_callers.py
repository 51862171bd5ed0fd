"""Service accounts that call with a client certificate, which the mutual-TLS listener verified."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from certs.inspection import public_key_digest
from service.operations import clients
from service.security import CERTIFICATE
from tests.auth.clock import Clock
from tests.house import House
from tests.service.problems import refused
from tests.service.robots import ENDS, NAME, SECONDS, end, hurried, looks


@dataclass
class Robot:
    """A service account of Acme that lasts 100 seconds, and its certificate."""

    house: House
    clock: Clock
    certificate: bytes

    def ask(self, method: str = "GET", path: str = "/models", **options: Any) -> TestResponse:
        """Send a request over the listener for client certificates."""
        environ = {CERTIFICATE: self.certificate}
        return self.house.client.open(path, method=method, environ_overrides=environ, **options)


@pytest.fixture
def robot(demo_instance: Path) -> Iterator[Robot]:
    with hurried(demo_instance) as (house, clock):
        issued = house.platform.authority.issue_client(NAME, days=7)
        certificate = ssl.PEM_cert_to_DER_cert(issued.certificate_pem.decode())
        clients.create_client(
            house.platform,
            house.operator("acme"),
            NAME,
            "models.read",
            expires_in=SECONDS,
            certificate_digest=public_key_digest(certificate),
        )
        yield Robot(house, clock, certificate)


def test_known_certificate_is_not_counted_by_address(robot: Robot) -> None:
    assert [robot.ask().status_code for _ in range(9)] == [200] * 9


def test_unknown_certificate_is_counted_by_address(robot: Robot) -> None:
    stranger = robot.house.platform.authority.issue_client("stranger", days=7)
    robot.certificate = ssl.PEM_cert_to_DER_cert(stranger.certificate_pem.decode())

    assert [robot.ask().status_code for _ in range(5)] == [401] * 4 + [429]


def test_known_certificate_costs_no_look_at_the_accounts(robot: Robot) -> None:
    with looks(robot.house) as first:
        assert robot.ask().status_code == 200
    with looks(robot.house) as second:
        assert robot.ask().status_code == 200

    assert first
    assert not second


@pytest.mark.parametrize("how", ENDS)
def test_what_ends_the_account_holds_on_the_next_request(robot: Robot, how: str) -> None:
    assert robot.ask().status_code == 200
    end(robot.house, robot.clock, how)

    refused(robot.ask(), 401, "invalid-client")


def test_certificate_once_known_counts_by_address_when_it_is_refused(robot: Robot) -> None:
    robot.ask()
    end(robot.house, robot.clock, "revoke")

    assert [robot.ask().status_code for _ in range(6)][-1] == 429


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("second", ["Bearer x.y.z", "Basic eDp5", "Digest x", ""])
def test_certificate_beside_an_authorization_header_is_refused(
    robot: Robot, second: str, known: bool
) -> None:
    if known:
        assert robot.ask().status_code == 200
    headers = {"Authorization": second}

    refused(robot.ask(headers=headers), 400, "ambiguous-credentials")
    refused(robot.ask("POST", "/auth/token", headers=headers), 400, "ambiguous-credentials")


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("path", ["/auth/token", "/auth/revoke", "/auth/introspect"])
def test_certificate_beside_credentials_in_the_form_is_refused(
    robot: Robot, path: str, known: bool
) -> None:
    if known:
        assert robot.ask().status_code == 200
    form = {"client_id": "cli_0", "client_secret": "sps_0"}
    form |= {"grant_type": "client_credentials"} if path == "/auth/token" else {"token": "spr_0"}

    refused(robot.ask("POST", path, data=form), 400, "ambiguous-credentials")
