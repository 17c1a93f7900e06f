"""Where a connection comes from, as coarsely as a budget needs to know. Pure."""

from __future__ import annotations

import ipaddress


def prefix_of(host: str | None) -> str:
    """The network a connection comes from: a /24 of IPv4, a /56 of IPv6; anything else is one network."""
    try:
        ip = ipaddress.ip_address(host or "")
    except ValueError:
        return "elsewhere"
    ip = getattr(ip, "ipv4_mapped", None) or ip
    bits = 24 if ip.version == 4 else 56  # noqa: PLR2004 -- the version of the Internet Protocol.
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False))
