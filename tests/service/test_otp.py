"""POST /auth/otp, and logins with the second factor that it enrols."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from config.settings import load_settings
from tests.auth.clock import Clock
from tests.house import UNHURRIED, Actor, House, opened
from tests.service.problems import pointers, refused

STEP = 30


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed_house(demo_instance: Path, clock: Clock) -> Iterator[House]:
    with opened(load_settings(demo_instance, **UNHURRIED), clock) as house:
        yield house


def code(secret: str, now: float) -> str:
    """RFC 6238, written out here so that the platform's own code does not judge itself."""
    message = struct.pack(">Q", int(now) // STEP)
    digest = hmac.new(base64.b32decode(secret), message, hashlib.sha1).digest()
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06}"


def act(actor: Actor, action: str, **members: str) -> TestResponse:
    body = {"action": action, "password": actor.password}
    return actor.post("/auth/otp", json=body | members)


def enrol(actor: Actor, clock: Clock) -> tuple[str, dict[str, Any]]:
    secret = act(actor, "enrol").get_json()["secret"]
    confirmed = act(actor, "confirm", otp=code(secret, clock()))
    assert confirmed.status_code == 200, confirmed.text
    return secret, confirmed.get_json()


def test_enrolment_shows_the_secret_once_and_counts_only_when_confirmed(
    timed_house: House, clock: Clock
) -> None:
    rob = timed_house.rob
    enrolled = act(rob, "enrol").get_json()
    assert enrolled["enrolled"] is False
    assert enrolled["uri"].startswith("otpauth://totp/")
    assert rob.login().status_code == 200, "nothing is asked before it is confirmed"

    confirmed = act(rob, "confirm", otp=code(enrolled["secret"], clock())).get_json()

    assert confirmed["enrolled"] is True
    assert len(set(confirmed["recovery_codes"])) >= 8
    assert "secret" not in confirmed


def test_login_then_needs_the_code_and_takes_each_once(timed_house: House, clock: Clock) -> None:
    secret, _ = enrol(timed_house.rob, clock)
    clock.advance(STEP)
    now = code(secret, clock())

    refused(timed_house.rob.login(), 401, "wrong-credentials")
    refused(timed_house.rob.login(otp="000000"), 401, "wrong-credentials")
    assert timed_house.rob.login(otp=now).status_code == 200
    refused(timed_house.rob.login(otp=now), 401, "wrong-credentials")
    clock.advance(STEP)
    assert timed_house.rob.login(otp=code(secret, clock())).status_code == 200


def test_missing_code_answers_like_a_wrong_password(timed_house: House, clock: Clock) -> None:
    enrol(timed_house.rob, clock)
    missing = timed_house.rob.login().get_json()
    wrong = timed_house.rob.login(password="not the password").get_json()

    missing.pop("request_id")
    wrong.pop("request_id")
    assert missing == wrong


def test_recovery_code_opens_once(timed_house: House, clock: Clock) -> None:
    _, confirmed = enrol(timed_house.rob, clock)
    recovery = confirmed["recovery_codes"][0]

    assert timed_house.rob.login(otp=recovery).status_code == 200
    refused(timed_house.rob.login(otp=recovery), 401, "wrong-credentials")


def test_removal_needs_password_and_code(timed_house: House, clock: Clock) -> None:
    secret, _ = enrol(timed_house.rob, clock)
    clock.advance(STEP)

    refused(act(timed_house.rob, "remove"), 401, "wrong-credentials")
    refused(act(timed_house.rob, "remove", otp="000000"), 401, "wrong-credentials")
    answer = act(timed_house.rob, "remove", otp=code(secret, clock())).get_json()

    assert answer == {"enrolled": False}
    assert timed_house.rob.login().status_code == 200


def test_steps_out_of_order_contradict_what_is_there(timed_house: House, clock: Clock) -> None:
    refused(act(timed_house.rob, "confirm", otp="123456"), 409, "conflict")
    act(timed_house.rob, "enrol")
    refused(act(timed_house.rob, "confirm", otp="000000"), 401, "wrong-credentials")


def test_wrong_password_enrols_nothing(timed_house: House) -> None:
    response = act(timed_house.rob, "enrol", password="not the password")
    assert "secret" not in refused(response, 401, "wrong-credentials")


def test_unknown_step_is_named(timed_house: House) -> None:
    problem = refused(act(timed_house.rob, "reset"), 400, "invalid-input")
    assert pointers(problem) == {"/action"}
