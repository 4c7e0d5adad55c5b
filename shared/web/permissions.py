"""What a token's claims permit: app roles and delegated scopes (RFC 6749 3.3)."""

from collections.abc import Mapping
from enum import Flag, auto
from types import MappingProxyType
from typing import Any, Final


class Permission(Flag):
    """What a client may do with the archive."""

    READ = auto()
    WRITE = auto()


NOTHING: Final = Permission(0)

ROLES: Final[Mapping[str, Permission]] = MappingProxyType(
    {"Dicom.Reader": Permission.READ, "Dicom.Owner": Permission.READ | Permission.WRITE}
)
"""What an app role of a user or an app permits."""

SCOPES: Final[Mapping[str, Permission]] = MappingProxyType(
    {"Dicom.Read": Permission.READ, "Dicom.ReadWrite": Permission.READ | Permission.WRITE}
)
"""What a delegated scope permits an app to do for its user; Dicom.ReadWrite is Microsoft's service's."""


def permitted_by(claims: Mapping[str, Any]) -> Permission:
    """What a token permits.

    A token with scopes (`scp`, or `scope` as in RFC 9068) belongs to a user in an app, and permits no more than its
    scopes; a token with roles permits no more than its roles. So a token with both permits what both permit, and a
    token with neither permits nothing.
    """
    scopes = [*_names(claims, "scp"), *_names(claims, "scope")]
    roles = _names(claims, "roles")
    limits = [_together(table, names) for table, names in ((SCOPES, scopes), (ROLES, roles)) if names]
    if not limits:
        return NOTHING
    permitted = limits[0]
    for limit in limits:
        permitted &= limit
    return permitted


def permitting(permission: Permission, table: Mapping[str, Permission]) -> list[str]:
    """The roles or the scopes that permit it, each of which is enough."""
    return [name for name, permitted in table.items() if permission in permitted]


def _names(claims: Mapping[str, Any], claim: str) -> list[str]:
    """The names in a claim: an array, or a text separated by spaces; a text of `roles` is one name, with its spaces."""
    value = claims.get(claim)
    if isinstance(value, str):
        return [value] if claim == "roles" else value.split()
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _together(table: Mapping[str, Permission], names: list[str]) -> Permission:
    permitted = NOTHING
    for name in names:
        permitted |= table.get(name, NOTHING)
    return permitted
