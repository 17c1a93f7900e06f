"""Which addresses may be connected to: those of the public internet, and hosts that the operator allows. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

# Written out, because what `is_global` says differs between versions of Python (W-51; IANA's special-purpose tables).
_CLOSED_V4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata lives at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's inner server on a public address
        "169.254.0.0/16",  # link-local; the clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
# All other IPv6 is unassigned or special: loopback, mapped and NAT64 forms of IPv4, ULA, link-local, multicast.
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # Teredo, ORCHID, protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries any IPv4 address
        "3fff::/20",
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet. False for what is no address at all."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in block for block in _CLOSED_V4)
    return ip in _OPEN_V6 and not any(ip in block for block in _CLOSED_V6)


def is_allowed_host(host: str, port: int, allow_private: Collection[str]) -> bool:
    """Whether the operator named this host (`wiki.inside` or `127.0.0.1:8080`) as one to be read all the same."""
    host = host.lower().strip("[]")
    names = {name.lower().strip() for name in allow_private}
    return bool({host, f"[{host}]", f"{host}:{port}", f"[{host}]:{port}"} & names)
