"""Tokens that are accepted and tokens that are not, and how often the authority is asked for its keys."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from shared.errors import Unauthorized, Unavailable
from shared.services.sign_in.authority import Authority
from shared.services.sign_in.tokens import signed_in
from shared.web.permissions import Permission
from tests.support.refused_tokens import REFUSED
from tests.support.token_issuer import (
    AUDIENCE,
    ISSUER,
    OWNER,
    READER,
    Issuer,
    claims,
    encoded,
    issuing,
    jwk,
    token,
)

AUDIENCES = ["other", AUDIENCE]
BOTH = Permission.READ | Permission.WRITE


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


@pytest.fixture
def authority(issuer: Issuer) -> Authority:
    return Authority(issuer.url)


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(authority: Authority, name: str) -> None:
    given_token, reason = REFUSED[name]
    with pytest.raises(Unauthorized, match=reason) as raised:
        await signed_in(given_token, authority, AUDIENCES)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("given_token", "permission"),
    [
        (token(**OWNER), BOTH),
        (token(**READER), Permission.READ),
        (token(scp="Dicom.ReadWrite"), BOTH),
        (token(), Permission(0)),
        (token(aud=["unknown", "other"], **OWNER), BOTH),
        (token(algorithm="PS256", **OWNER), BOTH),
    ],
)
async def test_accepted(authority: Authority, given_token: str, permission: Permission) -> None:
    assert (await signed_in(given_token, authority, AUDIENCES)).permission == permission


async def test_clocks_may_differ_by_some_seconds(authority: Authority) -> None:
    now = int(time.time())
    for given_token in (token(exp=now - 5, **OWNER), token(nbf=now + 30, iat=now + 30, **OWNER)):
        assert (await signed_in(given_token, authority, AUDIENCES)).permission == BOTH


@given(
    text=st.one_of(
        st.text(), st.lists(st.binary(max_size=40), min_size=3, max_size=3).map(lambda p: ".".join(map(encoded, p)))
    )
)
def test_any_text_is_refused(text: str) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner, pytest.raises((Unauthorized, Unavailable)):
        runner.run(signed_in(text, Authority("http://127.0.0.1:9"), AUDIENCES))


async def test_es256_only_with_its_own_curve(issuer: Issuer) -> None:
    keys = {"P-256": ec.generate_private_key(ec.SECP256R1()), "P-384": ec.generate_private_key(ec.SECP384R1())}
    issuer.publish(*({**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": name} for name, key in keys.items()))
    authority = Authority(issuer.url)
    for name, algorithm in (("P-256", "ES256"), ("P-384", "ES384")):
        signed = jwt.encode(claims(**OWNER), keys[name], algorithm, {"kid": name})
        if name == "P-256":
            assert (await signed_in(signed, authority, AUDIENCES)).permission == BOTH
        else:
            with pytest.raises(Unauthorized, match="does not publish"):
                await signed_in(signed, authority, AUDIENCES)


@pytest.mark.parametrize(
    ("members", "reason"),
    [({"alg": "PS256"}, "algorithm"), ({"use": "enc"}, "does not publish"), ({"n": "!"}, "does not")],
)
async def test_a_key_is_used_for_what_it_is_published_for(issuer: Issuer, members: dict[str, str], reason: str) -> None:
    issuer.publish(
        jwk("first", **members), {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}, {"kid": "odd"}, jwk("second")
    )
    authority = Authority(issuer.url)
    with pytest.raises(Unauthorized, match=reason):
        await signed_in(token(**OWNER), authority, AUDIENCES)
    assert (await signed_in(token("second", **OWNER), authority, AUDIENCES)).permission == BOTH


async def test_keys_are_fetched_once(issuer: Issuer, authority: Authority) -> None:
    await asyncio.gather(*(signed_in(token(**OWNER), authority, AUDIENCES) for _ in range(20)))
    assert issuer.fetches == 1


async def test_made_up_keys_do_not_become_requests_to_the_authority(issuer: Issuer, authority: Authority) -> None:
    await signed_in(token(**OWNER), authority, AUDIENCES)
    for number in range(50):
        with pytest.raises(Unauthorized):
            await signed_in(token(kid=f"made-up-{number}", **OWNER), authority, AUDIENCES)
    assert issuer.fetches == 1


async def test_a_rotated_key_is_found_and_the_old_one_forgotten(issuer: Issuer) -> None:
    authority = Authority(issuer.url, min_seconds_between_fetches=0)
    await signed_in(token(**OWNER), authority, AUDIENCES)
    issuer.publish(jwk("second"))
    assert (await signed_in(token("second", **OWNER), authority, AUDIENCES)).permission == BOTH
    assert issuer.fetches == 2
    with pytest.raises(Unauthorized):
        await signed_in(token(**OWNER), authority, AUDIENCES)


async def test_keys_that_are_old_are_used_while_they_are_fetched_again(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.services.sign_in.authority._MAX_AGE_SECONDS", 0)
    authority = Authority(issuer.url, min_seconds_between_fetches=0)
    await signed_in(token(**OWNER), authority, AUDIENCES)
    issuer.documents["/keys"] = None
    for _ in range(3):
        assert (await signed_in(token(**OWNER), authority, AUDIENCES)).permission == BOTH
        await asyncio.sleep(0.1)
    assert issuer.fetches > 1
    issuer.publish(jwk("second"))
    with pytest.raises(Unauthorized):
        await signed_in(token(kid="unknown"), authority, AUDIENCES)
    with pytest.raises(Unauthorized):
        await signed_in(token(**OWNER), authority, AUDIENCES)


BROKEN: dict[str, Any] = {
    "discovery fails": ("/tenant/.well-known/openid-configuration", None),
    "discovery is no object": ("/tenant/.well-known/openid-configuration", []),
    "discovery names no keys": ("/tenant/.well-known/openid-configuration", {"issuer": ISSUER}),
    "keys are elsewhere": (
        "/tenant/.well-known/openid-configuration",
        {"issuer": ISSUER, "jwks_uri": "http://keys.example.org/keys"},
    ),
    "keys fail": ("/keys", None),
    "keys are none": ("/keys", {"keys": []}),
    "keys are no list": ("/keys", {"keys": 7}),
    "a key is no object": ("/keys", {"keys": ["x"]}),
    "keys are secrets": ("/keys", {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "first"}]}),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_unusable_authority_is_unavailable(
    issuer: Issuer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, document = BROKEN[name]
    whole = issuer.documents[path]
    issuer.documents[path] = document
    authority = Authority(issuer.url, min_seconds_between_fetches=0)
    with pytest.raises(Unavailable):
        await signed_in(token(**OWNER), authority, AUDIENCES)
    assert "AUTHORITY" in caplog.text
    assert "c2VjcmV0" not in caplog.text
    issuer.documents[path] = whole
    assert (await signed_in(token(**OWNER), authority, AUDIENCES)).permission == BOTH


async def test_an_authority_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await signed_in(token(**OWNER), Authority("http://127.0.0.1:9"), AUDIENCES)
