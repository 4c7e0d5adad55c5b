"""Sign-in with bearer tokens (RFC 6750): whether a request is permitted, and the challenge where it is not."""

import logging
from typing import Final

from starlette.requests import Request

from functions.edge.app import App
from functions.edge.headers import client_address
from shared.errors import DicomWebError, Forbidden, Unauthorized
from shared.web.permissions import NOTHING, ROLES, SCOPES, Permission, permitting

_MAX_TOKEN_LENGTH: Final = 16_384  # Entra ID's have a tenth of that
_CHALLENGE: Final = 'Bearer realm="DICOMweb"'

_logger = logging.getLogger(__name__)


async def check_sign_in(req: Request, needed: Permission, app: App) -> str:
    """Who asks, if the request's token permits what is needed, nothing is needed, or access is anonymous.

    That is the token's subject, or the client's address. It says which requests are of one caller, and nothing else.

    Raises SettingsError where the settings do not say who may use the service, Unauthorized, Forbidden, and Unavailable
    where the authority's keys cannot be had. Does not read the body.
    """
    if needed == NOTHING:
        return client_address(req, app.settings)
    app.check_sign_in()
    if app.settings.anonymous_access:
        return client_address(req, app.settings)
    from shared.services.sign_in.tokens import signed_in  # PyJWT, at the first token

    try:
        caller = await signed_in(_token(req), app.authority, app.settings.audience)
        if needed not in caller.permission:
            roles, scopes = (" or ".join(permitting(needed, table)) for table in (ROLES, SCOPES))
            raise Forbidden(
                f"The token does not permit this. It needs the app role {roles}, or the scope {scopes}; "
                "a token with roles and scopes needs both."
            )
    except (Unauthorized, Forbidden) as error:
        _logger.info("Refused: %s", error)
        raise
    return caller.subject or client_address(req, app.settings)


def challenge(error: DicomWebError) -> dict[str, str] | None:
    """The header of the answer to a request that sign-in refused; None for any other error."""
    if isinstance(error, Forbidden):
        code = "insufficient_scope"
    elif isinstance(error, Unauthorized):
        code = "invalid_token" if error.is_token_invalid else ""
    else:
        return None
    return {"WWW-Authenticate": f'{_CHALLENGE}, error="{code}", error_description="{error}"' if code else _CHALLENGE}


def _token(req: Request) -> str:
    """The token of the Authorization header, the only place it is taken from: URLs end up in logs."""
    given = req.headers.getlist("authorization")
    if not given:
        raise Unauthorized("Sign in: send a token in the header Authorization: Bearer <token>.", is_token_invalid=False)
    kind, _, token = given[0].partition(" ")
    if len(token) > _MAX_TOKEN_LENGTH:
        raise Unauthorized(f"The token is longer than {_MAX_TOKEN_LENGTH} characters.")
    if len(given) > 1 or kind.lower() != "bearer" or not token.strip():
        raise Unauthorized("The Authorization header is not one bearer token.", is_token_invalid=False)
    return token.strip()
