"""Whether a request can have been sent by a page of somebody else, and whether a name leads here that is not ours.

A browser lets any page send requests to any host (cross-site request forgery), and any page's own name may be made to
lead to 127.0.0.1 (DNS rebinding). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing here, so that whoever makes a browser send them gains nothing: it cannot read answers."""


def is_own_address(host: str) -> bool:
    """Whether a host name or address, without a port, leads to this machine only."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def names_this_machine(host: str) -> bool:
    """Whether a Host header names this machine as itself. A rebound name is another one, wherever it leads."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and is_own_address(name)


def is_forged(method: str, headers: Mapping[str, str], hosts: tuple[str, ...], unsaid: bool) -> bool:
    """Whether a request that changes something may come from a page of somebody else.

    `hosts` are the names that a browser may know us by, with ports; `unsaid` what to think when nothing is said of the
    origin: browsers have said it for years, other programs do not."""
    if method in SAFE:
        return False
    if site := headers.get("Sec-Fetch-Site"):
        return site not in ("same-origin", "none")  # none: a person typed the address
    if (origin := headers.get("Origin")) is None:
        return unsaid
    try:
        return urlsplit(origin).netloc.lower() not in {host.lower() for host in hosts}
    except ValueError:
        return True
