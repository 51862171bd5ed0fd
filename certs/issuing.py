"""What the local authority signs: itself, servers, clients and its list of revocations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.errors import MOST_DAYS, LifetimeOutOfRange
from certs.names import check_client_name, closed, general_name, subtrees
from certs.pairs import Pair

AUTHORITY_SPAN: Final = timedelta(days=3650)
AUTHORITY_RESERVE: Final = timedelta(days=365)
# A client whose clock is a little behind must not find a new certificate "not yet valid".
BACKDATED: Final = timedelta(minutes=5)
EMPTY_USAGE: Final = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority's certificate and the key that it signs with."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def serves(self, names: Iterable[str], *, now: float) -> bool:
        """Say whether it may certify these names and will stand for long enough."""
        left = self.certificate.not_valid_after_utc - _moment(now)
        return subtrees(names) <= _permitted(self.certificate) and left > AUTHORITY_RESERVE

    def renewed(self, names: Iterable[str], *, now: float) -> Issuer:
        """The same authority, key and name, for these names as well as those it had.

        What it signed before stays valid: nothing it was permitted is taken away.
        """
        permitted = _permitted(self.certificate) | subtrees(names)
        return Issuer(_self_signed(self.key, permitted, now), self.key)

    def issue_server(self, names: Iterable[str], *, days: int, now: float) -> Pair:
        """Certify a new key for a server that answers to these names."""
        san = x509.SubjectAlternativeName([general_name(name) for name in names])
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue("Sallyport server", san, usage, days=days, now=now)

    def issue_client(self, name: str, *, days: int, now: float) -> Pair:
        """Certify a new key for a client; the name is for people, the key is the identity."""
        uri = x509.UniformResourceIdentifier(f"urn:x-sallyport:client:{check_client_name(name)}")
        san = x509.SubjectAlternativeName([uri])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        # The prefix keeps a dotted name from being read as a host name, which the
        # authority's name constraints would forbid.
        return self._issue(f"client {name}", san, usage, days=days, now=now)

    def list_revoked(
        self, revoked: Iterable[x509.RevokedCertificate], *, number: int, days: int, now: float
    ) -> x509.CertificateRevocationList:
        """Sign the list of certificates that are no longer to be accepted."""
        start = _moment(now)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(start - BACKDATED)
            .next_update(start - BACKDATED + timedelta(days=days))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_key_identifier(self.key), critical=False)
        )
        for entry in revoked:
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256())

    def _issue(
        self,
        common_name: str,
        san: x509.SubjectAlternativeName,
        usage: x509.ObjectIdentifier,
        *,
        days: int,
        now: float,
    ) -> Pair:
        key = new_key()
        builder = _builder(common_name, key, self.certificate.subject)
        builder = _valid(builder, now, check_days(days), until=self.certificate)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(san, critical=False)
            .add_extension(_key_identifier(self.key), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Pair((certificate,), key)


def found_authority(key: ec.EllipticCurvePrivateKey, names: Iterable[str], *, now: float) -> Issuer:
    """Let the key certify itself as an authority for these names and no others."""
    return Issuer(_self_signed(key, subtrees(names), now), key)


def revocation(serial: int, *, now: float) -> x509.RevokedCertificate:
    """An entry of a revocation list."""
    builder = x509.RevokedCertificateBuilder().serial_number(serial)
    return builder.revocation_date(_moment(now)).build()


def check_days(days: int) -> int:
    """Return the days if a certificate may live so long; raises LifetimeOutOfRange."""
    if not 1 <= days <= MOST_DAYS:
        raise LifetimeOutOfRange(days)
    return days


def _self_signed(
    key: ec.EllipticCurvePrivateKey, permitted: Iterable[x509.GeneralName], now: float
) -> x509.Certificate:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # The key's own identifier in the name: two installations' authorities never share a name
    # in a trust store.
    name = f"Sallyport authority {identifier.digest.hex()[:12]}"
    # Whoever trusts this authority trusts it for this installation's names only.
    constraints = x509.NameConstraints(sorted(closed(permitted), key=repr), excluded_subtrees=None)
    start = _moment(now) - BACKDATED
    return (
        _builder(name, key, _subject(name))
        .not_valid_before(start)
        .not_valid_after(start + AUTHORITY_SPAN)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(_key_identifier(key), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    common_name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(common_name))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _valid(
    builder: x509.CertificateBuilder, now: float, days: int, *, until: x509.Certificate
) -> x509.CertificateBuilder:
    start = _moment(now) - BACKDATED
    end = min(start + timedelta(days=days), until.not_valid_after_utc)
    return builder.not_valid_before(start).not_valid_after(end)


def _subject(common_name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sallyport")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_identifier(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _usage(**allowed: bool) -> x509.KeyUsage:
    return x509.KeyUsage(**(EMPTY_USAGE | allowed))


def _permitted(certificate: x509.Certificate) -> frozenset[x509.GeneralName]:
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    return frozenset(constraints.permitted_subtrees or ())


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(int(now), UTC)
