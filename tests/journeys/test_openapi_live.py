"""The API as its own description has it: schemathesis plays what that allows and forbids.

Over real TLS against two workers, with everything that an administrator may do but end sessions.
Which check is switched off where, and why, is written in schemathesis.toml.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from auth.permissions import PERMISSIONS, Permission, Role
from config.settings import load_settings
from models.handlers.skops_file import write_skops
from service.operations.registration import register
from tests.house import UNHURRIED, House, opened
from tests.journeys.platform import Running, bearer, running
from tests.service.scored_models import PEOPLE, add_models

pytestmark = pytest.mark.drill

FOLDER: Final = Path(__file__).parent
OF_API: Final = FOLDER / "schemathesis.toml"
OF_MODELS: Final = FOLDER / "schemathesis_of_models.toml"
# Of gradient boosting alone, which answers every number, and with a finite one: what other kinds of
# models refuse, or answer with infinity, their signatures do not say.
MODELS: Final = ("gaps", "words")
MOST_SHOWN: Final = 60_000
# Without that to one's own account: it would end the session that everything is played with.
HELD: Final = PERMISSIONS[Role.ADMIN] - {Permission.ACCOUNT}


@dataclass(frozen=True, slots=True)
class Played:
    """A platform, and the credentials of the service account that plays with it."""

    platform: Running
    token: str
    account: tuple[str, str]

    def play(self, document: str, config: Path, folder: Path, *options: str) -> int:
        """Run every check on a document; returns how many requests were made."""
        identifier, secret = self.account
        credentials = {"TOKEN": self.token, "CLIENT_ID": identifier, "CLIENT_SECRET": secret}
        done = subprocess.run(
            [
                *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config)),
                *("run", document, "--url", self.platform.url, "--seed", "1", "--no-color"),
                *("--tls-verify", str(self.platform.instance / "certs" / "ca.pem")),
                *("--phases", "examples,coverage,fuzzing", "--request-timeout", "30", *options),
            ],
            cwd=folder,
            env=os.environ | credentials,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, _failures(done.stdout) + done.stderr[-2000:]
        return _generated(done.stdout)


@pytest.fixture(scope="module")
def played(demo_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A demo with models of several kinds, served without haste."""
    instance = tmp_path_factory.mktemp("live") / "instance"
    shutil.copytree(demo_template, instance, symlinks=True)
    with opened(load_settings(instance)) as house:
        add_models(house)
        add_words(house)
        account = house.robot(" ".join(sorted(HELD)))
        form = {
            "grant_type": "client_credentials",
            "client_id": account[0],
            "client_secret": account[1],
        }
        token = house.client.post("/auth/token", data=form).get_json()["access_token"]
    unhurried: dict[str, Any] = {name.upper(): value for name, value in UNHURRIED.items()}
    with running(instance, **unhurried) as platform:
        yield Played(platform, token, account)


def add_words(house: House) -> None:
    """Register a classifier of texts and numbers, whichever there are and none."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = make_column_transformer((encoder, ["city"]), remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=1))
    file = write_skops(model.fit(PEOPLE, ["stays", "goes", "goes", "stays"]))
    prepared = house.platform.hosting.intake.run(file, formats={"skops"})
    register(house.platform, house.operator("acme"), "words", prepared)


def _failures(said: str) -> str:
    """What did not hold, without the advice that follows."""
    return said.partition("= WARNINGS =")[0][:MOST_SHOWN]


def _generated(said: str) -> int:
    found = re.search(r"([\d,]+) generated", said)
    assert found, said[-2000:]
    return int(found[1].replace(",", ""))


def without_what_no_schema_says(document: dict[str, Any]) -> dict[str, Any]:
    """The document without CSV, and without lists that have to be as long as others."""
    for path, item in document["paths"].items():
        content = item["post"]["requestBody"]["content"]
        content.pop("text/csv", None)
        if path.endswith("/invocations"):
            members = content["application/json"]["schema"]["properties"]
            del members["dataframe_split"]["properties"]["index"]
    schemas = document["components"]["schemas"]
    for name in ("Columns", "LooseColumns"):
        schemas[name]["properties"] = {
            column: {"type": "array", "minItems": 1, "maxItems": 1, "items": cells["items"]}
            for column, cells in schemas[name]["properties"].items()
        }
    return document


def test_api_is_what_its_description_says(played: Played, tmp_path: Path) -> None:
    document = f"{played.platform.url}/openapi.json"
    assert played.play(document, OF_API, tmp_path, "--max-examples", "1") > 1_000
    # Nobody has put an end to what it was played with.
    assert played.platform.predict(played.token).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_model_takes_what_its_own_description_says(
    played: Played, tmp_path: Path, model: str
) -> None:
    # A call that names no model means the default one, which this document knows.
    played.platform.manage("models", "set-default", model, "--tenant", "acme")
    with played.platform.client() as client:
        answer = client.get(f"/models/{model}/openapi.json", headers=bearer(played.token))
    file = tmp_path / f"{model}.json"
    file.write_text(json.dumps(without_what_no_schema_says(answer.json())))
    assert played.play(str(file), OF_MODELS, tmp_path, "--max-examples", "1") > 100


def test_unreadable_header_is_not_taken_for_an_absent_one(played: Played) -> None:
    headers = httpx.Headers(
        [
            (b"Authorization", f"Bearer {played.token}".encode()),
            (b"Idempotency-Key", b"\xd7\xf8"),
            (b"User-Agent", b"caf\xe9"),
        ]
    )
    with played.platform.client() as client:
        refused = client.post("/v2/repository/models/linear/load", headers=headers)
        del headers["Idempotency-Key"]
        taken = client.post("/v2/repository/models/linear/load", headers=headers)
    assert refused.status_code == 400, refused.text
    assert taken.status_code == 200, taken.text
