"""The authority that signs tokens: its issuer name and its keys, as it publishes them (OpenID Connect Discovery 1.0).

They are fetched when first needed, and held. An unknown key has them fetched again, so that a rotated key is found; but
not too soon after the last time, so that made-up keys do not become requests to the authority. If the authority cannot
be reached, the held keys stay valid.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout
from jwt import PyJWK, PyJWTError

from shared.errors import Unavailable
from shared.settings import is_safe_url

MIN_SECONDS_BETWEEN_FETCHES: Final = 5.0

_MAX_AGE_SECONDS: Final = 3600  # how long a key that the authority withdraws is still accepted
_TIMEOUT: Final = ClientTimeout(total=10)
# Only asymmetric algorithms: a public key must never be taken for a shared secret (RFC 8725 2.1).
_ALGORITHMS: Final = {("RSA", None): ("RS256", "PS256"), ("EC", "P-256"): ("ES256",)}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, the algorithms that it is accepted with, and its issuer."""

    key: Any
    algorithms: tuple[str, ...]
    issuer: str


class Authority:
    """An authority by its URL. Belongs to the event loop of its first use; the whole process shares it."""

    def __init__(self, url: str, *, min_seconds_between_fetches: float = MIN_SECONDS_BETWEEN_FETCHES) -> None:
        self._url = url
        self._min_seconds_between_fetches = min_seconds_between_fetches
        self._keys: Mapping[str, SigningKey] = MappingProxyType({})
        self._fetched = self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> SigningKey | None:
        """The key with that `kid`; None where the authority has no such key.

        Raises Unavailable where the authority's keys are not known and it does not answer.
        """
        known = self._keys.get(key_id)
        if known is None or time.monotonic() - self._fetched > _MAX_AGE_SECONDS:
            fetching = self._fetch_unless_just_done()
            # A known key is used without waiting for the fetch.
            if known is None and fetching is not None:
                await asyncio.shield(fetching)
                known = self._keys.get(key_id)
        if not self._keys:
            raise Unavailable("The authority that signs tokens does not answer; try again.")
        return known

    def _fetch_unless_just_done(self) -> asyncio.Task[None] | None:
        """The task that fetches the keys, shared by all who wait for it; None if the last try was just now."""
        if self._fetching is None and time.monotonic() - self._tried >= self._min_seconds_between_fetches:
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with ClientSession(timeout=_TIMEOUT, raise_for_status=True) as session:
                discovered = await _json(session, f"{self._url}/.well-known/openid-configuration")
                issuer, keys_url = str(discovered["issuer"]), str(discovered["jwks_uri"])
                if not is_safe_url(keys_url):
                    raise ValueError("its jwks_uri is not an https URL")
                self._keys = _signing_keys(await _json(session, keys_url), issuer)
            self._fetched = time.monotonic()
        except (ClientError, TimeoutError, LookupError, TypeError, AttributeError, ValueError) as error:
            _logger.error("The keys of AUTHORITY cannot be fetched: %s: %s", type(error).__name__, error)
        finally:
            self._tried = time.monotonic()
            self._fetching = None


async def _json(session: ClientSession, url: str) -> dict[str, Any]:
    # Anyone who can redirect could name their own keys; the media type is not always right.
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"{url} answers {response.status}")
        document: dict[str, Any] = await response.json(content_type=None)
        return document


def _signing_keys(published: dict[str, Any], issuer: str) -> Mapping[str, SigningKey]:
    """The keys for accepted algorithms, by `kid`; raises ValueError where there are none."""
    found = {}
    for data in published["keys"]:
        accepted = _ALGORITHMS.get((data.get("kty"), data.get("crv")), ())
        algorithms = tuple(algorithm for algorithm in accepted if data.get("alg", algorithm) == algorithm)
        if not algorithms or not data.get("kid") or data.get("use", "sig") != "sig":
            continue
        try:
            found[data["kid"]] = SigningKey(PyJWK(data).key, algorithms, issuer)
        except PyJWTError:
            _logger.warning("The authority publishes a key %s that cannot be read.", data["kid"])
    if not found:
        raise ValueError("none of its keys can be used")
    return MappingProxyType(found)
