"""The certificate of host names alone, for clients that cannot verify constrained addresses."""

from __future__ import annotations

from certs.authority import Authority
from certs.inspection import names_of
from tests.certs.conftest import Clock, MakeAuthority
from tests.certs.outside import Leaf, Outside, key_pem
from tests.certs.test_authority import ca_of


def test_it_is_signed_by_the_authority_and_has_no_address(authority: Authority) -> None:
    pair = authority.issue_for_hosts()

    assert pair is not None
    assert names_of(pair.leaf) == ("localhost",)
    pair.leaf.verify_directly_issued_by(ca_of(authority))


def test_it_is_kept_nowhere(authority: Authority) -> None:
    folder = authority.ca_file.parent
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    authority.issue_for_hosts()

    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_there_is_none_where_the_one_in_use_will_do(make_authority: MakeAuthority) -> None:
    hosts = make_authority(names=("localhost", "example.org"))
    hosts.ensure()
    assert hosts.issue_for_hosts() is None


def test_there_is_none_beside_one_from_outside(authority: Authority, clock: Clock) -> None:
    leaf = Leaf(names=("localhost", "127.0.0.1", "::1"))
    authority.import_pair(Outside(clock.now).fullchain(leaf), key_pem(leaf.key))
    assert authority.issue_for_hosts() is None
