"""Whether a bearer token is from the authority and for this service (RFC 9068 4, RFC 8725), and what it permits."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import jwt

from shared.errors import Unauthorized
from shared.services.sign_in.authority import Authority
from shared.web.permissions import Permission, permitted_by

_CLOCK_SKEW_SECONDS: Final = 60

# What is wrong, in words; the first that fits counts. A token's own text never appears in an answer or a log.
_REASONS: Final = (
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidIssuerError, "The token is from another issuer than the service accepts."),
    (jwt.InvalidAudienceError, "The token is for another audience than this service."),
    (jwt.MissingRequiredClaimError, "The token lacks one of the claims iss, aud and exp."),
    (jwt.InvalidAlgorithmError, "The token is signed with an algorithm that is not accepted with its key."),
    (jwt.InvalidSignatureError, "The token's signature does not match its key."),
    (Exception, "The token is not a JSON Web Token that can be read."),
)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in: the token's subject, which says nothing outside the authority, and what the token permits."""

    subject: str
    permission: Permission


async def signed_in(token: str, authority: Authority, audiences: Collection[str]) -> SignedIn:
    """Who has a token of the authority for one of the audiences.

    Raises Unauthorized for any other token, and Unavailable where the authority's keys cannot be had.
    """
    try:
        claims = await _claims(token, authority, audiences)
        return SignedIn(str(claims.get("sub", "")), permitted_by(claims))
    except (jwt.PyJWTError, RecursionError) as error:
        # Without the cause, whose message quotes the token.
        raise Unauthorized(next(reason for kind, reason in _REASONS if isinstance(error, kind))) from None


async def _claims(token: str, authority: Authority, audiences: Collection[str]) -> dict[str, Any]:
    key_id = jwt.get_unverified_header(token).get("kid")
    key = await authority.key(key_id) if key_id else None
    if key is None:
        raise Unauthorized("The token is signed with a key that the authority does not publish.")
    return jwt.decode(
        token,
        key.key,
        algorithms=key.algorithms,
        issuer=key.issuer,
        audience=audiences,
        leeway=_CLOCK_SKEW_SECONDS,
        options={"require": ["exp", "iss", "aud"]},
    )
