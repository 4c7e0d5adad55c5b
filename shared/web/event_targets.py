"""Where events may be sent: which hosts an operator allows, and which of their addresses are reached.

Whoever may subscribe could otherwise have the service send requests into the network that it runs in (server-side
request forgery). So a name has to be allowed, each of its addresses has to be public or in an allowed network, and a
host is spelled in one way only. Pure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self
from urllib.parse import urlsplit

from shared.errors import BadRequest

Address = IPv4Address | IPv6Address

MAX_URL_LENGTH: Final = 2048

_LOOPBACK: Final = "localhost"
_URL: Final = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_PLACE: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(:[0-9]{1,5})?")
_NAME: Final = re.compile(r"(?!-)[a-z0-9_\-]{1,63}(\.(?!-)[a-z0-9_\-]{1,63})*")
_NUMBER: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")  # what resolvers may take for an IPv4 address
_TOPIC: Final = re.compile(rf"https://({_NAME.pattern}\.eventgrid\.azure\.net)/api/events")

# Reaches Azure's own agents from every virtual machine, although its number is a public one.
_AZURE_PLATFORM: Final = ip_address("168.63.129.16")
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")  # all that is assigned so far; translators have prefixes outside of it
_WITHIN_IPV6: Final = tuple(map(IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


@dataclass(frozen=True, slots=True)
class AllowedTargets:
    """The hosts and networks of the setting SUBSCRIPTION_HOSTS; `addresses` are hosts that are named by theirs."""

    names: frozenset[str]
    addresses: frozenset[Address]
    domains: tuple[str, ...]
    networks: tuple[IPv4Network | IPv6Network, ...]
    is_any: bool

    @classmethod
    def of(cls, hosts: Sequence[str]) -> Self:
        """What the setting's entries allow, in lower case."""
        return cls(
            names=frozenset(hosts),
            addresses=frozenset(address for host in hosts if (address := _address(host)) is not None),
            domains=tuple(host.removeprefix("*") for host in hosts if host.startswith("*.")),
            networks=tuple(ip_network(host) for host in hosts if "/" in host),
            is_any="*" in hosts,
        )

    def host_of(self, url: str) -> str:
        """The host of a URL to which events may be sent, as it is resolved; an IPv6 address without brackets.

        Raises BadRequest, which says what is allowed.
        """
        scheme, host = _split(url)
        if not self._names(host):
            raise BadRequest("The host of url is none of those that SUBSCRIPTION_HOSTS allows.")
        address = _address(host)
        is_loopback = host == _LOOPBACK if address is None else address.is_loopback
        if scheme == "http" and not (is_loopback and (self._names_itself(host) or self._has_in_network(address))):
            raise BadRequest("url must be https; http only for a loopback host that SUBSCRIPTION_HOSTS names.")
        if address is not None and not self.reaches(host, address):
            raise BadRequest(NOT_PUBLIC)
        return host

    def check_topic(self, endpoint: str) -> None:
        """Raises BadRequest unless events may be published to this endpoint of an Event Grid topic."""
        found = _TOPIC.fullmatch(endpoint.lower())
        if found is None or len(endpoint) > MAX_URL_LENGTH:
            raise BadRequest("eventGridTopic must be a topic's endpoint, https://….eventgrid.azure.net/api/events.")
        if not self._names(found[1]):
            raise BadRequest("The host of eventGridTopic is none of those that SUBSCRIPTION_HOSTS allows.")

    def reaches(self, host: str, address: Address) -> bool:
        """Whether a host that is allowed may be reached at an address, one of those it resolves to."""
        inner = _unwrapped(address)
        if self._names_itself(host) and (address == _address(host) or (host == _LOOPBACK and address.is_loopback)):
            return True
        return _is_public(inner) or self._has_in_network(address) or self._has_in_network(inner)

    def _names(self, host: str) -> bool:
        if self.is_any or self._names_itself(host) or self._has_in_network(_address(host)):
            return True
        return any(host.endswith(domain) for domain in self.domains)

    def _has_in_network(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.networks)

    def _names_itself(self, host: str) -> bool:
        address = _address(host)
        return host in self.names if address is None else address in self.addresses


NOT_PUBLIC: Final = "The host has an address that is neither public nor in a network of SUBSCRIPTION_HOSTS."


def _split(url: str) -> tuple[str, str]:
    """Scheme and host, in lower case. Raises BadRequest for what two readers of URLs could read differently."""
    if len(url) > MAX_URL_LENGTH or not _URL.fullmatch(url):
        raise BadRequest(f"url must be a URL of at most {MAX_URL_LENGTH} characters, others than ASCII encoded.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadRequest("url is not a URL.") from None
    if parts.scheme not in ("https", "http") or not host:
        raise BadRequest("url must be an https URL with a host.")
    if not _PLACE.fullmatch(parts.netloc) or "#" in url or port == 0:
        raise BadRequest("url must have a host, perhaps with a port, and neither a user nor a fragment.")
    if parts.netloc.startswith("["):
        if not isinstance(_address(host), IPv6Address):
            raise BadRequest("The host of url is in brackets, and is no IPv6 address.")
    elif _NUMBER.fullmatch(host):
        if _address(host) is None:
            raise BadRequest("The host of url is a number: write an IPv4 address as four decimal numbers.")
    elif len(host) > 253 or not _NAME.fullmatch(host):
        raise BadRequest("The host of url must be a DNS name, without a dot at its end, or an IP address.")
    return parts.scheme, host


def _address(host: str) -> Address | None:
    if "%" in host:  # an interface of this machine
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, if any: mapped, 6to4, or through NAT64."""
    if not isinstance(address, IPv6Address):
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if int(address) > 1 and any(address in network for network in _WITHIN_IPV6):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_IPV6:
        return False
    return address.is_global and not (address.is_multicast or address == _AZURE_PLATFORM)
