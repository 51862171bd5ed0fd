"""Names: which may stand on a certificate, and which cover which."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from certs.errors import NameMalformed
from certs.names import check_names, closed, general_name, subtrees, uncovered, written

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=5).map(".".join).filter(lambda n: not n[-1].isdigit())
addresses = st.ip_addresses().map(str)
BAD = ["", ".", "a..b", "-a", "a-", "a.", "*", "a.*.b", "**.a", "a b", "bücher.example",
       "10.0.0", "1.2.3.999", "fe80::1%eth0x/64", "x" * 64, ".".join(["a" * 60] * 5), "a\n",
       "https://a", "a:443"]  # fmt: skip


@given(name=hosts | addresses)
def test_a_name_is_read_as_it_is_written(name: str) -> None:
    assert general_name(written(general_name(name))) == general_name(name)
    assert uncovered([name], [name]) == []


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(NameMalformed):
        general_name(name)


@given(host=hosts, label=labels)
def test_a_wildcard_covers_exactly_one_more_label(host: str, label: str) -> None:
    pattern = [f"*.{host}"]
    assert uncovered([f"{label}.{host}"], pattern) == []
    assert uncovered([host], pattern) == [host]
    deeper = f"{label}.{label}.{host}"
    assert uncovered([deeper], pattern) == [deeper]


@given(address=addresses)
def test_a_wildcard_covers_no_address(address: str) -> None:
    assert uncovered([address], ["*.0.0.1", f"*.{address.partition('.')[2]}"]) == [address]


@given(host=hosts)
def test_case_does_not_matter(host: str) -> None:
    assert uncovered([host.upper()], [host]) == uncovered([host], [host.upper()]) == []


@given(names=st.lists(hosts | addresses, min_size=1, max_size=5))
def test_constraints_always_name_a_host_and_an_address(names: list[str]) -> None:
    found = closed(subtrees(names))
    nets = [name for name in found if isinstance(name, x509.IPAddress)]
    assert nets
    assert len(nets) < len(found)
    assert all(str(net.value).endswith(("/32", "/128")) for net in nets)


def test_names_are_written_once_and_alike() -> None:
    assert check_names(["LOCALHOST", "localhost", "0:0:0:0:0:0:0:1", "::1"]) == ("localhost", "::1")
