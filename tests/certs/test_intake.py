"""Certificates from outside: good ones serve, bad ones are refused and the old one kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.authority import Authority
from certs.contexts import client_context, server_context
from certs.errors import CertificateRefused
from certs.installed import ServerFiles
from certs.intake import check_loads
from certs.pairs import Pair
from tests.certs import old_certificate
from tests.certs.conftest import Clock, MakeAuthority
from tests.certs.outside import Key, Leaf, Outside, key_pem, p256, pem, rsa_key
from tests.certs.wire import shake_hands


@pytest.fixture
def outside(clock: Clock) -> Outside:
    """The authority that the certificates of this test come from."""
    return Outside(clock.now)


@pytest.fixture
def refused(authority: Authority) -> Callable[..., None]:
    """Assert that an import is refused, says why, and changes nothing."""
    before = authority.server_file

    def check(match: str, cert: bytes, key: bytes, **options: bytes) -> None:
        with pytest.raises(CertificateRefused, match=match) as caught:
            authority.import_pair(cert, key, **options)
        assert "the certificate in use was kept" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert authority.server_file == before
        assert server_context("modern", before)

    return check


@pytest.mark.parametrize(
    "make_key", [p256, lambda: ec.generate_private_key(ec.SECP384R1()), lambda: rsa_key(2048)]
)
def test_a_good_pair_serves_at_once(
    authority: Authority, outside: Outside, tmp_path: Path, make_key: Callable[[], Key]
) -> None:
    leaf = Leaf(key=make_key())
    authority.import_pair(outside.fullchain(leaf), key_pem(leaf.key))
    root = tmp_path / "root.pem"
    root.write_bytes(pem(outside.root))
    server = server_context("modern", authority.server_file)
    assert shake_hands(server, client_context(root)).refusal == ""


def test_the_chain_may_come_in_its_own_file(authority: Authority, outside: Outside) -> None:
    leaf = Leaf()
    authority.import_pair(
        pem(outside.leaf(leaf)).strip(), key_pem(leaf.key), chain_pem=pem(outside.intermediate)
    )
    assert len(x509.load_pem_x509_certificates(authority.server_file.read_bytes())) == 2


def test_an_encrypted_key_opens_with_its_passphrase(
    authority: Authority, outside: Outside, refused: Callable[..., None]
) -> None:
    leaf = Leaf()
    cert, key = outside.fullchain(leaf), key_pem(leaf.key, passphrase=b"sesame")
    refused("Give its passphrase", cert, key)
    refused("passphrase is wrong", cert, key, passphrase=b"simsim")
    refused("Leave the passphrase out", cert, key_pem(leaf.key), passphrase=b"sesame")
    assert authority.import_pair(cert, key, passphrase=b"sesame").source == "imported"


BAD_LEAVES = {
    "expired on": Leaf(start=-30, end=-0.001),
    "not valid before": Leaf(start=0.001),
    "does not cover 127.0.0.1, ::1": Leaf(names=("localhost",)),
    "does not cover localhost, 127.0.0.1, ::1": Leaf(names=()),
    "an authority's, not a server's": Leaf(is_authority=True),
    "no serverAuth": Leaf(usage=ExtendedKeyUsageOID.CLIENT_AUTH),
    "no digitalSignature": Leaf(signs=False),
    "RSA of 1024 bits": Leaf(key=rsa_key(1024)),
    "the curve secp521r1": Leaf(key=ec.generate_private_key(ec.SECP521R1())),
    "the curve secp256k1": Leaf(key=ec.generate_private_key(ec.SECP256K1())),
    "Ed25519": Leaf(key=ed25519.Ed25519PrivateKey.generate()),
}


@pytest.mark.parametrize("match", BAD_LEAVES)
def test_a_bad_certificate_is_refused(
    outside: Outside, refused: Callable[..., None], match: str
) -> None:
    leaf = BAD_LEAVES[match]
    refused(match, outside.fullchain(leaf), key_pem(leaf.key))


def test_another_ones_key_is_refused(outside: Outside, refused: Callable[..., None]) -> None:
    refused("the key is not the key of", outside.fullchain(Leaf()), key_pem(p256()))


def test_a_chain_out_of_order_is_refused(outside: Outside, refused: Callable[..., None]) -> None:
    leaf = Leaf()
    certificate, key = outside.leaf(leaf), key_pem(leaf.key)
    refused("the key is not the key", pem(outside.intermediate, certificate), key)
    refused("the chain is broken", pem(certificate, outside.root, outside.intermediate), key)
    refused("the chain is broken", pem(certificate, outside.root), key)


def test_a_chain_of_another_authority_is_refused(
    outside: Outside, clock: Clock, refused: Callable[..., None]
) -> None:
    leaf, other = Leaf(), Outside(clock.now)
    refused("the chain is broken", pem(outside.leaf(leaf), other.intermediate), key_pem(leaf.key))


def test_a_chain_beyond_measure_is_refused(outside: Outside, refused: Callable[..., None]) -> None:
    leaf = Leaf()
    refused("at most 8", pem(outside.leaf(leaf), *[outside.root] * 8), key_pem(leaf.key))


def test_an_expired_intermediate_is_refused(
    outside: Outside, clock: Clock, refused: Callable[..., None]
) -> None:
    leaf = Leaf(end=3000)
    cert = outside.fullchain(leaf)
    clock.advance(days=1001)
    refused("Outside Intermediate expired", cert, key_pem(leaf.key))


def test_a_sha1_signature_is_refused(refused: Callable[..., None]) -> None:
    refused("is signed with sha1", old_certificate.CERTIFICATE, old_certificate.KEY)


def test_a_file_that_the_tls_stack_does_not_take_is_never_pointed_at(
    authority: Authority, folder: Path, outside: Outside
) -> None:
    leaf = Leaf()
    pair = Pair((outside.leaf(leaf),), p256())
    before = sorted(folder.iterdir()), authority.server_file
    with pytest.raises(CertificateRefused, match="KEY_VALUES_MISMATCH"):
        ServerFiles(folder).install(pair, "imported", check=check_loads)
    assert (sorted(folder.iterdir()), authority.server_file) == before


def test_a_wildcard_covers_one_label(make_authority: MakeAuthority, outside: Outside) -> None:
    leaf = Leaf(names=("*.sallyport.example",))
    cert, key = outside.fullchain(leaf), key_pem(leaf.key)
    assert make_authority(names=("api.sallyport.example",)).import_pair(cert, key)
    for name in ("sallyport.example", "a.b.sallyport.example"):
        with pytest.raises(CertificateRefused, match="does not cover"):
            make_authority(names=(name,)).import_pair(cert, key)


@pytest.mark.parametrize("text", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_pem_is_refused(
    outside: Outside, refused: Callable[..., None], text: bytes
) -> None:
    leaf = Leaf()
    refused("not readable as PEM", text, key_pem(leaf.key))
    refused("not readable as PEM", outside.fullchain(leaf), text)


@pytest.fixture
def good_texts(outside: Outside) -> tuple[bytes, bytes]:
    """A chain and its key."""
    leaf = Leaf()
    return outside.fullchain(leaf), key_pem(leaf.key)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(in_key=st.booleans(), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_damaged_file_is_refused_or_is_still_a_matching_pair(
    authority: Authority,
    good_texts: tuple[bytes, bytes],
    in_key: bool,
    place: float,
    flip: int,
) -> None:
    texts = [bytearray(text) for text in good_texts]
    text = texts[in_key]
    text[int(place * len(text))] ^= flip
    with contextlib.suppress(CertificateRefused):
        authority.import_pair(bytes(texts[0]), bytes(texts[1]))
    assert server_context("modern", authority.server_file)
