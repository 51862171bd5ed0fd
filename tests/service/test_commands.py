"""What an operator does every day, and how a refusal reads."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from auth.plans import LIMITS
from tests.service.command_line import CommandLine

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_user_is_made_with_a_password_shown_once(manage: CommandLine) -> None:
    made = manage.json("users", "create", "Tom", "--tenant", "acme", "--role", "caller")
    assert made["username"] == "tom"
    assert len(made["password"]) >= 20
    listed = manage.json("users", "list", "--tenant", "acme")
    assert [user["username"] for user in listed] == ["ada", "ben", "rob", "tom"]
    assert all(user["password"] is None for user in listed)


def test_a_user_may_be_narrowed_to_one_model(manage: CommandLine) -> None:
    words = ("users", "create", "tom", "-t", "acme", "--role", "caller")
    made = manage.json(*words, "--scope", "predict:linear")
    assert made["scope"] == "predict:linear"


def test_a_chosen_password_comes_from_standard_input(manage: CommandLine) -> None:
    words = ("users", "create", "tom", "-t", "acme", "--role", "caller", "--password-stdin")
    shown = manage.text(*words, stdin="correct battery horse\n")
    assert "correct battery horse" not in shown
    assert "refused" in manage.refusal(*words[:2], "tim", *words[3:], stdin="short\n")
    assert "no first line" in manage.refusal(*words[:2], "tim", *words[3:], stdin="")


def test_a_user_is_disabled_enabled_and_given_another_role(manage: CommandLine) -> None:
    assert manage.json("users", "disable", "rob", "-t", "acme")["state"] == "disabled"
    assert manage.json("users", "enable", "rob", "-t", "acme")["state"] == "active"
    assert manage.json("users", "role", "rob", "auditor", "-t", "acme")["role"] == "auditor"


def test_the_last_admin_stays_one(manage: CommandLine) -> None:
    assert "last" in manage.refusal("users", "role", "ada", "caller", "-t", "acme")


def test_a_password_is_reset(manage: CommandLine) -> None:
    assert manage.json("users", "reset-password", "rob", "-t", "acme")["password"]


def test_a_service_account_is_made_listed_and_revoked(manage: CommandLine) -> None:
    words = ("clients", "create", "robot", "-t", "acme", "--scope", "predict:linear")
    made = manage.json(*words, "--expires-days", "30")
    assert made["secret"].startswith("sps_")
    (listed,) = manage.json("clients", "list", "-t", "acme")
    assert listed == made | {"secret": None}
    assert manage.json("clients", "revoke", "robot", "-t", "acme")["state"] == "revoked"


def test_a_client_certificate_speaks_for_a_service_account(
    manage: CommandLine, tmp_path: Path
) -> None:
    issued = manage.json("certs", "client", "robot", "--out", str(tmp_path), "--days", "7")
    assert Path(issued["key"]).stat().st_mode & 0o077 == 0
    words = ("clients", "create", "robot", "-t", "acme", "--scope", "predict")
    manage.json(*words, "--certificate", issued["certificate"])
    again = ("clients", "create", "other", "-t", "acme", "--scope", "predict")
    assert "exists already" in manage.refusal(*again, "--certificate", issued["certificate"])
    assert "no certificate" in manage.refusal(*again, "--certificate", issued["key"])
    assert manage.json("certs", "revoke", issued["serial"])["reloaded"] is False


def test_limits_are_set_for_a_tenant_and_for_a_model_and_reset(manage: CommandLine) -> None:
    words = ("limits", "set", "--tenant", "acme")
    shown = manage.json(*words, "--requests-per-minute", "7", "--rows-per-day", "9")
    assert shown["limits"]["requests_per_minute"] == 7
    assert shown["limits"]["rows_per_day"] == 9
    shown = manage.json(*words, "--model", "linear", "--rows-per-minute", "5")
    assert shown["models"] == {"linear": {"model_rows_per_minute": 5}}
    shown = manage.json(*words, "--reset", "requests-per-minute", "--plan", "free")
    assert shown["plan"] == "free"
    assert shown["limits"]["requests_per_minute"] == LIMITS["requests_per_minute"].defaults["free"]
    assert manage.json("limits", "show", "--tenant", "acme") == shown


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_has_an_option(manage: CommandLine, name: str) -> None:
    option = f"--{name.replace('_', '-')}"
    shown = manage.json("limits", "set", "--tenant", "acme", option, "3")
    assert shown["limits"][name] == 3


def test_usage_is_shown_for_all_tenants_and_for_one(manage: CommandLine) -> None:
    assert manage.json("usage") == []
    assert manage.json("usage", "--tenant", "acme", "--by", "user", "--since", "2026-01-01") == []
    assert "requests" in manage.text("usage")


def test_a_model_is_imported_promoted_and_made_default(manage: CommandLine, tmp_path: Path) -> None:
    import joblib
    from sklearn.linear_model import LinearRegression

    file = tmp_path / "line.joblib"
    joblib.dump(LinearRegression().fit([[0], [1]], [0, 2]), file)
    first = manage.json("models", "import", "--tenant", "acme", "line", str(file))
    assert (first["model"], first["version"], first["engine"]) == ("line", 1, "linear")
    manage.json("models", "import", "--tenant", "acme", "line", str(file), "--promote")
    shown = manage.json("models", "show", "line", "--tenant", "acme")
    assert (shown["champion"], shown["versions"]) == (2, [1, 2])
    words = ("models", "set-default", "line", "--tenant", "acme", "--version", "1")
    assert manage.json(*words) | {"default": True, "champion": 1} == manage.json(*words)
    listed = manage.json("models", "list", "--tenant", "acme")
    assert {model["name"]: model["default"] for model in listed} == {"line": True, "linear": False}
    manifests = json.loads(manage.text("models", "show", "line", "-t", "acme", "--manifests"))
    assert [manifest["number"] for manifest in manifests] == [1, 2]


def test_what_is_no_model_is_refused(manage: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "text.skops"
    file.write_text("no model")
    assert "refused" in manage.refusal("models", "import", "-t", "acme", "x", str(file))


def test_the_audit_trail_is_listed_and_verified(manage: CommandLine) -> None:
    manage.json("users", "disable", "rob", "-t", "acme")
    (record,) = manage.json("audit", "list", "--tenant", "acme", "--limit", "1")
    assert (record["action"], record["subject"]) == ("users.change", "rob")
    assert len(manage.json("audit", "list", "--limit", "3")) == 3
    found = manage.json("audit", "verify")
    assert manage.json("audit", "verify", "--head", found["head"]) == found


def test_an_altered_audit_trail_is_refused(manage: CommandLine) -> None:
    import sqlite3

    with sqlite3.connect(manage.instance / "sallyport.db") as database:
        database.execute("UPDATE audit SET actor = 'nobody' WHERE sequence = 3")
    database.close()
    assert "breaks at record 3" in manage.refusal("audit", "verify")


def test_a_head_that_was_noted_must_still_be_there(manage: CommandLine) -> None:
    assert "noted" in manage.refusal("audit", "verify", "--head", f"1:{'0' * 64}")
    assert "no audit head" in manage.refusal("audit", "verify", "--head", "soon")


def test_the_certificate_is_shown_and_renewed(manage: CommandLine) -> None:
    shown = manage.json("certs", "show")
    assert "localhost" in shown["names"]
    kept = manage.json("certs", "renew")
    assert (kept["renewed"], kept["serial"]) == (False, shown["serial"])
    renewed = manage.json("certs", "renew", "--force")
    assert renewed["renewed"]
    assert renewed["serial"] != shown["serial"]
    assert manage.json("certs", "show")["serial"] == renewed["serial"]


def test_a_certificate_whose_key_is_anothers_is_refused(
    manage: CommandLine, tmp_path: Path
) -> None:
    one = manage.json("certs", "client", "one", "--out", str(tmp_path))
    two = manage.json("certs", "client", "two", "--out", str(tmp_path))
    before = manage.json("certs", "show")
    assert "kept" in manage.refusal("certs", "import", one["certificate"], two["key"])
    assert manage.json("certs", "show")["serial"] == before["serial"]


def test_signing_keys_are_listed_and_rotated(manage: CommandLine) -> None:
    before = manage.json("keys", "list")
    rotation = manage.json("keys", "rotate", "--emergency")
    states = {key["kid"]: key["state"] for key in manage.json("keys", "list")}
    assert states[rotation["new"]] == "active"
    assert states[rotation["old"]] == "retired"
    assert len(states) == len(before) + 1
    assert manage.json("keys", "reseal")["signing_keys"] == 2


def test_a_tenant_lives_and_dies(manage: CommandLine) -> None:
    assert manage.json("tenants", "create", "initech", "--plan", "free")["plan"] == "free"
    assert manage.json("tenants", "suspend", "initech")["state"] == "suspended"
    assert manage.json("tenants", "resume", "initech")["state"] == "active"
    assert manage.run("tenants", "delete", "initech", stdin="n\n").exit_code == 1
    manage.json("tenants", "delete", "initech", "--yes")
    assert "initech" in manage.refusal("tenants", "show", "initech")


def test_the_database_is_checked_and_upgraded(manage: CommandLine) -> None:
    checked = manage.json("database", "check")
    assert manage.json("database", "upgrade") == checked


def test_every_change_is_on_record(manage: CommandLine, tmp_path: Path) -> None:
    """Commands that change something leave a record; those that only look do not."""
    count = manage.json("audit", "verify")["records"]
    for words in (
        ("users", "disable", "rob", "-t", "acme"),
        ("limits", "set", "-t", "acme", "--rows-per-day", "5"),
        ("certs", "renew", "--force"),
        ("certs", "client", "x", "--out", str(tmp_path)),
        ("models", "set-default", "linear", "-t", "acme"),
        ("backup", str(tmp_path / "backup")),
    ):
        manage.json(*words)
        count += 1
        assert manage.json("audit", "verify")["records"] == count, words
    for look in (("users", "list", "-t", "acme"), ("usage",), ("doctor",), ("keys", "list")):
        manage.json(*look)
        assert manage.json("audit", "verify")["records"] == count, look


REFUSED = [
    ["users", "list"],
    ["users", "list", "--tenant", "nowhere"],
    ["users", "create", "ada", "--tenant", "acme", "--role", "caller"],
    ["users", "create", "x y", "--tenant", "acme", "--role", "caller"],
    ["users", "create", "tom", "--tenant", "acme", "--role", "king"],
    ["users", "create", "tom", "--tenant", "acme", "--role", "operator"],
    ["users", "create", "tom", "--tenant", "acme", "--role", "caller", "--scope", "fly"],
    ["users", "create", "tom", "--tenant", "acme", "--role", "caller", "--scope", "tenants"],
    ["users", "disable", "gail", "--tenant", "acme"],
    ["users", "role", "rob", "--tenant", "acme"],
    ["clients", "create", "robot", "--tenant", "acme"],
    ["clients", "create", "robot", "--tenant", "acme", "--scope", "keys"],
    ["clients", "create", "robot", "--tenant", "acme", "--scope", "predict", "--expires-days", "0"],
    ["clients", "revoke", "robot", "--tenant", "acme"],
    ["limits", "set", "--tenant", "acme"],
    ["limits", "set", "--tenant", "acme", "--rows-per-day", "0"],
    ["limits", "set", "--tenant", "acme", "--rows-per-day", "many"],
    ["limits", "set", "--tenant", "acme", "--rows-per-day", "5", "--reset", "rows-per-day"],
    ["limits", "set", "--tenant", "acme", "--model", "linear", "--plan", "free"],
    ["limits", "set", "--tenant", "acme", "--model", "linear", "--rows-per-day", "5"],
    ["limits", "set", "--tenant", "acme", "--model", "../x", "--rows-per-minute", "5"],
    ["limits", "set", "--tenant", "acme", "--plan", "gold"],
    ["usage", "--since", "yesterday"],
    ["usage", "--since", "2026-02-02", "--until", "2026-01-01"],
    ["usage", "--tenant", "nowhere"],
    ["models", "import", "--tenant", "acme", "linear", "/nowhere"],
    ["models", "show", "none", "--tenant", "acme"],
    ["models", "set-default", "linear", "--tenant", "acme", "--version", "99"],
    ["models", "set-default", "linear", "--tenant", "acme", "--version", "9" * 20],
    ["models", "set-default", "none", "--tenant", "acme"],
    ["users", "create", "\udcff", "--tenant", "acme", "--role", "caller"],
    ["tenants", "show", "\udcff"],
    ["models", "show", "\udcff", "--tenant", "acme"],
    ["keys", "revoke", "\udcff"],
    ["clients", "revoke", "\udcff", "--tenant", "acme"],
    ["audit", "list", "--limit", "9" * 20],
    ["audit", "list", "--tenant", "nowhere"],
    ["audit", "list", "--limit", "0"],
    ["certs", "client", "../x", "--out", "."],
    ["certs", "client", "x", "--out", "/proc/nowhere"],
    ["certs", "client", "x", "--out", ".", "--days", "91"],
    ["certs", "revoke", "none"],
    ["certs", "import", "/etc/hostname", "/etc/hostname"],
    ["keys", "revoke", "none"],
    ["tenants", "create", "Acme Inc"],
    ["tenants", "create", "acme"],
    ["tenants", "suspend", "platform"],
    ["backup", "/nowhere/backup"],
    ["restore", "/nowhere/backup"],
    ["init"],
    ["dance"],
    ["--dance"],
    ["users", "dance"],
]


@pytest.mark.parametrize("words", REFUSED, ids=ascii)
def test_a_refusal_is_one_line(manage: CommandLine, words: list[str]) -> None:
    assert manage.refusal(*words)


def test_without_an_installation_every_command_says_how_to_make_one(
    tmp_path: Path, logs_kept: None
) -> None:
    nothing = CommandLine(tmp_path / "instance")
    for words in (["users", "list", "-t", "acme"], ["keys", "rotate"], ["database", "check"]):
        assert "manage.py init" in nothing.refusal(*words)
    assert not nothing.instance.exists()


def test_a_database_that_is_out_of_date_is_refused_with_the_remedy(manage: CommandLine) -> None:
    import sqlite3

    with sqlite3.connect(manage.instance / "sallyport.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'old'")
    database.close()
    for words in (["database", "check"], ["users", "list", "-t", "acme"]):
        assert "manage.py database upgrade" in manage.refusal(*words)


def test_a_misspelt_setting_is_named(manage: CommandLine) -> None:
    assert "SALLYPORT_PROT" in manage.refusal("keys", "list", SALLYPORT_PROT="1")


def test_a_wrong_master_key_is_one_line(manage: CommandLine) -> None:
    key = "A" * 43 + "="
    assert manage.refusal(
        "users", "create", "x", "-t", "acme", "--role", "caller", SALLYPORT_MASTER_KEY=key
    )


def commands(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command below a group."""
    if not isinstance(group, click.Group):
        return [path]
    children = group.list_commands(click.Context(group))
    return [
        found
        for name in children
        for found in commands(group.get_command(click.Context(group), name) or group, (*path, name))
    ]


def every_command() -> list[tuple[str, ...]]:
    """Every command that there is."""
    return commands(importlib.import_module("service.commands.cli").root)


# A rotation waits until verifiers know the next key; here there are none.
AT_ONCE = {"SALLYPORT_JWKS_MAX_AGE": "0", "SALLYPORT_PUBLISH_SKEW_SECONDS": "0"}
WORDS = st.sampled_from(
    [
        *("--tenant", "-t", "acme", "--json", "--role", "caller", "--scope", "predict", "--model"),
        *("--limit", "-1", "0", "9" * 20, "1e9", "", " ", "é", "\udcff", "../..", "--", "--head"),
        *(
            "linear",
            "--promote",
            "--by",
            "user",
            "--out",
            "--days",
            "--reset",
            "--deep",
            "--version",
        ),
    ]
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(command=st.sampled_from(every_command()), words=st.lists(WORDS, max_size=6))
def test_no_words_make_a_traceback(
    manage: CommandLine,
    tmp_path_factory: pytest.TempPathFactory,
    command: tuple[str, ...],
    words: list[str],
) -> None:
    assume(command != ("serve",))
    here = Path.cwd()
    os.chdir(tmp_path_factory.getbasetemp())  # some words are files to write
    try:
        assert manage.run(*command, *words, **AT_ONCE).exit_code in (0, 1, 2)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_has_short_help(manage: CommandLine, words: tuple[str, ...]) -> None:
    shown = manage.text(*words, "--help")
    assert len(shown.splitlines()) <= 30
    assert f"manage.py {' '.join(words)}" in shown or "Usage: root" in shown


def test_what_the_real_program_writes_is_for_its_user_alone(tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    subprocess.run(
        [sys.executable, "manage.py", "--instance", str(instance), "init"],
        cwd=ROOT,
        umask=0o022,
        capture_output=True,
        check=True,
    )
    files = [path for path in instance.rglob("*") if path.is_file()]
    shown = {path.name for path in files if path.stat().st_mode & 0o077}
    assert shown == {"ca.pem", "crl.pem"}
    assert (instance / "sallyport.db") in files


def test_the_real_program_answers_and_refuses(manage: CommandLine) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", "--instance", str(manage.instance), *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    listed = run("users", "list", "--tenant", "acme", "--json")
    assert [user["username"] for user in json.loads(listed.stdout)] == ["ada", "ben", "rob"]
    refused = run("users", "list", "--tenant", "nowhere")
    assert refused.returncode == 1
    assert refused.stderr == "Error: there is no tenant 'nowhere'\n"
    assert refused.stdout == ""
