"""The registration in Microsoft Entra, made in a tenant that refuses and lags as Microsoft Graph does."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from infra.hooks.register import CannotRegister
from infra.hooks.registration import AZURE_CLI, MEANINGS, OWNER
from shared.web.permissions import ROLES, SCOPES, Permission
from tests.support.documents import rows
from tests.support.graph_stand_in import Directory, graph_token, served
from tests.support.registration_runs import ANNA, NAMED, Runs, check_complete, values_of

SECURITY = Path(__file__).parents[2] / "docs/security.md"
PIPELINE = graph_token(oid="a-pipeline", idtyp="app", upn=None, app_displayname="pipeline")


@pytest.fixture
def runs() -> Iterator[Runs]:
    directory = Directory()
    with served(directory):
        yield Runs(directory)


def test_the_roles_and_scopes_are_those_of_the_service() -> None:
    assert list(MEANINGS) == [*ROLES, *SCOPES]
    assert ROLES[OWNER] == Permission.READ | Permission.WRITE


def test_the_document_lists_what_is_made() -> None:
    made = {what: value for what, value, _ in rows(SECURITY.read_text(), "in Entra")}
    assert made["Expose an API: Scopes"] == ", ".join(SCOPES)
    assert made["App roles"] == f"{', '.join(ROLES)}, for users and applications"
    assert made["Expose an API: Authorized client applications"] == f"{AZURE_CLI}, with both scopes"
    assert made["Enterprise applications: Users and groups"] == f"you, as {OWNER}"


def test_the_first_run_makes_everything(runs: Runs) -> None:
    said = runs.run()
    check_complete(runs)
    client_id = runs.application["appId"]
    assert said == [
        'Made the app registration "DICOM archive prod".',
        f"Made the application ID URI api://{client_id}, its tokens version 2, the scopes Dicom.Read and "
        "Dicom.ReadWrite, the app roles Dicom.Reader and Dicom.Owner.",
        "Made the Azure CLI its authorized client.",
        "Made its enterprise application, in which assignment is required.",
        "Made anna@example.org Dicom.Owner.",
        f"Set AUDIENCE to {client_id}.",
        "To let others in, assign them a role: Microsoft Entra admin center, Enterprise apps, "
        f'"DICOM archive prod" (client ID {client_id}), Users and groups. For apps and managed identities see '
        "docs/security.md.",
    ]


def test_the_second_run_writes_nothing(runs: Runs) -> None:
    runs.run()
    kept = dict(runs.kept.variables)
    said = runs.run()
    assert runs.directory.writes == []
    assert runs.kept.variables == kept
    (line,) = said
    assert line.endswith("is complete: nothing is changed.")


def test_what_if_says_what_would_be_made_and_makes_nothing(runs: Runs) -> None:
    said = runs.run(what_if=True)
    assert said == [
        'Would make the app registration "DICOM archive prod", with its scopes, app roles and enterprise application, '
        "and anna@example.org Dicom.Owner."
    ]
    assert runs.directory.writes == []
    assert runs.kept.variables == {"AZURE_ENV_NAME": "prod"}


def test_what_if_says_what_is_missing(runs: Runs) -> None:
    runs.run()
    del runs.kept.variables["AUDIENCE"]
    runs.application["identifierUris"] = []
    runs.application["api"]["preAuthorizedApplications"] = []
    runs.directory.service_principals.clear()
    said = runs.run(what_if=True)
    assert runs.directory.writes == []
    assert "AUDIENCE" not in runs.kept.variables
    assert [line.split()[:2] for line in said[:-1]] == [["Would", "make"]] * 4
    assert [line.rpartition(" ")[2] for line in said[:-1]] == [
        f"api://{runs.application['appId']}.",
        "client.",
        "required.",
        "Dicom.Owner.",
    ]


class Killed(BaseException):
    """The process ends."""


def test_a_run_that_is_killed_anywhere_is_completed_by_the_next() -> None:
    points = 0
    while True:
        directory = Directory()
        with served(directory):
            runs, passed = Runs(directory), count()

            def die(passed: Iterator[int] = passed, points: int = points) -> None:
                if next(passed) == points:
                    raise Killed

            runs.passing = die
            try:
                runs.run()
            except Killed:
                runs.passing = lambda: None
                runs.run()
                check_complete(runs)
                assert runs.run()[-1].endswith("is complete: nothing is changed.")
                assert runs.directory.writes == []
            else:
                break
        points += 1
    assert points == 2 * (2 + 8)  # before and after each variable that is set, and each request


def test_what_others_have_added_stays(runs: Runs) -> None:
    runs.run()
    application, api = runs.application, runs.application["api"]
    role = {"id": ANNA, "value": "Other", "displayName": "o", "description": "o", "allowedMemberTypes": ["User"]}
    nameless = [{**role, "id": f"{ANNA[:-1]}{digit}", "value": None, "isEnabled": True} for digit in (2, 3)]
    others = [{**role, "isEnabled": True}, *nameless]
    scope = {"id": ANNA, "value": "Others.Read", "type": "User", "isEnabled": False}
    client = {"appId": "another", "delegatedPermissionIds": [api["oauth2PermissionScopes"][0]["id"]]}
    del runs.kept.variables["AUDIENCE"]
    application |= {"appRoles": others, "identifierUris": ["https://example.org/dicom"], "displayName": "Renamed"}
    api |= {"oauth2PermissionScopes": [scope], "preAuthorizedApplications": [], "knownClientApplications": [ANNA]}
    runs.service["tags"] = ["HideApp"]
    assert 'Enterprise apps, "Renamed"' in runs.run()[-1]
    assert application["appRoles"][:3] == others
    assert values_of(application["appRoles"][3:]) == list(ROLES)
    assert application["identifierUris"] == ["https://example.org/dicom", f"api://{application['appId']}"]
    assert application["api"]["oauth2PermissionScopes"][0] == scope
    assert application["api"]["knownClientApplications"] == [ANNA]
    assert runs.service["tags"] == ["HideApp", "WindowsAzureActiveDirectoryIntegratedApp"]
    application["api"]["preAuthorizedApplications"] = [client, {**client, "appId": AZURE_CLI}]
    runs.run()
    first, second = application["api"]["preAuthorizedApplications"]
    assert first == client
    assert len(second["delegatedPermissionIds"]) == len(SCOPES)
    assert runs.run()[-1].endswith("is complete: nothing is changed.")


def test_an_application_that_is_not_shown_yet_is_not_made_twice(runs: Runs) -> None:
    runs.run()
    del runs.kept.variables["AUDIENCE"]
    runs.directory.lag = 1
    runs.run()
    assert runs.directory.writes[0] == ("PATCH", f"/v1.0/applications(uniqueName='{runs.application['uniqueName']}')")
    check_complete(runs)


def test_a_role_that_was_made_by_hand_is_taken_as_it_is(runs: Runs) -> None:
    runs.run()
    runs.directory.assignments.clear()
    role = next(role for role in runs.application["appRoles"] if role["value"] == OWNER)
    role |= {"id": ANNA, "displayName": "Chief", "isEnabled": False}
    said = runs.run()
    assert said[:2] == ["Made the app roles Dicom.Owner.", "Made anna@example.org Dicom.Owner."]
    roles = {role["value"]: role for role in runs.application["appRoles"]}
    assert (roles[OWNER]["id"], roles[OWNER]["displayName"], roles[OWNER]["isEnabled"]) == (ANNA, "Chief", True)
    assert list(roles) == list(ROLES)


def test_who_runs_it_later_is_no_owner(runs: Runs) -> None:
    runs.run()
    runs.directory.token = graph_token(oid="somebody-else", upn="bert@example.org")
    assert runs.run()[-1].endswith("nothing is changed.")
    check_complete(runs)


def test_an_owner_is_found_on_any_page(runs: Runs) -> None:
    runs.run()
    others = [{"principalId": str(n), "resourceId": runs.service["id"], "appRoleId": "another"} for n in range(5)]
    runs.directory.assignments[:0] = others
    assert runs.run()[-1].endswith("nothing is changed.")
    assert [path.rpartition("/")[2] for _, path in runs.directory.requests].count("appRoleAssignedTo") == 3


def test_an_owner_who_is_not_shown_yet_is_not_made_twice(runs: Runs) -> None:
    runs.run()
    runs.directory.shows_assignments = False
    assert "Made anna@example.org Dicom.Owner." in runs.run()
    check_complete(runs)


def test_an_app_may_run_it_for_a_name_that_is_kept_elsewhere(runs: Runs) -> None:
    runs.directory.token = PIPELINE
    with pytest.raises(CannotRegister, match=r"pipeline is an app, and neither AUDIENCE nor REGISTRATION_NAME is set"):
        runs.run()
    assert runs.directory.requests == []
    runs.kept.variables = dict(NAMED)
    assert "Made pipeline Dicom.Owner." in runs.run()
    check_complete(runs, owner="a-pipeline")
    runs.kept.variables = dict(NAMED)
    runs.run()
    assert runs.directory.writes == []
    check_complete(runs, owner="a-pipeline")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AUDIENCE": "api://dicom"}, "AUDIENCE is api://dicom"),
        ({"AUTHORITY": "https://sts.example.org"}, "AUTHORITY is https://sts.example.org"),
        ({"AUTHORITY": "https://a.org", "AUDIENCE": "b"}, "AUTHORITY is https://a.org and AUDIENCE is b"),
    ],
)
def test_what_others_have_registered_is_left_alone(runs: Runs, variables: dict[str, str], said: str) -> None:
    runs.kept.variables |= variables
    assert runs.run() == [f"{said}, which was not registered from here: nothing is changed."]
    assert runs.directory.requests == []


def test_an_audience_that_was_changed_is_left_alone(runs: Runs) -> None:
    runs.run()
    client_id = runs.application["appId"]
    runs.application["identifierUris"] = []
    runs.kept.variables["AUDIENCE"] = "api://elsewhere"
    (line,) = runs.run()
    assert line.startswith("AUDIENCE is api://elsewhere, which is not that of the app registration dicomweb-prod-")
    assert runs.directory.writes == []
    runs.kept.variables["AUDIENCE"] = f"api://elsewhere,{client_id}"
    assert runs.run()[0] == f"Made the application ID URI api://{client_id}."
    assert runs.kept.variables["AUDIENCE"] == f"api://elsewhere,{client_id}"


def test_a_registration_that_is_gone_is_not_made_anew(runs: Runs) -> None:
    runs.run()
    runs.directory.applications.clear()
    with pytest.raises(CannotRegister, match=r"has no app registration dicomweb-prod-\w+\. Sign in to the tenant"):
        runs.run()
    assert runs.directory.writes == []


def test_a_registration_that_is_not_shown_yet_is_waited_for(runs: Runs) -> None:
    runs.run()
    runs.directory.lag = 5
    assert runs.run()[-1].endswith("nothing is changed.")


@pytest.mark.parametrize("name", ["a'b", "a b", "a/b", "é", "a" * 121])
def test_a_name_that_is_none_is_refused(runs: Runs, name: str) -> None:
    runs.kept.variables["REGISTRATION_NAME"] = name
    with pytest.raises(CannotRegister, match=r"letters, digits, dots, dashes and underscores"):
        runs.run()
