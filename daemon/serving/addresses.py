"""Who is at the other end of a connection, as far as limits are concerned."""

from ipaddress import IPv6Address, ip_address
from typing import NewType

from daemon.config.address import is_loopback, plain_ip

Address = NewType("Address", str)
"""An IPv4 address, an IPv6 network of 64 bits, 127.0.0.1 for all of loopback, or "unix".

What one machine can vary at will counts as one.
"""

UNIX = Address("unix")
LOOPBACK = Address("127.0.0.1")


def ip_of(peer: object) -> str | None:
    """The IP address of a socket's `peername`; None of a Unix socket, where that is not a tuple."""
    return plain_ip(str(peer[0]).partition("%")[0]) if isinstance(peer, tuple) and peer else None


def address_of(peer: object) -> Address:
    """The address behind a socket's `peername`."""
    host = ip_of(peer)
    if host is None:
        return UNIX
    if is_loopback(host):
        return LOOPBACK
    parsed = ip_address(host)
    if isinstance(parsed, IPv6Address):  # a host usually has 2^64 of them
        return Address(f"{IPv6Address(int(parsed) >> 64 << 64)}/64")
    return Address(host)
