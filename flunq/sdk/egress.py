"""Which addresses executors may connect to."""

from __future__ import annotations

import ipaddress

import msgspec

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_LINK_LOCAL = _networks("169.254.0.0/16", "fe80::/10")
_METADATA = _networks(
    "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128"
)
_LOOPBACK = _networks("127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128")
_PRIVATE = _networks(
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "198.18.0.0/15",
    "fc00::/7",
    "fec0::/10",
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")


_SWITCH = "FLUNQ_EGRESS=development of the node allows them"


class EgressPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What may be connected to besides public addresses; link-local never is."""

    loopback: bool = False
    private: bool = False

    @classmethod
    def development(cls) -> EgressPolicy:
        """Return the policy of a laptop: the machine itself and its networks are fine."""
        return cls(loopback=True, private=True)

    @classmethod
    def of_profile(cls, profile: str) -> EgressPolicy:
        """Return the policy of the ``development`` profile, or the strict one."""
        return cls.development() if profile == "development" else cls()

    def refusal(self, address: str) -> str | None:
        """Say why ``address`` may not be connected to, or None if it may."""
        parsed = _effective(ipaddress.ip_address(address.partition("%")[0]))
        if _within(parsed, _LINK_LOCAL):
            return "link-local addresses are never reachable"
        if _within(parsed, _METADATA):
            return "cloud metadata services are never reachable"
        if _within(parsed, _LOOPBACK):
            return None if self.loopback else f"loopback addresses are not allowed here; {_SWITCH}"
        if _within(parsed, _PRIVATE):
            return None if self.private else f"private addresses are not allowed here; {_SWITCH}"
        if parsed.is_multicast or parsed.is_reserved:
            return "multicast and reserved addresses are never reachable"
        return None


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def _effective(address: Address) -> Address:
    """Unwrap the IPv4 address that an IPv6 one stands for, else it would slip past the lists."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    embedded = address.ipv4_mapped or address.sixtofour
    if embedded is None and address in _NAT64:
        embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if embedded is None and address in _V4_COMPATIBLE and int(address) > 1:
        embedded = ipaddress.IPv4Address(int(address))
    return embedded or address
