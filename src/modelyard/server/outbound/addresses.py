"""Which IP addresses outbound requests never connect to. Pure."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IpAddress = IPv4Address | IPv6Address

# `is_global` is true for all of these in Python 3.11, though they lead to services inside a network or a cloud.
_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # the platform address of Azure
        "192.0.0.192/32",  # metadata of Oracle Cloud
        "192.88.99.0/24",  # the former 6to4 relays
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
        "::/96",  # IPv4-compatible
    )
)
# Addresses that a host may have if the operator lists it: the networks of a studio, and this machine.
_INTERNAL = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128", "fc00::/7")
)
# Metadata services at addresses of these networks.
_METADATA = frozenset(ip_address(text) for text in ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254"))


def is_allowed(address: IpAddress, *, is_listed: bool) -> bool:
    """Return whether a host may be connected to at this address.

    A host that the operator lists may be in an internal network or on this machine; metadata services, link-local,
    multicast and reserved addresses are refused in any case. An IPv6 address that embeds an IPv4 address is allowed
    only if both are.
    """
    return all(_is_plain_allowed(each, is_listed=is_listed) for each in _list_meanings(address))


def _is_plain_allowed(address: IpAddress, *, is_listed: bool) -> bool:
    """Return whether an address is allowed, regardless of what it embeds."""
    if address in _METADATA or address.is_multicast:
        return False
    if is_listed and _is_in(address, _INTERNAL):
        return True
    is_reserved = address.is_private or address.is_loopback or address.is_link_local or address.is_reserved
    return address.is_global and not is_reserved and not _is_in(address, _NOT_PUBLIC)


def _is_in(address: IpAddress, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Return whether an address is in one of the networks."""
    return any(address.version == network.version and address in network for network in networks)


def _list_meanings(address: IpAddress) -> Iterator[IpAddress]:
    """Return the addresses that a packet to this one may reach: itself, and an IPv4 address that it embeds.

    A mapped address (``::ffff:0:0/96``) is the IPv4 address and nothing else.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    if isinstance(address, IPv6Address):
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
        if address in IPv6Network("64:ff9b::/96"):
            yield IPv4Address(int(address) & 0xFFFF_FFFF)
