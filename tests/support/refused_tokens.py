"""Tokens that nobody must accept."""

import hashlib
import hmac
import time

import jwt
from jwt.utils import base64url_decode

from tests.support.token_issuer import (
    AUDIENCE,
    DAY,
    ISSUER,
    OWNER,
    READER,
    claims,
    encoded,
    public_pem,
    rsa_key,
    token,
)

NOW = int(time.time())  # the tables' tokens are made long before they are sent


def hs256_with_the_public_key() -> str:
    """A token that a verifier accepts if it lets tokens choose how a key is used (PyJWT would not sign it)."""
    signed = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'first'})}.{encoded(claims(**OWNER))}"
    signature = hmac.new(public_pem("first"), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encoded(signature)}"


def unsigned() -> str:
    return f"{encoded({'alg': 'none', 'kid': 'first'})}.{encoded(claims(**OWNER))}."


def altered() -> str:
    head, _, signature = token(**READER).split(".")
    return f"{head}.{encoded(claims(**OWNER))}.{signature}"


def cut() -> str:
    head, body, signature = token(**OWNER).split(".")
    return f"{head}.{body}.{encoded(base64url_decode(signature)[:-1])}"


REFUSED = {
    "nothing": ("", "can be read"),
    "no token": ("abc", "can be read"),
    "three words": ("a.b.c", "can be read"),
    "not ASCII": ("é.é.é", "can be read"),
    "deep": (f"{encoded(b'[' * 30_000)}.e30.e30", "can be read"),
    "no object": (f"{encoded(b'[]')}.{encoded(b'[]')}.AAAA", "can be read"),
    "a kid that is no text": (f"{encoded({'alg': 'RS256', 'kid': 7})}.e30.e30", "can be read"),
    "no kid": (jwt.encode(claims(**OWNER), rsa_key("first"), "RS256"), "does not publish"),
    "unknown kid": (token(kid="unknown", **OWNER), "does not publish"),
    "another's key": (token("second", kid="first", **OWNER), "signature"),
    "altered": (altered(), "signature"),
    "cut": (cut(), "signature"),
    "unsigned": (unsigned(), "algorithm"),
    "HS256": (hs256_with_the_public_key(), "algorithm"),
    "RS512": (token(algorithm="RS512", **OWNER), "algorithm"),
    "expired": (token(exp=NOW - 120, **OWNER), "expired"),
    "not yet valid": (token(nbf=NOW + DAY, **OWNER), "not valid yet"),
    "issued later": (token(iat=NOW + DAY, **OWNER), "not valid yet"),
    "another issuer": (token(iss="https://sts.example.org/other/", **OWNER), "issuer"),
    "issuer without its slash": (token(iss=ISSUER.rstrip("/"), **OWNER), "issuer"),
    "another audience": (token(aud="api://other", **OWNER), "audience"),
    "audiences in one": (token(aud=f"{AUDIENCE},other", **OWNER), "audience"),
    "no audience": (token(aud=None, **OWNER), "lacks"),
    "no issuer": (token(iss=None, **OWNER), "lacks"),
    "no expiry": (token(exp=None, **OWNER), "lacks"),
}
