"""The service's app registration in Microsoft Entra: what belongs to it, and how it comes to be.

Every step looks at what is there and adds what is missing, so a run that was broken off is completed by the next one.
What others have added or renamed stays: Graph replaces whole collections, so they are sent with what they hold.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final
from uuid import NAMESPACE_DNS, uuid5

from infra.hooks.graph import AlreadyThere, Graph, GraphError, Json, Principal
from shared.web.permissions import ROLES, SCOPES

OWNER: Final = "Dicom.Owner"
# azd signs in as the Azure CLI, too.
AZURE_CLI: Final = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

_READS: Final = "Search and retrieve everything in the archive"
_WRITES: Final = "Search, retrieve, store and delete everything in the archive"
MEANINGS: Final[Mapping[str, str]] = {
    "Dicom.Reader": _READS,
    "Dicom.Owner": _WRITES,
    "Dicom.Read": _READS,
    "Dicom.ReadWrite": _WRITES,
}

# What `api` of an application has. It is sent whole: sources disagree on whether Graph keeps members that are left out.
_API_MEMBERS: Final = (
    "acceptMappedClaims",
    "knownClientApplications",
    "oauth2PermissionScopes",
    "preAuthorizedApplications",
    "requestedAccessTokenVersion",
)
# The portal lists, under Enterprise applications, those that have this tag.
_LISTED: Final = "WindowsAzureActiveDirectoryIntegratedApp"


class Registration:
    """The registration of a unique name.

    With `what_if` nothing is made, only said. What is not found of one that `was_complete` is looked for again: Graph
    may not show it yet.
    """

    def __init__(
        self, graph: Graph, name: str, say: Callable[[str], None], *, what_if: bool, was_complete: bool
    ) -> None:
        self._graph = graph
        self._was_complete = was_complete
        self._path = f"applications(uniqueName='{name}')"
        self._say = say
        self._what_if = what_if
        self.is_changed = False

    def find(self) -> Json | None:
        """The application; None where there is none."""
        return self._graph.find(self._path, is_expected=self._was_complete)

    def complete(self, application: Json | None, display_name: str, principal: Principal) -> Json | None:
        """Make whatever is missing, from the application on; return the application, None where it is only said."""
        if application is None:
            what = f'the app registration "{display_name}"'
            if self._what_if:
                everything = "its scopes, app roles and enterprise application"
                self._make(f"{what}, with {everything}, and {principal.name} {OWNER}", "PATCH", self._path, {})
                return None
            body = {"displayName": display_name, "signInAudience": "AzureADMyOrg"}
            application = self._make(what, "PATCH", self._path, body, create_if_missing=True)
            application = application or self._graph.get(self._path)
        self._set_up(application)
        self._authorize_the_azure_cli(application)
        service = self._service_principal(application)
        self._assign_the_first_owner(application, service, principal)
        return application

    def _set_up(self, application: Json) -> None:
        """Its URI, the version of its tokens, its scopes and its roles."""
        uri = f"api://{application['appId']}"
        api = _api_of(application)
        scopes, new_scopes = _with(api["oauth2PermissionScopes"], map(_scope, SCOPES))
        roles, new_roles = _with(application["appRoles"], map(_role, ROLES))
        body: Json = {}
        made = []
        if uri not in application["identifierUris"]:
            body["identifierUris"] = [*application["identifierUris"], uri]
            made.append(f"the application ID URI {uri}")
        if api["requestedAccessTokenVersion"] != 2 or new_scopes:
            body["api"] = {**api, "requestedAccessTokenVersion": 2, "oauth2PermissionScopes": scopes}
        if api["requestedAccessTokenVersion"] != 2:
            made.append("its tokens version 2")
        if new_scopes:
            made.append(f"the scopes {' and '.join(new_scopes)}")
        if new_roles:
            body["appRoles"] = roles
            made.append(f"the app roles {' and '.join(new_roles)}")
        if body:
            self._make(", ".join(made), "PATCH", f"applications/{application['id']}", body)
            application |= body

    def _authorize_the_azure_cli(self, application: Json) -> None:
        """Let the Azure CLI have tokens for the scopes.

        In a request of its own: Graph knows only scopes that were there before it.
        """
        api = _api_of(application)
        wanted = [scope["id"] for scope in api["oauth2PermissionScopes"] if scope["value"] in SCOPES]
        clients = {client["appId"]: client["delegatedPermissionIds"] for client in api["preAuthorizedApplications"]}
        has = clients.get(AZURE_CLI, [])
        if set(wanted) <= set(has):
            return
        clients[AZURE_CLI] = list(dict.fromkeys([*has, *wanted]))
        authorized = [{"appId": client, "delegatedPermissionIds": ids} for client, ids in clients.items()]
        body = {"api": {**api, "preAuthorizedApplications": authorized}}
        self._make("the Azure CLI its authorized client", "PATCH", f"applications/{application['id']}", body)

    def _service_principal(self, application: Json) -> Json | None:
        """At which roles are assigned; None where it is only said that it would be made."""
        path = f"servicePrincipals(appId='{application['appId']}')"
        found = self._graph.find(path, is_expected=self._was_complete)
        tags = found["tags"] if found else []
        if found and found["appRoleAssignmentRequired"] and _LISTED in tags:
            return found
        body = {"appRoleAssignmentRequired": True, "tags": list(dict.fromkeys([*tags, _LISTED]))}
        what = "its enterprise application, in which assignment is required"
        made = self._make(what, "PATCH", path, body, create_if_missing=True)
        return made or found or (None if self._what_if else self._graph.get(path))

    def _assign_the_first_owner(self, application: Json, service: Json | None, principal: Principal) -> None:
        """Make whoever runs this an owner, unless there is one: to deploy must not mean to read, later on."""
        role = next(role["id"] for role in application["appRoles"] if role["value"] == OWNER)
        service_id = service["id"] if service else ""
        path = f"servicePrincipals/{service_id}/appRoleAssignedTo"
        if service and any(assignment["appRoleId"] == role for assignment in self._graph.all(path)):
            return
        body = {"principalId": principal.id, "resourceId": service_id, "appRoleId": role}
        self._make(f"{principal.name} {OWNER}", "POST", path, body)

    def _make(self, what: str, method: str, path: str, body: Json, *, create_if_missing: bool = False) -> Json | None:
        self.is_changed = True
        if self._what_if:
            self._say(f"Would make {what}.")
            return None
        try:
            made = self._graph.write(method, path, body, create_if_missing=create_if_missing)
        except AlreadyThere:
            made = None
        except GraphError as error:
            raise GraphError(f"Cannot make {what}. {error}") from None
        self._say(f"Made {what}.")
        return made


def _api_of(application: Json) -> Json:
    """What is written again of `api`."""
    api = {member: application["api"].get(member) for member in _API_MEMBERS}
    api["oauth2PermissionScopes"] = _writable(api["oauth2PermissionScopes"] or [])
    api["preAuthorizedApplications"] = api["preAuthorizedApplications"] or []
    return api


def _writable(entitlements: Iterable[Json]) -> list[Json]:
    """Roles or scopes without `origin`, which "must not be included in any POST or PATCH requests" (appRole)."""
    return [{name: value for name, value in one.items() if name != "origin"} for one in entitlements]


def _with(there: Iterable[Json], wanted: Iterable[Json]) -> tuple[list[Json], list[str]]:
    """What is there together with what is wanted, by value, and which values are new or were disabled."""
    together = _writable(there)
    known = {one["value"]: one for one in together}
    new = []
    for one in wanted:
        found = known.get(one["value"])
        if found and found["isEnabled"]:
            continue
        if found:
            found["isEnabled"] = True
        else:
            together.append(one)
        new.append(one["value"])
    return together, new


def _id_of(value: str) -> str:
    """The ID of a role or scope, the same in every run."""
    return str(uuid5(NAMESPACE_DNS, value))


def _role(value: str) -> Json:
    return {
        "id": _id_of(value),
        "value": value,
        "displayName": value,
        "description": MEANINGS[value],
        "allowedMemberTypes": ["User", "Application"],
        "isEnabled": True,
    }


def _scope(value: str) -> Json:
    meaning = MEANINGS[value]
    return {
        "id": _id_of(value),
        "value": value,
        "type": "User",
        "adminConsentDisplayName": meaning,
        "adminConsentDescription": f"{meaning}, on behalf of the signed-in user and within the user's own role.",
        "userConsentDisplayName": meaning,
        "userConsentDescription": f"{meaning}, on your behalf and within your own role.",
        "isEnabled": True,
    }
