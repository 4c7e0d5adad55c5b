"""What Microsoft Graph refuses of an application and of other bodies: by its reference, and as its users report."""

import re
from collections import Counter
from copy import deepcopy
from typing import Any, Final
from uuid import UUID

Json = dict[str, Any]

# The value of an appRole or a permissionScope: "Must not exceed 120 characters in length", "any other character,
# including the space character, is not allowed", "May not begin with .".
_VALUE: Final = re.compile(r"(?!\.)[0-9A-Za-z!#$%&'()*+,\-./:;<=>?@\[\]^_`{|}~]{1,120}")
_NO_API: Final[Json] = {
    "acceptMappedClaims": None,
    "knownClientApplications": [],
    "oauth2PermissionScopes": [],
    "preAuthorizedApplications": [],
    "requestedAccessTokenVersion": None,
}
_PROPERTIES: Final = {
    "Application": {"displayName", "signInAudience", "identifierUris", "api", "appRoles", "tags"},
    "ApiApplication": set(_NO_API),
    "AppRole": {"id", "value", "displayName", "description", "allowedMemberTypes", "isEnabled"},
    "PermissionScope": {
        *("id", "value", "type", "isEnabled"),
        *(f"{who}Consent{what}" for who in ("admin", "user") for what in ("DisplayName", "Description")),
    },
    "PreAuthorizedApplication": {"appId", "delegatedPermissionIds"},
    "ServicePrincipal": {"appRoleAssignmentRequired", "tags"},
    "AppRoleAssignment": {"principalId", "resourceId", "appRoleId"},
}


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code, message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


def bad(message: str, code: str = "Request_BadRequest") -> Refused:
    return Refused(400, code, message)


def check_properties(body: Json, resource: str) -> None:
    if unknown := sorted(set(body) - _PROPERTIES[resource]):
        raise bad(f"One or more property values specified are invalid: {', '.join(unknown)} of resource '{resource}'.")


def new_application() -> Json:
    """What an application has of which nothing is said."""
    return {"identifierUris": [], "appRoles": [], "tags": [], "api": deepcopy(_NO_API)}


def updated_application(old: Json, body: Json) -> Json:
    """The application after a PATCH, which replaces collections, and `api` as a whole, the harsher of two readings."""
    check_properties(body, "Application")
    new = deepcopy(old | body)
    if "api" in body:
        check_properties(body["api"], "ApiApplication")
        new["api"] = deepcopy(_NO_API | body["api"])
    for uri in new["identifierUris"]:
        # Restrictions on identifier URIs: the default form, or one with a verified domain, which this tenant has not.
        if uri not in (f"api://{new['appId']}", *old["identifierUris"]):
            raise bad("Values of identifierUris property must use a verified domain of the organization.")
    if new["api"]["requestedAccessTokenVersion"] not in (None, 1, 2):
        raise bad("Property api.requestedAccessTokenVersion is invalid.")
    roles, scopes = new["appRoles"], new["api"]["oauth2PermissionScopes"]
    _check_values(roles, scopes)
    _check_enabled(old["appRoles"], roles)
    _check_enabled(old["api"]["oauth2PermissionScopes"], scopes)
    # "The permission id defined in oauth2PermissionScopes of the same request body is not recognized."
    known = {scope["id"] for scope in old["api"]["oauth2PermissionScopes"]}
    for client in new["api"]["preAuthorizedApplications"]:
        check_properties(client, "PreAuthorizedApplication")
        if not set(client["delegatedPermissionIds"]) <= known:
            raise unknown_permission()
    return new


def unknown_permission() -> Refused:
    return bad(
        "Property api.preAuthorizedApplications.delegatedPermissionIds has a Permission Id that cannot be found in the "
        "AppPermissions sets.",
        "InvalidValue",
    )


def _check_values(roles: list[Json], scopes: list[Json]) -> None:
    for resource, ones in (("AppRole", roles), ("PermissionScope", scopes)):
        for one in ones:
            check_properties(one, resource)
            UUID(one["id"])
            if one.get("value") is not None and not _VALUE.fullmatch(one["value"]):
                raise bad(f"Property value is invalid: {one['value']!r}.", "InvalidValue")
    # Roles and scopes "share the same namespace and cannot contain duplicate values".
    for name, ones in (("id", roles), ("id", scopes), ("value", [*roles, *scopes])):
        for value, times in Counter(one.get(name) for one in ones).items():
            if value is not None and times > 1:
                raise bad(f"Property {name} contains duplicate value {value!r}.", "DuplicateValue")


def _check_enabled(old: list[Json], new: list[Json]) -> None:
    """Refuse what changes or removes one that is enabled, but does not only disable it (appRole.isEnabled)."""
    kept = {one["id"]: one for one in new}
    for one in old:
        if one["isEnabled"] and kept.get(one["id"]) not in (one, {**one, "isEnabled": False}):
            raise bad(
                "Permission (scope or role) cannot be deleted or updated unless disabled first.",
                "CannotDeleteOrUpdateEnabledEntitlement",
            )
