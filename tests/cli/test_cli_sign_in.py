"""What the command line makes of tokens that it does not verify, and whom it sends where for another."""

import time
from typing import Any

import pytest

from dicomweb_cli.sign_in import Credentials, claims_of, fault_of, how_to_sign_in, scope_of
from tests.support.token_issuer import OWNER, claims, encoded, token

SCOPE = "api://<client id>/.default"
MICROSOFTS = "https://workspace-dicom.dicom.azurehealthcareapis.com/v2"


def test_the_claims_of_a_token_are_read_without_its_key() -> None:
    assert claims_of(token(aud="api://é", **OWNER)) == {**claims(aud="api://é", **OWNER)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "a.b.c",
        "é.é.é",
        f"e30.{encoded(b'[]')}.x",
        f"e30.{encoded(b'{')}.x",
        f"e30.{encoded(b'[' * 100_000)}.x",
        "e30.__4.x",  # bytes that are no text
    ],
)
def test_what_is_no_token_has_no_claims(text: str) -> None:
    assert claims_of(text) is None


@pytest.mark.parametrize(
    ("changed", "refusal", "what", "remedy"),
    [
        ({"exp": int(time.time()) - 7200}, "", "It expired at ", "--scope api://dicom/.default"),
        ({"exp": 1e300}, "", "Its audience is api://dicom", SCOPE),
        ({"nbf": int(time.time()) + 7200}, "", "It is valid only from ", "clock"),
        ({"nbf": 1e300}, "", "Unix time", "clock"),
        ({"nbf": 10**400}, "", "Its audience is api://dicom", SCOPE),
        ({"aud": "https://management.azure.com/"}, "", "It is for Azure's management", SCOPE),
        ({"aud": "00000003-0000-0000-c000-000000000000"}, "", "It is for Microsoft Graph", SCOPE),
        ({"aud": ["one", "two"]}, "another audience", "It is for one, two, which", "add one, two to AUDIENCE"),
        (
            {"iss": "https://sts.windows.net/x/", "ver": "1.0"},
            "issuer",
            "net/x/, its version 1.0,",
            "AccessTokenVersion",
        ),
        ({"iss": "https://sts.windows.net/x/"}, "publish", "net/x/, and", "--tenant"),
        (
            {"roles": ["Reader", "\x1b[2J"]},
            "permit",
            "It has the app role Reader,  [2J.",
            "Dicom.Reader or Dicom.Owner",
        ),
        ({"roles": None, "scp": "a b"}, "permit", "It has the scope a b.", "app role"),
        ({"roles": None}, "permit", "It has neither an app role nor a scope.", "app role"),
        ({}, "who knows", "Its audience is api://dicom, its issuer https://sts.example.org/tenant/.", SCOPE),
    ],
)
def test_a_refused_token_is_explained_by_its_claims(
    changed: dict[str, Any], refusal: str, what: str, remedy: str
) -> None:
    found = fault_of(claims(**{**OWNER, **changed}), refusal, SCOPE, is_known=refusal == "permit")
    assert what in found[0]
    assert remedy in found[1]


def test_what_is_no_json_web_token_is_said() -> None:
    what, remedy = fault_of(None, "", SCOPE)
    assert "not a JSON Web Token" in what
    assert "without quotes" in remedy


def test_the_scope_is_named_where_it_is_known() -> None:
    assert scope_of("https://dicom.example.org/v2", Credentials()) == SCOPE
    assert scope_of(MICROSOFTS, Credentials("token")) == "https://dicom.healthcareapis.azure.com/.default"
    assert scope_of(MICROSOFTS, Credentials(scope="mine")) == "mine"
    assert "az login --scope mine" in how_to_sign_in(MICROSOFTS, Credentials(scope="mine"))
    assert "instead of the token" in how_to_sign_in(MICROSOFTS, Credentials("token"))
