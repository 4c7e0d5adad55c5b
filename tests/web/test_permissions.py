from typing import Any

import pytest

from shared.web.permissions import NOTHING, ROLES, SCOPES, Permission, permitted_by, permitting

READ, WRITE = Permission.READ, Permission.WRITE


@pytest.mark.parametrize(
    ("claims", "permitted"),
    [
        ({}, NOTHING),
        ({"roles": []}, NOTHING),
        ({"roles": ["DICOM Data Owner"]}, READ | WRITE),
        ({"roles": ["DICOM Data Reader"]}, READ),
        ({"roles": ["DICOM Data Reader", "DICOM Data Owner", "Other"]}, READ | WRITE),
        ({"roles": "DICOM Data Reader"}, READ),
        ({"roles": ["dicom data owner"]}, NOTHING),
        ({"roles": ["DICOM Data Owner and more"]}, NOTHING),
        ({"roles": "Other DICOM Data Owner"}, NOTHING),
        ({"roles": [{"DICOM Data Owner": 1}, 1, None]}, NOTHING),
        ({"roles": {"DICOM Data Owner": 1}}, NOTHING),
        ({"scp": "Dicom.ReadWrite"}, READ | WRITE),
        ({"scp": "openid Dicom.Read"}, READ),
        ({"scp": ["Dicom.Read", "Dicom.ReadWrite"]}, READ | WRITE),
        ({"scope": "Dicom.Read"}, READ),
        ({"scope": "openid profile"}, NOTHING),
        ({"scp": "Dicom.ReadWrite.All"}, NOTHING),
        ({"scp": 7}, NOTHING),
        # A user's app may do what both may.
        ({"scp": "Dicom.ReadWrite", "roles": ["DICOM Data Reader"]}, READ),
        ({"scp": "Dicom.Read", "roles": ["DICOM Data Owner"]}, READ),
        ({"scp": "Dicom.ReadWrite", "roles": ["DICOM Data Owner"]}, READ | WRITE),
        ({"scp": "Dicom.ReadWrite", "roles": ["Other"]}, NOTHING),
        ({"scp": "Other", "roles": ["DICOM Data Owner"]}, NOTHING),
        ({"scope": "email", "roles": ["DICOM Data Owner"]}, NOTHING),
        ({"wids": ["DICOM Data Owner"], "groups": ["DICOM Data Owner"]}, NOTHING),
    ],
)
def test_what_claims_permit(claims: dict[str, Any], permitted: Permission) -> None:
    assert permitted_by(claims) == permitted


def test_the_roles_and_scopes_that_permit_are_named() -> None:
    assert permitting(WRITE, ROLES) == ["DICOM Data Owner"]
    assert permitting(READ, SCOPES) == ["Dicom.Read", "Dicom.ReadWrite"]
