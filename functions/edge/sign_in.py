"""Sign-in with bearer tokens (RFC 6750): whom a request is of, and what an answer says to who may not make it."""

import logging
from typing import Final

from starlette.requests import Request

from functions.edge import app
from shared.errors import DicomWebError, Forbidden, Unauthorized
from shared.settings import SettingsError
from shared.web.permissions import NOTHING, ROLES, SCOPES, needed_by, permitting

_CHALLENGE: Final = 'Bearer realm="DICOMweb"'

_logger = logging.getLogger(__name__)


async def check_sign_in(req: Request) -> None:
    """Let pass a request that its token permits, and any where access is anonymous or its method needs no permission.

    Raises SettingsError where the settings do not say who may use the service, Unauthorized, Forbidden, and Unavailable
    where the authority's keys cannot be had. Reads nothing of the body.
    """
    needed = needed_by(req.method)
    if needed == NOTHING or is_open():
        return
    # Imported with the first token that is checked: it takes a while.
    from shared.services.sign_in.tokens import permission_of

    try:
        permitted = await permission_of(_token(req), app.authority(), _audiences())
        if needed not in permitted:
            roles, scopes = (" or ".join(permitting(needed, table)) for table in (ROLES, SCOPES))
            raise Forbidden(
                f"The token does not permit this. It needs the app role {roles}, or the scope {scopes}; "
                "a token with roles and scopes needs both."
            )
    except (Unauthorized, Forbidden) as error:
        _logger.info("Refused: %s", error)
        raise


def challenge(error: DicomWebError) -> dict[str, str] | None:
    """The header that an answer to a request which sign-in refused has."""
    if isinstance(error, Forbidden):
        code = "insufficient_scope"
    elif isinstance(error, Unauthorized):
        code = "invalid_token" if error.is_token_invalid else ""
    else:
        return None
    return {"WWW-Authenticate": f'{_CHALLENGE}, error="{code}", error_description="{error}"' if code else _CHALLENGE}


def is_open() -> bool:
    """Whether nobody has to sign in. Raises SettingsError where the settings do not say."""
    settings = app.settings()
    has_authority = bool(settings.authority and _audiences())
    if settings.anonymous_access and (settings.authority or settings.audience):
        raise SettingsError("ANONYMOUS_ACCESS is true although AUTHORITY or AUDIENCE is set: choose one of the two.")
    if not settings.anonymous_access and not has_authority:
        raise SettingsError("Nobody can sign in: set AUTHORITY and AUDIENCE, or ANONYMOUS_ACCESS to true.")
    return settings.anonymous_access


def _audiences() -> list[str]:
    return [audience.strip() for audience in app.settings().audience.split(",") if audience.strip()]


def _token(req: Request) -> str:
    """The token of the Authorization header, the only place it is taken from: URLs end in logs."""
    given = req.headers.getlist("authorization")
    if not given:
        raise Unauthorized("Sign in: send a token in the header Authorization: Bearer <token>.", is_token_invalid=False)
    kind, _, token = given[0].partition(" ")
    if len(given) > 1 or kind.lower() != "bearer" or not token.strip():
        raise Unauthorized("The Authorization header is not one bearer token.", is_token_invalid=False)
    return token.strip()
