import re
from typing import Any

import pytest

from shared.web.permissions import NOTHING, ROLES, SCOPES, Permission, permitted_by, permitting

READ, WRITE = Permission.READ, Permission.WRITE


@pytest.mark.parametrize(
    ("claims", "permitted"),
    [
        ({}, NOTHING),
        ({"roles": []}, NOTHING),
        ({"roles": ["Dicom.Owner"]}, READ | WRITE),
        ({"roles": ["Dicom.Reader"]}, READ),
        ({"roles": ["Dicom.Reader", "Dicom.Owner", "Other"]}, READ | WRITE),
        ({"roles": "Dicom.Reader"}, READ),
        ({"roles": ["dicom.owner"]}, NOTHING),
        ({"roles": ["Dicom.Owner and more"]}, NOTHING),
        ({"roles": "Other Dicom.Owner"}, NOTHING),
        ({"roles": [{"Dicom.Owner": 1}, 1, None]}, NOTHING),
        ({"roles": {"Dicom.Owner": 1}}, NOTHING),
        ({"scp": "Dicom.ReadWrite"}, READ | WRITE),
        ({"scp": "openid Dicom.Read"}, READ),
        ({"scp": ["Dicom.Read", "Dicom.ReadWrite"]}, READ | WRITE),
        ({"scope": "Dicom.Read"}, READ),
        ({"scope": "openid profile"}, NOTHING),
        ({"scp": "Dicom.ReadWrite.All"}, NOTHING),
        ({"scp": 7}, NOTHING),
        # A user's app may do what both may.
        ({"scp": "Dicom.ReadWrite", "roles": ["Dicom.Reader"]}, READ),
        ({"scp": "Dicom.Read", "roles": ["Dicom.Owner"]}, READ),
        ({"scp": "Dicom.ReadWrite", "roles": ["Dicom.Owner"]}, READ | WRITE),
        ({"scp": "Dicom.ReadWrite", "roles": ["Other"]}, NOTHING),
        ({"scp": "Other", "roles": ["Dicom.Owner"]}, NOTHING),
        ({"scope": "email", "roles": ["Dicom.Owner"]}, NOTHING),
        ({"wids": ["Dicom.Owner"], "groups": ["Dicom.Owner"]}, NOTHING),
    ],
)
def test_what_claims_permit(claims: dict[str, Any], permitted: Permission) -> None:
    assert permitted_by(claims) == permitted


def test_the_roles_and_scopes_that_permit_are_named() -> None:
    assert permitting(WRITE, ROLES) == ["Dicom.Owner"]
    assert permitting(READ, SCOPES) == ["Dicom.Read", "Dicom.ReadWrite"]


@pytest.mark.parametrize("name", [*ROLES, *SCOPES])
def test_entra_can_issue_them(name: str) -> None:
    """Microsoft Graph, `appRole.value`, `permissionScope.value`: at most 120 of these characters, no dot in front."""
    assert re.fullmatch(r"(?!\.)[\w!#$%&'()*+,\-./:;<=>?@\[\]^`{|}~]{1,120}", name, re.ASCII)
