"""What the authority issues, when it renews, and what lies on the disk."""

from __future__ import annotations

import ipaddress
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.authority import Authority
from certs.errors import (
    AuthorityDamaged,
    CertificateMissing,
    LifetimeOutOfRange,
    NameMalformed,
    SerialMalformed,
)
from certs.inspection import public_key_digest
from certs.root import CONTEXT
from config.errors import SealBroken
from config.sealing import Sealer
from tests.certs.conftest import DAY, MASTER_KEY, NAMES, Clock, MakeAuthority
from tests.certs.outside import Leaf, Outside, key_pem


def ca_of(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.ca_file.read_bytes())


def leaf_of(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.server_file.read_bytes())


def revoked_in(authority: Authority) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(authority.crl_file.read_bytes())


def verify(authority: Authority, name: str, now: float, ca: x509.Certificate | None = None) -> None:
    """Verify the server certificate as an independent implementation does."""
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    assert isinstance(subject, x509.DNSName | x509.IPAddress)
    builder = PolicyBuilder().store(Store([ca or ca_of(authority)]))
    verifier = builder.time(datetime.fromtimestamp(now, UTC)).build_server_verifier(subject)
    verifier.verify(leaf_of(authority), [])


class TestWhatIsIssued:
    """The certificates themselves."""

    @pytest.mark.parametrize("name", NAMES)
    def test_the_chain_verifies_for_each_name(
        self, authority: Authority, clock: Clock, name: str
    ) -> None:
        verify(authority, name, clock())

    def test_the_authority_may_sign_leaves_of_its_own_names_only(
        self, authority: Authority
    ) -> None:
        extensions = ca_of(authority).extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        names = extensions.get_extension_for_class(x509.NameConstraints)
        assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
        assert usage.critical
        assert usage.value.key_cert_sign
        assert not usage.value.digital_signature
        assert names.critical
        assert {str(name.value) for name in names.value.permitted_subtrees or ()} == {
            "localhost",
            "127.0.0.1/32",
            "::1/128",
        }

    def test_the_server_certificate_is_a_p256_server_leaf_of_90_days(
        self, authority: Authority
    ) -> None:
        leaf = leaf_of(authority)
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        key = leaf.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
        assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 90

    def test_a_name_outside_of_the_installation_is_worthless_even_with_the_authoritys_key(
        self, authority: Authority, folder: Path, clock: Clock, make_authority: MakeAuthority
    ) -> None:
        trusted = ca_of(authority)  # what clients were given
        make_authority(names=("bank.example",)).renew(force=True)
        with pytest.raises(VerificationError):
            verify(authority, "bank.example", clock(), trusted)

    @pytest.mark.parametrize("names", [("sallyport.example",), ("10.0.0.7",)])
    def test_names_of_one_kind_permit_none_of_the_other(
        self, make_authority: MakeAuthority, names: tuple[str, ...]
    ) -> None:
        authority = make_authority(names=names)
        authority.ensure()
        constraints = ca_of(authority).extensions.get_extension_for_class(x509.NameConstraints)
        kinds = {type(name) for name in constraints.value.permitted_subtrees or ()}
        assert kinds == {x509.DNSName, x509.IPAddress}

    def test_a_wildcard_name_is_issued_and_verifies(
        self, make_authority: MakeAuthority, clock: Clock
    ) -> None:
        authority = make_authority(names=("*.sallyport.example",))
        authority.ensure()
        verify(authority, "acme.sallyport.example", clock())

    @pytest.mark.parametrize("days", [0, 91, -1])
    def test_no_certificate_lives_longer_than_90_days(
        self, make_authority: MakeAuthority, authority: Authority, days: int
    ) -> None:
        with pytest.raises(LifetimeOutOfRange, match="1 to 90"):
            make_authority(days=days)
        with pytest.raises(LifetimeOutOfRange):
            authority.issue_client("rob", days=days)

    def test_an_installation_without_a_name_is_refused(self, make_authority: MakeAuthority) -> None:
        with pytest.raises(NameMalformed, match="SALLYPORT_SERVER_NAMES"):
            make_authority(names=())

    def test_the_description_says_what_the_certificate_says(
        self, authority: Authority, clock: Clock
    ) -> None:
        leaf = leaf_of(authority)
        described = authority.describe()
        assert described.names == NAMES
        assert int(described.serial, 16) == leaf.serial_number
        assert described.not_after == leaf.not_valid_after_utc.timestamp()
        assert described.source == "local"
        assert described.key == "EC secp256r1"
        assert 89 < described.days_left <= 90
        clock.advance(days=100)
        assert authority.describe().days_left < 0


class TestRenewal:
    """When the server certificate is replaced, and when not."""

    def test_a_second_ensure_changes_nothing(self, authority: Authority, folder: Path) -> None:
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        authority.ensure()
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_it_is_renewed_when_less_than_a_third_of_its_life_is_left(
        self, authority: Authority, clock: Clock
    ) -> None:
        clock.advance(days=59.9)
        assert not authority.needs_renewal()
        assert not authority.renew().renewed
        clock.advance(days=0.2)
        assert authority.needs_renewal()
        renewal = authority.renew()
        assert (renewal.renewed, authority.needs_renewal()) == (True, False)
        verify(authority, "localhost", clock() + 80 * DAY)

    def test_forcing_renews_at_once_with_a_new_key(self, authority: Authority) -> None:
        before = leaf_of(authority).public_key()
        assert authority.renew(force=True).renewed
        assert leaf_of(authority).public_key() != before

    def test_a_new_name_is_certified_by_the_same_authority(
        self, authority: Authority, make_authority: MakeAuthority, clock: Clock
    ) -> None:
        before = ca_of(authority)
        wider = make_authority(names=(*NAMES, "sallyport.example"))
        renewal = wider.renew()
        assert renewal.reason == "it did not cover sallyport.example"
        assert ca_of(wider).public_key() == before.public_key()
        assert ca_of(wider).subject == before.subject
        verify(wider, "sallyport.example", clock())

    def test_a_name_less_leaves_the_authority_as_clients_know_it(
        self, authority: Authority, make_authority: MakeAuthority
    ) -> None:
        before = authority.ca_file.read_bytes()
        assert make_authority(names=("localhost",)).renew(force=True).certificate.names == (
            "localhost",
        )
        assert authority.ca_file.read_bytes() == before

    def test_the_authority_is_certified_anew_in_its_last_year(
        self, authority: Authority, clock: Clock
    ) -> None:
        before = ca_of(authority)
        clock.advance(days=3650 - 364)
        authority.renew()
        assert ca_of(authority).public_key() == before.public_key()
        assert ca_of(authority).not_valid_after_utc > before.not_valid_after_utc
        verify(authority, "localhost", clock())

    def test_the_revocation_list_is_signed_again_before_it_expires(
        self, authority: Authority, clock: Clock
    ) -> None:
        authority.revoke("abcdef")
        end = revoked_in(authority).next_update_utc
        assert end
        clock.advance(days=61)
        authority.renew()
        renewed = revoked_in(authority)
        assert renewed.next_update_utc
        assert renewed.next_update_utc > end
        assert renewed.get_revoked_certificate_by_serial_number(0xABCDEF)

    def test_the_file_in_use_is_never_altered_and_two_before_it_are_kept(
        self, authority: Authority, folder: Path
    ) -> None:
        first, content = authority.server_file, authority.server_file.read_bytes()
        authority.renew(force=True)
        assert first.read_bytes() == content
        for _ in range(4):
            authority.renew(force=True)
        assert not first.exists()
        assert len(list(folder.glob("server-*.pem"))) == 3

    @pytest.mark.parametrize("content", [b"", b"no certificate"])
    def test_an_unreadable_server_certificate_is_replaced(
        self, authority: Authority, clock: Clock, content: bytes
    ) -> None:
        authority.server_file.write_bytes(content)
        with pytest.raises(CertificateMissing, match="certs renew"):
            authority.describe()
        authority.ensure()
        verify(authority, "localhost", clock())


class TestOnDisk:
    """Rights, secrets and damage."""

    def test_private_files_are_the_owners_alone_and_public_ones_readable(
        self, authority: Authority, folder: Path
    ) -> None:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        public = {name for name, mode in modes.items() if mode & 0o077}
        assert public == {"ca.pem", "crl.pem"}
        assert modes["ca.pem"] == 0o644
        assert modes[authority.server_file.name] == 0o600

    def test_chain_and_key_are_in_one_file(self, authority: Authority) -> None:
        key = load_pem_private_key(authority.server_file.read_bytes(), None)
        assert key.public_key() == leaf_of(authority).public_key()

    def test_the_authoritys_key_is_nowhere_in_plaintext(
        self, authority: Authority, folder: Path
    ) -> None:
        sealed = (folder / "ca.key.sealed").read_bytes()
        plain = Sealer((MASTER_KEY,)).open(sealed, CONTEXT)
        assert b"PRIVATE KEY" not in sealed
        for path in folder.iterdir():
            content = path.read_bytes()
            assert plain not in content
            if b"PRIVATE KEY" in content:
                key = load_pem_private_key(content, None)
                assert key.public_key() != ca_of(authority).public_key()

    def test_resealing_moves_the_key_to_the_first_master_key(
        self, authority: Authority, make_authority: MakeAuthority
    ) -> None:
        new = bytes(reversed(range(32)))
        make_authority(keys=(new, MASTER_KEY)).reseal()
        make_authority(keys=(new,)).renew(force=True)
        with pytest.raises(SealBroken):
            authority.renew(force=True)

    def test_a_lost_key_is_reported_and_no_other_authority_founded(
        self, authority: Authority, folder: Path
    ) -> None:
        before = authority.ca_file.read_bytes()
        (folder / "ca.key.sealed").unlink()
        with pytest.raises(AuthorityDamaged, match="Restore it from a backup"):
            authority.renew(force=True)
        assert authority.ca_file.read_bytes() == before

    def test_the_key_of_another_authority_is_reported(
        self, authority: Authority, tmp_path: Path, folder: Path
    ) -> None:
        other = Authority(tmp_path / "other", sealer=Sealer((MASTER_KEY,)), names=NAMES)
        other.ensure()
        (tmp_path / "other" / "ca.key.sealed").rename(folder / "ca.key.sealed")
        with pytest.raises(AuthorityDamaged, match="another authority"):
            authority.ensure()

    @pytest.mark.parametrize("loss", ["missing", "garbage", "foreign"])
    def test_a_lost_revocation_list_is_never_replaced_by_an_empty_one(
        self, authority: Authority, tmp_path: Path, loss: str
    ) -> None:
        other = Authority(tmp_path / "other", sealer=Sealer((MASTER_KEY,)), names=NAMES)
        other.ensure()
        authority.crl_file.unlink()
        if loss != "missing":
            content = other.crl_file.read_bytes() if loss == "foreign" else b"garbage"
            authority.crl_file.write_bytes(content)
        with pytest.raises(AuthorityDamaged, match="list of revocations"):
            authority.revoke("1")
        with pytest.raises(AuthorityDamaged, match="list of revocations"):
            authority.renew()

    def test_before_the_first_certificate_that_is_what_is_said(
        self, make_authority: MakeAuthority
    ) -> None:
        with pytest.raises(CertificateMissing):
            _ = make_authority().server_file


class TestClients:
    """Client certificates and their end."""

    def test_one_is_known_by_its_public_key_and_not_by_its_name(self, authority: Authority) -> None:
        first, second = authority.issue_client("rob"), authority.issue_client("rob")
        leaf = x509.load_pem_x509_certificate(first.certificate_pem)
        assert first.public_key_digest != second.public_key_digest
        assert first.public_key_digest == public_key_digest(_der(leaf))

    def test_a_renewed_certificate_of_one_key_is_the_same_principal(self, clock: Clock) -> None:
        outside, leaf = Outside(clock.now), Leaf()
        digests = {public_key_digest(_der(outside.leaf(leaf))) for _ in range(2)}
        assert len(digests) == 1

    def test_it_is_for_clients_only_and_names_its_client(self, authority: Authority) -> None:
        issued = authority.issue_client("rob", days=7)
        leaf = x509.load_pem_x509_certificate(issued.certificate_pem)
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 7
        assert "client rob" in leaf.subject.rfc4514_string()

    def test_an_independent_verifier_accepts_it(self, authority: Authority, clock: Clock) -> None:
        issued = authority.issue_client("rob")
        leaf = x509.load_pem_x509_certificate(issued.certificate_pem)
        builder = PolicyBuilder().store(Store([ca_of(authority)]))
        verifier = builder.time(datetime.fromtimestamp(clock(), UTC)).build_client_verifier()
        assert verifier.verify(leaf, []).subjects == [
            x509.UniformResourceIdentifier("urn:x-sallyport:client:rob")
        ]

    def test_nothing_of_it_stays_in_the_folder(self, authority: Authority, folder: Path) -> None:
        before = sorted(folder.iterdir())
        issued = authority.issue_client("rob")
        assert sorted(folder.iterdir()) == before
        assert issued.key_pem.decode() not in repr(issued)

    @pytest.mark.parametrize("name", ["", "../rob", ".rob", "a/b", "a b", "x" * 58, "rob\n"])
    def test_a_name_that_could_be_a_path_is_refused(self, authority: Authority, name: str) -> None:
        with pytest.raises(NameMalformed):
            authority.issue_client(name)

    def test_saving_makes_a_private_key_file_and_overwrites_nothing(
        self, authority: Authority, tmp_path: Path
    ) -> None:
        issued = authority.issue_client("rob")
        certificate, key = issued.save(tmp_path / "out")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        with pytest.raises(Exception, match="it exists already"):
            authority.issue_client("rob").save(tmp_path / "out")
        assert (certificate.read_bytes(), key.read_bytes()) == (
            issued.certificate_pem,
            issued.key_pem,
        )

    def test_revoking_is_listed_once_and_signed_by_the_authority(
        self, authority: Authority
    ) -> None:
        issued = authority.issue_client("rob")
        authority.revoke(issued.serial)
        authority.revoke(issued.serial.upper())
        authority.revoke("0x1:00")
        revoked = revoked_in(authority)
        key = ca_of(authority).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert revoked.is_signature_valid(key)
        serials = [entry.serial_number for entry in revoked]
        assert serials == [int(issued.serial, 16), 0x100]

    @pytest.mark.parametrize("serial", ["", "0", "rob", "-1", "1.5", "f" * 41, "1 2"])
    def test_what_is_no_serial_cannot_be_revoked(self, authority: Authority, serial: str) -> None:
        with pytest.raises(SerialMalformed):
            authority.revoke(serial)

    def test_each_list_has_a_higher_number(self, authority: Authority) -> None:
        numbers = []
        for serial in ("a", "b", "c"):
            authority.revoke(serial)
            number = revoked_in(authority).extensions.get_extension_for_class(x509.CRLNumber)
            numbers.append(number.value.crl_number)
        assert numbers == sorted(set(numbers))


class TestImportedInUse:
    """What the authority does while a certificate from outside serves."""

    def test_renewing_leaves_it_and_forcing_replaces_it(
        self, authority: Authority, clock: Clock
    ) -> None:
        leaf = Leaf()
        described = authority.import_pair(Outside(clock.now).fullchain(leaf), key_pem(leaf.key))
        assert described.source == "imported"
        clock.advance(days=50)
        kept = authority.renew()
        assert (kept.renewed, kept.certificate.serial) == (False, described.serial)
        assert "import it again" in kept.reason
        assert authority.renew(force=True).certificate.source == "local"


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
