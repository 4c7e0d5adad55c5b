"""What the command line makes of tokens that it does not verify, and whom it sends where for another."""

import time
from typing import Any

import pytest

from dicomweb_cli.sign_in import Credentials, claims_of, fault_of, how_to_get_a_token, how_to_sign_in, scope_of
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
            {"aud": "api://id"},
            "another audience",
            "It is for api://id, which",
            "client ID is the audience of tokens of",
        ),
        (
            {"iss": "https://sts.windows.net/x/", "ver": "1.0"},
            "issuer",
            "It is of version 1 (its issuer is https://sts.windows.net/x/), and the service's AUTHORITY is another.",
            "issue version 2 (requestedAccessTokenVersion), which infra/hooks/register.py sets; or sign in to",
        ),
        ({"iss": "https://sts.windows.net/x/"}, "publish", "of version 1", "--tenant"),
        (
            {"iss": "https://login.microsoftonline.com/x/v2.0", "ver": "2.0"},
            "issuer",
            "com/x/v2.0, its version 2.0, and the service's AUTHORITY is another",
            "see requestedAccessTokenVersion and AUTHORITY",
        ),
        ({"iss": "https://sts.example.org/x/"}, "publish", "example.org/x/, and", "--tenant"),
        (
            {"roles": ["Reader", "\x1b[2J"]},
            "permit",
            "It has the app role Reader,  [2J.",
            "Dicom.Reader or Dicom.Owner",
        ),
        (
            {"roles": None, "scp": "a b"},
            "permit",
            "It has the scope a b.",
            "needs the scope Dicom.Read or Dicom.ReadWrite",
        ),
        (
            {"scp": "a"},
            "permit",
            "It has the app role Dicom.Owner and the scope a.",
            "register.py authorizes the Azure CLI",
        ),
        ({"roles": ["a"], "scp": "Dicom.Read"}, "permit", "a and the scope Dicom.Read.", "Have an app role assigned"),
        (
            {"roles": None},
            "permit",
            "It has neither an app role nor a scope.",
            "the service's, Users and groups), and sign",
        ),
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


@pytest.mark.parametrize(
    ("why", "remedy"),
    [
        (
            "ERROR: AADSTS50105: Your administrator has configured the application to block users.",
            "Dicom.Owner (Entra:",
        ),
        ("AADSTS65001: The user or administrator has not consented.", "infra/hooks/register.py does that."),
        ("AADSTS500011: The resource principal named api://x was not found.", "az login --tenant."),
        ("AADSTS70043: The refresh token has expired.", "Run `az login --scope api://x/.default`."),
    ],
)
def test_what_entra_says_instead_of_a_token_is_explained(why: str, remedy: str) -> None:
    assert remedy in how_to_get_a_token("api://x/.default", why)


def test_the_scope_is_named_where_it_is_known() -> None:
    assert scope_of("https://dicom.example.org/v2", Credentials()) == SCOPE
    assert scope_of(MICROSOFTS, Credentials("token")) == "https://dicom.healthcareapis.azure.com/.default"
    assert scope_of(MICROSOFTS, Credentials(scope="mine")) == "mine"
    assert "az login --scope mine" in how_to_sign_in(MICROSOFTS, Credentials(scope="mine"))
    assert "instead of the token" in how_to_sign_in(MICROSOFTS, Credentials("token"))
