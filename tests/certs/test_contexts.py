"""Both TLS profiles, shown by real handshakes."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import get_args

import pytest

from certs.authority import Authority
from certs.contexts import SUITES, Profile, client_context, server_context
from tests.certs.conftest import NAMES, Clock
from tests.certs.outside import Leaf, Outside, key_pem, pem, rsa_key
from tests.certs.wire import Outcome, shake_hands

PROFILES = get_args(Profile)
OLD_VERSIONS = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)


@pytest.fixture
def rsa_file(tmp_path: Path, clock: Clock) -> Path:
    """A server's file with an RSA key."""
    leaf = Leaf(key=rsa_key(2048))
    path = tmp_path / "rsa.pem"
    path.write_bytes(Outside(clock.now).fullchain(leaf) + key_pem(leaf.key))
    return path


def anyone(*, ciphers: str = "ALL:COMPLEMENTOFALL:@SECLEVEL=0") -> ssl.SSLContext:
    """A client that trusts everything and offers these TLS 1.2 suites only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    return context


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_default_client_that_trusts_the_authority_accepts_each_name(
    authority: Authority, profile: Profile, name: str
) -> None:
    client = ssl.create_default_context(cafile=str(authority.ca_file))
    assert client.check_hostname
    outcome = shake_hands(server_context(profile, authority.server_file), client, name=name)
    assert (outcome.refusal, outcome.version) == ("", "TLSv1.3")


def test_a_client_looking_for_another_name_refuses(authority: Authority) -> None:
    server = server_context("modern", authority.server_file)
    client = client_context(authority.ca_file)
    assert "Hostname mismatch" in shake_hands(server, client, name="example.com").refusal


def test_a_client_that_does_not_trust_the_authority_refuses(authority: Authority) -> None:
    server = server_context("modern", authority.server_file)
    assert "CERTIFICATE_VERIFY_FAILED" in shake_hands(server, ssl.create_default_context()).refusal


def test_modern_refuses_a_tls_1_2_client(authority: Authority) -> None:
    server = server_context("modern", authority.server_file)
    assert "version" in shake_hands(server, anyone()).refusal


def test_intermediate_accepts_a_tls_1_2_client(authority: Authority) -> None:
    client = client_context(authority.ca_file)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    outcome = shake_hands(server_context("intermediate", authority.server_file), client)
    assert (outcome.refusal, outcome.version) == ("", "TLSv1.2")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", OLD_VERSIONS)
@pytest.mark.parametrize("profile", PROFILES)
def test_older_versions_are_refused(
    authority: Authority, profile: Profile, version: ssl.TLSVersion
) -> None:
    client = anyone()
    client.minimum_version = client.maximum_version = version
    outcome = shake_hands(server_context(profile, authority.server_file), client)
    assert "version" in outcome.refusal


def test_intermediate_offers_the_six_suites_in_tls_1_2_and_nothing_else(
    authority: Authority, rsa_file: Path
) -> None:
    servers = [server_context("intermediate", path) for path in (authority.server_file, rsa_file)]
    offered = [c["name"] for c in anyone().get_ciphers() if c["protocol"] != "TLSv1.3"]
    assert len(offered) > 60
    accepted = {name for name in offered for server in servers if _accepts(server, name)}
    assert accepted == set(SUITES)


def _accepts(server: ssl.SSLContext, suite: str) -> bool:
    outcome = shake_hands(server, anyone(ciphers=f"{suite}:@SECLEVEL=0"))
    return not outcome.refusal and outcome.cipher == suite


@pytest.mark.parametrize("profile", PROFILES)
def test_every_option_is_as_the_guideline_has_it(authority: Authority, profile: Profile) -> None:
    context = server_context(profile, authority.server_file)
    listed = {cipher["name"] for cipher in context.get_ciphers()}
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_TICKET
    assert context.num_tickets == 0
    assert not context.post_handshake_auth
    assert context.keylog_filename is None
    assert context.verify_mode is ssl.CERT_NONE
    assert not {name for name in listed if name.startswith("DHE") or "CBC" in name}


def test_the_client_chooses_among_the_suites(authority: Authority) -> None:
    server = server_context("intermediate", authority.server_file)
    for suite in ("ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"):
        other = "ECDHE-ECDSA-AES128-GCM-SHA256"
        assert shake_hands(server, anyone(ciphers=f"{suite}:{other}")).cipher == suite
        assert shake_hands(server, anyone(ciphers=f"{other}:{suite}")).cipher == other


def test_no_tls_1_3_session_is_resumed(authority: Authority) -> None:
    server = server_context("modern", authority.server_file)
    client = client_context(authority.ca_file)
    first = shake_hands(server, client)
    assert first.session is not None
    assert not first.session.has_ticket
    assert not shake_hands(server, client, session=first.session).reused


def test_a_tls_1_2_session_is_not_resumed_after_a_reload(authority: Authority) -> None:
    client = client_context(authority.ca_file)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    first = shake_hands(server_context("intermediate", authority.server_file), client)
    assert first.session is not None
    assert not first.session.has_ticket
    reloaded = server_context("intermediate", authority.server_file)
    again = shake_hands(reloaded, client, session=first.session)
    assert (again.refusal, again.reused) == ("", False)


class TestClientCertificates:
    """A listener that asks for client certificates."""

    def connect(
        self, authority: Authority, pair: Path | None, *, profile: Profile, optional: bool = False
    ) -> Outcome:
        server = server_context(
            profile,
            authority.server_file,
            authority.ca_file,
            authority.crl_file,
            client="optional" if optional else "required",
        )
        client = client_context(authority.ca_file, pair=pair)
        if profile == "intermediate":
            client.maximum_version = ssl.TLSVersion.TLSv1_2
        return shake_hands(server, client)

    @pytest.mark.parametrize("profile", PROFILES)
    @pytest.mark.parametrize("name", ["rob", "billing.acme.example", "rob@acme"])
    def test_one_of_the_authority_is_accepted(
        self, authority: Authority, tmp_path: Path, profile: Profile, name: str
    ) -> None:
        issued = authority.issue_client(name)
        pair = tmp_path / "client.pem"
        pair.write_bytes(issued.certificate_pem + issued.key_pem)
        outcome = self.connect(authority, pair, profile=profile)
        assert (outcome.refusal, bool(outcome.client_der)) == ("", True)

    @pytest.mark.parametrize("profile", PROFILES)
    def test_none_is_refused_when_required(self, authority: Authority, profile: Profile) -> None:
        assert self.connect(authority, None, profile=profile).refusal

    @pytest.mark.parametrize("profile", PROFILES)
    def test_none_is_accepted_when_optional(self, authority: Authority, profile: Profile) -> None:
        outcome = self.connect(authority, None, profile=profile, optional=True)
        assert (outcome.refusal, outcome.client_der) == ("", b"")

    @pytest.mark.parametrize("optional", [True, False])
    @pytest.mark.parametrize("profile", PROFILES)
    def test_a_revoked_one_is_refused(
        self, authority: Authority, tmp_path: Path, profile: Profile, optional: bool
    ) -> None:
        kept, lost = (authority.issue_client("rob") for _ in range(2))
        authority.revoke(lost.serial)
        refusals = []
        for issued in (kept, lost):
            pair = tmp_path / f"{issued.serial}.pem"
            pair.write_bytes(issued.certificate_pem + issued.key_pem)
            outcome = self.connect(authority, pair, profile=profile, optional=optional)
            refusals.append(bool(outcome.refusal))
        assert refusals == [False, True]

    @pytest.mark.parametrize("optional", [True, False])
    def test_one_of_another_authority_is_refused(
        self, authority: Authority, tmp_path: Path, clock: Clock, optional: bool
    ) -> None:
        outside, leaf = Outside(clock.now), Leaf()
        pair = tmp_path / "client.pem"
        pair.write_bytes(pem(outside.leaf(leaf), outside.intermediate) + key_pem(leaf.key))
        outcome = self.connect(authority, pair, profile="modern", optional=optional)
        assert outcome.refusal

    def test_a_server_certificate_does_not_serve_as_a_client_certificate(
        self, authority: Authority
    ) -> None:
        assert self.connect(authority, authority.server_file, profile="modern").refusal
