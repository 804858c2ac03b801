"""Which network an address stands for."""

import pytest

from polls.networks import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::FFFF:CB00:7109", "203.0.113.9"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:0db8:0001:0003::1", "2001:db8:1:3::/64"),
        ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::2%wlan0", "fe80::/64"),
        ("::1", "::/64"),
        (" 203.0.113.9 ", "203.0.113.9"),
    ],
)
def test_address_stands_for_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    "address", ["", "testclient", "203.0.113", "203.0.113.09", "1.2.3.4:80", "::g", "1.2.3.4\n5"]
)
def test_what_is_no_address_is_unknown(address: str) -> None:
    assert network_of(address) == "unknown"
