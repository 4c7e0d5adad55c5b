"""What to do about a sign-in that is missing or refused, and what a token says of itself, which is not verified."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from dicomweb_cli.terminal import plain
from shared.web.permissions import ROLES, SCOPES, Permission, permitted_by, permitting

Claims = Mapping[str, Any]

_CLOCK_SKEW_SECONDS: Final = 60
_SCOPE_OF_AN_APP: Final = "api://<client id>/.default"
# Microsoft's own service has the same audience everywhere.
_MICROSOFTS_HOSTS: Final = ".dicom.azurehealthcareapis.com"
_MICROSOFTS_SCOPE: Final = "https://dicom.healthcareapis.azure.com/.default"
# What makes the service's registration in Microsoft Entra as it has to be.
_REGISTRATION: Final = "infra/hooks/register.py"
_ROLES: Final = " or ".join(permitting(Permission.READ, ROLES))
_SCOPES: Final = " or ".join(permitting(Permission.READ, SCOPES))
_HAVE_A_ROLE: Final = f"Have an app role assigned, {_ROLES} (Entra: Enterprise apps, the service's, Users and groups)"
_ENTRA_VERSION_1: Final = "https://sts.windows.net/"
# What to do where Entra gives no token, by its error code.
_NO_TOKEN: Final = {
    "AADSTS50105": f"{_HAVE_A_ROLE}.",
    "AADSTS65001": f"Have the Azure CLI authorized for the service's scopes: {_REGISTRATION} does that.",
    "AADSTS500011": "See that the client ID is the service's, and sign in to its tenant: az login --tenant.",
}
# What `az account get-access-token` gives tokens for, unless it is told.
_OTHER_SERVICES: Final = {
    "https://management.azure.com": "Azure's management",
    "https://management.core.windows.net": "Azure's management",
    "https://graph.microsoft.com": "Microsoft Graph",
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the user signs in with: a bearer token, or a scope to get one for."""

    token: str | None = None
    scope: str | None = None


NO_CREDENTIALS: Final = Credentials()


def how_to_sign_in(url: str, credentials: Credentials, challenge: str = "") -> str:
    """What to do where the server refuses a request for its sign-in; `challenge` is its WWW-Authenticate."""
    if challenge.lower().startswith("basic"):
        return "Give name and password in the URL: https://name:password@…"
    scope = scope_of(url, credentials)
    if credentials.scope:
        return f"Run `az login --scope {scope}` as somebody who may use it; `dicomweb doctor` explains the refusal."
    first = f"Run `az login`, then give --scope {scope}"
    if credentials.token:
        return f"{first} instead of the token; `dicomweb doctor` explains the refusal."
    return f"{first}, or a token in DICOMWEB_TOKEN."


def scope_of(url: str, credentials: Credentials) -> str:
    """The scope of tokens for the service at the URL, as far as it is known."""
    is_microsofts = (urlsplit(url).hostname or "").endswith(_MICROSOFTS_HOSTS)
    return credentials.scope or (_MICROSOFTS_SCOPE if is_microsofts else _SCOPE_OF_AN_APP)


def how_to_get_a_token(scope: str, why: str) -> str:
    """What to do where there is no token for the scope, for this reason in the words of Entra or the Azure CLI."""
    known = (remedy for code, remedy in _NO_TOKEN.items() if code in why)
    return next(known, f"Run `az login --scope {scope}`.")


def claims_of(token: str) -> Claims | None:
    """The claims that a JSON Web Token makes, true or not; None where it is not one."""
    parts = token.split(".")
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))) if len(parts) == 3 else None
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def rights_of(claims: Claims) -> str:
    """The app roles and scopes of a token."""
    found = [
        f"{label} {text}"
        for label, names in _RIGHTS.items()
        if (text := ", ".join(_text(claims, name) for name in names if name in claims))
    ]
    return " and ".join(found) or "neither an app role nor a scope"


_RIGHTS: Final = {"the app role": ("roles",), "the scope": ("scp", "scope")}


def fault_of(claims: Claims | None, refusal: str, scope: str, *, is_known: bool = False) -> tuple[str, str]:
    """What is wrong with a token that the server refuses in these words, and what to do.

    `is_known` is whether the server takes it for what it is, and only does not permit what was asked (403).
    """
    another = _another(scope)
    if claims is None:
        return "It is not a JSON Web Token.", f"{another}; give it as it is, without quotes or Bearer."
    if is_known:
        return f"It has {rights_of(claims)}.", _right_that_is_missing(claims)
    audience, issuer = (_text(claims, name) or "missing" for name in ("aud", "iss"))
    if other := _OTHER_SERVICES.get(audience.rstrip("/")):
        return f"It is for {other} ({audience}).", another
    now = datetime.now(UTC).timestamp()
    if (expiry := _time(claims, "exp")) and expiry < now:
        return f"It expired at {_shown(expiry)}.", _another(f"{audience}/.default")
    if (start := _time(claims, "nbf")) and start > now + _CLOCK_SKEW_SECONDS:
        return f"It is valid only from {_shown(start)} on.", "Wait, or set the clock of whatever made it."
    if "audience" in refusal:
        return (
            f"It is for {audience}, which the service's AUDIENCE does not name.",
            f"{another}; or add {audience} to AUDIENCE, if that is the service's app registration: the client ID is "
            "the audience of tokens of version 2, the application ID URI that of version 1.",
        )
    if "issuer" in refusal or "publish" in refusal:
        return _fault_of_issuer(claims, issuer)
    return f"Its audience is {audience}, its issuer {issuer}.", another


def _right_that_is_missing(claims: Claims) -> str:
    scopes = {name: claims[name] for name in _RIGHTS["the scope"] if name in claims}
    if scopes and Permission.READ not in permitted_by(scopes):
        return f"The app that you sign in with needs the scope {_SCOPES}: {_REGISTRATION} authorizes the Azure CLI."
    return f"{_HAVE_A_ROLE}, and sign in again."


def _fault_of_issuer(claims: Claims, issuer: str) -> tuple[str, str]:
    """What is wrong with a token whose issuer, or its keys, are not the service's."""
    if issuer.startswith(_ENTRA_VERSION_1):
        return (
            f"It is of version 1 (its issuer is {issuer}), and the service's AUTHORITY is another.",
            "Have the app registration issue version 2 (requestedAccessTokenVersion), which "
            f"{_REGISTRATION} sets; or sign in to the service's tenant: az login --tenant.",
        )
    version = _text(claims, "ver")
    return (
        f"Its issuer is {issuer}{version and f', its version {version}'}, and the service's AUTHORITY is another.",
        "Sign in to the service's tenant (az login --tenant); if it is the right one, the versions differ: see "
        "requestedAccessTokenVersion and AUTHORITY in docs/security.md.",
    )


def _another(scope: str) -> str:
    return f"Get one for this service: az account get-access-token --scope {scope} --query accessToken -o tsv"


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name, "")
    return plain(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _time(claims: Claims, name: str) -> float | None:
    """Seconds of Unix time; None where the claim is not such a number."""
    value = claims.get(name)
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def _shown(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds:.6g} of Unix time"
