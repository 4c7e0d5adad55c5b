"""Connections to where events go: only to addresses that were checked, straight, and for half a minute at most.

A name is resolved for each connection, and the connection goes to what was checked: a name that later resolves to
another address leads nowhere else (DNS rebinding).
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final

from aiohttp import (
    ClientConnectorDNSError,
    ClientError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared.errors import BadRequest
from shared.web.event_targets import NOT_PUBLIC, AllowedTargets

_SECONDS: Final = 30
_HEAD_BYTES: Final = 4096
_LONGEST_PAUSE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target answered: its status, or None and the `reason` why there is no answer that counts.

    `retry_after` is how many seconds it asks to be left alone, at most an hour. `allowed_origin` is whose events it
    says that it takes (CloudEvents' WebHook-Allowed-Origin); "" where it says nothing.
    """

    status: int | None
    reason: str = ""
    retry_after: float = 0
    allowed_origin: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the target has taken what was sent."""
        return self.status is not None and 200 <= self.status < 300


class Targets:
    """A session with whatever the settings allow."""

    def __init__(self, session: ClientSession, allowed: AllowedTargets) -> None:
        self._session = session
        self._allowed = allowed

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Send a request; of the answer, only status and headers are read, and redirects are not followed.

        The address is checked, too. Raises nothing that has to do with the target.
        """
        try:
            host = self._allowed.host_of(url)
            target = URL(url, encoded=True)
            if target.host != host:
                return Answer(None, "The host of url can be read in two ways.")
            async with self._session.request(
                method, target, data=body, headers=headers, allow_redirects=False
            ) as response:
                return Answer(
                    response.status,
                    "" if 200 <= response.status < 300 else f"It answered {response.status}.",
                    retry_seconds(response.headers.get("Retry-After", "")),
                    response.headers.get("WebHook-Allowed-Origin", "").strip(),
                )
        except BadRequest as error:
            return Answer(None, str(error))
        except ClientConnectorDNSError as error:
            refused = isinstance(error.os_error, _NotPublic)
            return Answer(None, NOT_PUBLIC if refused else "The name of its host cannot be resolved.")
        except ClientSSLError:
            return Answer(None, "Its certificate is not accepted, or it does not speak TLS.")
        except TimeoutError:
            return Answer(None, f"It did not answer within {_SECONDS} seconds.")
        except (ClientError, OSError, ValueError):
            return Answer(None, "It cannot be reached, or what it answers is not HTTP.")


@asynccontextmanager
async def open_targets(allowed: AllowedTargets) -> AsyncIterator[Targets]:
    """Targets for as long as they are used: without cookies, proxies, or anything else from the environment."""
    connector = TCPConnector(resolver=_CheckedResolver(allowed), use_dns_cache=False, limit_per_host=1)
    session = ClientSession(
        connector=connector,
        timeout=ClientTimeout(total=_SECONDS),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_HEAD_BYTES,
        max_line_size=_HEAD_BYTES,
        max_field_size=_HEAD_BYTES,
        skip_auto_headers=("User-Agent",),
    )
    async with session:
        yield Targets(session, allowed)


def retry_seconds(header: str) -> float:
    """The seconds that a header Retry-After asks for (RFC 9110 10.2.3), at most an hour; 0 where it says nothing."""
    if header.isascii() and header.isdigit():
        return min(float(header[:9]), _LONGEST_PAUSE_SECONDS)
    try:
        seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0
    return min(max(seconds, 0), _LONGEST_PAUSE_SECONDS)


class _NotPublic(OSError):
    """An address that is neither public nor allowed."""


class _CheckedResolver(AbstractResolver):
    """Resolves names, and refuses those that have an address which may not be reached."""

    def __init__(self, allowed: AllowedTargets) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name. Raises OSError where it has none, or one that may not be reached."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        addresses = [str(address[0]) for *_, address in found]
        if not all("%" not in one and self._allowed.reaches(host, ip_address(one)) for one in addresses):
            raise _NotPublic
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=address_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for one, (address_family, _, protocol, *_) in zip(addresses, found, strict=True)
        ]

    async def close(self) -> None:
        """Nothing is held."""
