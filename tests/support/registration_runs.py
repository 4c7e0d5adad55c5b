"""Runs of the script that registers the service, in this process and a tenant on this machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from infra.hooks.graph import Graph, Principal, principal_of
from infra.hooks.register import register
from infra.hooks.registration import AZURE_CLI, OWNER
from shared.web.permissions import ROLES, SCOPES
from tests.support.graph_stand_in import Directory

ANNA = "00000000-0000-0000-0000-000000000001"
NAMED = {"AZURE_ENV_NAME": "prod", "REGISTRATION_NAME": "dicomweb-prod-1"}


@dataclass
class Kept:
    """Variables that are kept in memory."""

    variables: dict[str, str] = field(default_factory=lambda: {"AZURE_ENV_NAME": "prod"})

    def values(self) -> Mapping[str, str]:
        return dict(self.variables)

    def set(self, name: str, value: str) -> None:
        self.variables[name] = value


@dataclass
class Runs:
    """Runs of the script in a tenant: how long they would have waited, and what is told where they pass.

    `passing` is called before and after each request, and each variable that is set.
    """

    directory: Directory
    kept: Kept = field(default_factory=Kept)
    waits: list[float] = field(default_factory=list)
    url: str = ""
    passing: Callable[[], None] = lambda: None

    def run(self, *, what_if: bool = False) -> list[str]:
        said: list[str] = []
        self.directory.requests.clear()
        register(self, self.sign_in, said.append, what_if=what_if)
        return said

    def sign_in(self, _: Mapping[str, str]) -> tuple[Graph, Principal]:
        token = self.directory.token
        hooks = {kind: [lambda _: self.passing()] for kind in ("request", "response")}
        headers = {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=f"{self.url or self.directory.url}/v1.0/", headers=headers, event_hooks=hooks)
        return Graph(client, self.waits.append), principal_of(token)

    def values(self) -> Mapping[str, str]:
        return self.kept.values()

    def set(self, name: str, value: str) -> None:
        self.passing()
        self.kept.set(name, value)
        self.passing()

    @property
    def application(self) -> dict[str, Any]:
        (application,) = self.directory.applications
        return application

    @property
    def service(self) -> dict[str, Any]:
        (service,) = self.directory.service_principals
        return service


def values_of(entitlements: list[dict[str, Any]]) -> list[str]:
    return [one["value"] for one in entitlements if one["isEnabled"]]


def check_complete(runs: Runs, owner: str = ANNA) -> None:
    application, service = runs.application, runs.service
    assert application["signInAudience"] == "AzureADMyOrg"
    assert application["identifierUris"] == [f"api://{application['appId']}"]
    assert application["api"]["requestedAccessTokenVersion"] == 2
    assert values_of(application["appRoles"]) == list(ROLES)
    assert {tuple(role["allowedMemberTypes"]) for role in application["appRoles"]} == {("User", "Application")}
    scopes = application["api"]["oauth2PermissionScopes"]
    assert values_of(scopes) == list(SCOPES)
    assert application["api"]["preAuthorizedApplications"] == [
        {"appId": AZURE_CLI, "delegatedPermissionIds": [scope["id"] for scope in scopes]}
    ]
    assert service["appId"] == application["appId"]
    assert service["appRoleAssignmentRequired"] is True
    (assignment,) = runs.directory.assignments
    (role,) = (role["id"] for role in application["appRoles"] if role["value"] == OWNER)
    assert (assignment["principalId"], assignment["appRoleId"]) == (owner, role)
    # Tokens of version 2 have the client ID as their audience.
    assert runs.kept.variables["AUDIENCE"] == application["appId"]
    assert runs.kept.variables["REGISTRATION_NAME"] == application["uniqueName"]
