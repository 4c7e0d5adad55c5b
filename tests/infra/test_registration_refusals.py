"""What the registration makes of a tenant that is slow, busy, or refuses; and that the stand-in for it refuses."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.hooks.graph import GraphError, principal_of
from tests.support.graph_rules import Refused, new_application, updated_application
from tests.support.graph_stand_in import Directory, graph_token, served
from tests.support.registration_runs import ANNA, NAMED, Runs, check_complete
from tests.support.token_issuer import encoded


@pytest.fixture
def runs() -> Iterator[Runs]:
    directory = Directory()
    with served(directory):
        yield Runs(directory)


@pytest.mark.parametrize("claims", [{}, {"idtyp": "app"}])
def test_what_is_new_is_waited_for(runs: Runs, claims: dict[str, str]) -> None:
    runs.kept.variables = dict(NAMED)
    runs.directory.token = graph_token(**claims)
    runs.directory.lag = 4
    runs.run()
    check_complete(runs)
    # The application, each of two scopes, the application for its service principal, that, and the role.
    assert len(runs.waits) == 6 * 4


def test_what_stays_away_is_told_within_bounds(runs: Runs) -> None:
    runs.directory.lag = 100
    with pytest.raises(GraphError, match=r"Cannot make the application ID URI .* does not exist .* run this again"):
        runs.run()
    assert sum(runs.waits) < 90
    runs.directory.lag = 0
    runs.run()
    check_complete(runs)


def busy(status: int, headers: dict[str, str] | None = None) -> Refused:
    return Refused(status, "TooManyRequests", "Please retry again later.", headers)


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        (busy(429, {"Retry-After": "7"}), [7.0]),
        (busy(429, {"Retry-After": "86400"}), [120.0]),
        (busy(429, {"Retry-After": "Mon, 30 Nov 2026 12:00:00 GMT"}), [1.0]),
        (busy(503), [1.0]),
    ],
)
def test_graph_is_left_alone_for_as_long_as_it_asks(runs: Runs, answer: Refused, waits: list[float]) -> None:
    runs.directory.first_answers = [answer]
    runs.run()
    check_complete(runs)
    assert runs.waits == waits


def test_a_graph_that_stays_busy_is_told(runs: Runs) -> None:
    runs.directory.first_answers = [busy(429)] * 100
    with pytest.raises(GraphError, match=r"429 TooManyRequests: Please retry again later\. It was tried 9 times"):
        runs.run()
    assert len(runs.directory.requests) == 9


def test_a_graph_that_does_not_answer_is_told(runs: Runs) -> None:
    runs.url = "http://127.0.0.1:1"
    with pytest.raises(GraphError, match=r"Microsoft Graph does not answer at http://127.0.0.1:1/v1.0/"):
        runs.run()


def _may_not_register(directory: Directory) -> None:
    directory.may_register = False


def _may_not_assign(directory: Directory) -> None:
    directory.may_assign = False


def _token_is_refused(directory: Directory) -> None:
    directory.first_answers = [Refused(401, "InvalidAuthenticationToken", "Lifetime validation failed.")]


def _claims_are_asked_for(directory: Directory) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3"'}
    directory.first_answers = [Refused(401, "InvalidAuthenticationToken", "Continuous access evaluation.", challenge)]


def _name_is_of_a_deleted_application(directory: Directory) -> None:
    directory.deleted_names = {NAMED["REGISTRATION_NAME"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            _may_not_register,
            'Cannot make the app registration "DICOM archive prod". Microsoft Graph refuses PATCH '
            "applications(uniqueName='dicomweb-prod-1'): 403 Authorization_RequestDenied: Insufficient privileges to "
            "complete the operation. It needs the Entra role Application Developer, Application Administrator or Cloud "
            "Application Administrator; an app needs the permission Application.ReadWrite.OwnedBy of Microsoft Graph.",
        ),
        (_may_not_assign, "Cannot make anna@example.org Dicom.Owner. Microsoft Graph refuses POST servicePrincipals/"),
        (
            _may_not_assign,
            "It needs an owner of the registration, or the Entra role Application Administrator or Cloud",
        ),
        (
            _token_is_refused,
            "401 InvalidAuthenticationToken: Lifetime validation failed. Sign in again: azd auth login.",
        ),
        (
            _claims_are_asked_for,
            "Conditional access asks for a new sign-in before it lets this pass. Sign in again: azd",
        ),
        (_name_is_of_a_deleted_application, "App registrations, Deleted applications, restore it or delete it"),
    ],
)
def test_a_refusal_is_explained(runs: Runs, change: Callable[[Directory], None], said: str) -> None:
    runs.kept.variables = dict(NAMED)
    change(runs.directory)
    with pytest.raises(GraphError) as refused:
        runs.run()
    assert said in str(refused.value)
    assert runs.directory.token not in str(refused.value)
    assert "AUDIENCE" not in runs.kept.variables


def test_what_is_refused_for_want_of_rights_goes_on_once_there_are(runs: Runs) -> None:
    runs.directory.may_assign = False
    with pytest.raises(GraphError):
        runs.run()
    runs.directory.may_assign = True
    assert runs.run()[0] == "Made anna@example.org Dicom.Owner."
    check_complete(runs)


def test_the_token_is_given_to_no_other_host(runs: Runs) -> None:
    runs.run()
    runs.directory.assignments[:0] = [{**runs.directory.assignments[0], "appRoleId": "another"}] * 2
    runs.url = runs.directory.url
    runs.directory.url = runs.url.replace("127.0.0.1", "localhost")
    with pytest.raises(GraphError, match="is on another host, which is not given the token"):
        runs.run()


@pytest.mark.parametrize("token", ["", "a.b.c", "e30.e30.e30", "e30.W10.e30"])
def test_a_token_that_names_nobody_is_told(token: str) -> None:
    with pytest.raises(GraphError, match="does not say whose it is"):
        principal_of(token)


@pytest.mark.parametrize(
    ("claims", "name", "is_app"),
    [
        ({}, "anna@example.org", False),
        ({"upn": None, "unique_name": "guest@example.org"}, "guest@example.org", False),
        ({"upn": None, "idtyp": "app", "app_displayname": "pipeline"}, "pipeline", True),
        ({"upn": None, "idtyp": "app"}, ANNA, True),
    ],
)
def test_who_is_signed_in_follows_from_the_token(claims: dict[str, str | None], name: str, is_app: bool) -> None:
    principal = principal_of(graph_token(**claims))
    assert (principal.id, principal.name, principal.is_app) == (ANNA, name, is_app)


@pytest.mark.parametrize(("scopes", "is_app"), [({"scp": "User.Read"}, False), ({}, True)])
def test_a_token_without_its_type_is_of_a_user_if_it_has_scopes(scopes: dict[str, str], is_app: bool) -> None:
    claims = encoded({"oid": ANNA, "tid": "tenant", **scopes})
    assert principal_of(f"e30.{claims}.e30").is_app is is_app


def role(value: str, identifier: str = "00000000-0000-0000-0000-000000000001", **changed: Any) -> dict[str, Any]:
    return {"id": identifier, "value": value, "isEnabled": True, **changed}


def api(*scopes: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"api": {"oauth2PermissionScopes": list(scopes), **members}}


HAD = role("Had")
ANOTHER_ID = "00000000-0000-0000-0000-000000000002"
CLIENT = {"appId": "client", "delegatedPermissionIds": [HAD["id"]]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"appRoles": [HAD, role("DICOM Data Owner", ANOTHER_ID)]}, "InvalidValue"),
        ({"appRoles": [HAD, role("a" * 121, ANOTHER_ID)]}, "InvalidValue"),
        ({"appRoles": [HAD, role(".a", ANOTHER_ID)]}, "InvalidValue"),
        ({"appRoles": [HAD, role("Other")]}, "DuplicateValue"),
        ({"appRoles": [HAD, role("Had", ANOTHER_ID)]}, "DuplicateValue"),
        (api(role("Had", ANOTHER_ID)), "DuplicateValue"),
        ({"appRoles": []}, "CannotDeleteOrUpdateEnabledEntitlement"),
        ({"appRoles": [role("Renamed")]}, "CannotDeleteOrUpdateEnabledEntitlement"),
        ({"appRoles": [{**HAD, "origin": "Application"}]}, "Request_BadRequest"),
        (api(role("Read", ANOTHER_ID), preAuthorizedApplications=[CLIENT]), "InvalidValue"),
        ({"api": {"preAuthorizedApplications": [{"appId": "client", "permissionIds": []}]}}, "Request_BadRequest"),
        ({"api": {"requestedAccessTokenVersion": 3}}, "Request_BadRequest"),
        ({"identifierUris": ["api://dicom"]}, "Request_BadRequest"),
        ({"oauth2PermissionScopes": []}, "Request_BadRequest"),
    ],
)
def test_the_stand_in_refuses_what_graph_refuses(body: dict[str, Any], code: str) -> None:
    application = {**new_application(), "appId": "an-id", "appRoles": [HAD]}
    with pytest.raises(Refused) as refused:
        updated_application(application, body)
    assert (refused.value.status, refused.value.code) == (400, code)


def test_the_stand_in_keeps_an_enabled_scope() -> None:
    application = {**new_application(), **api(HAD, preAuthorizedApplications=[], requestedAccessTokenVersion=2)}
    with pytest.raises(Refused, match="CannotDelete"):
        updated_application(application, {"api": {"requestedAccessTokenVersion": 2}})
