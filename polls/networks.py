"""Where a request comes from, as far as one address tells one place from another."""

import ipaddress

# What one household or phone is given of IPv6: whoever has one address has all of them.
_PREFIX = 64
UNKNOWN = "unknown"


def network_of(address: str) -> str:
    """Return the network that an address stands for: `203.0.113.9`, or `2001:db8:1:2::/64`.

    An IPv4 address stands for itself, in IPv6's clothes too; an IPv6 address for its /64. What is
    no address, such as the empty name of a local socket, is `unknown`.
    """
    try:
        found = ipaddress.ip_address(address.strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return UNKNOWN
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    # By its number: the name of an interface behind a % is no part of the network.
    return str(ipaddress.IPv6Network((int(found), _PREFIX), strict=False))
