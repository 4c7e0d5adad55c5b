"""Microsoft Graph on this machine, as far as a registration needs it, with what it refuses and how it lags."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

from tests.support.graph_rules import (
    Json,
    Refused,
    bad,
    check_properties,
    new_application,
    unknown_permission,
    updated_application,
)

_PATH: Final = re.compile(
    r"/v1\.0/(applications|servicePrincipals)(?:\((\w+)='([^']+)'\)|/([\w-]+))(/appRoleAssignedTo)?"
)


def graph_token(**changed: Any) -> str:
    """The token of a user; its signature is none of the client's business."""
    claims = {"oid": str(UUID(int=1)), "tid": str(UUID(int=2)), "idtyp": "user", "upn": "anna@example.org", **changed}
    return f"e30.{urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2lnbmF0dXJl"


class Directory:
    """A tenant. What a test sets: who may do what, how long what is new is not found, and what is answered first."""

    def __init__(self) -> None:
        self.url = ""
        self.applications: list[Json] = []
        self.service_principals: list[Json] = []
        self.assignments: list[Json] = []
        self.deleted_names: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.token = graph_token()
        self.may_register = self.may_assign = True
        self.lag = 0
        self.first_answers: list[Refused] = []
        self.page_size = 2
        self.shows_assignments = True
        self._waits: Counter[str] = Counter()

    @property
    def _is_app(self) -> bool:
        claims = json.loads(urlsafe_b64decode(f"{self.token.split('.')[1]}=="))
        return bool(claims["idtyp"] == "app")

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.requests if method != "GET"]

    def answer(self, method: str, target: str, token: str, prefer: str, body: Json) -> tuple[int, Json | None]:
        path, query = unquote(urlsplit(target).path), parse_qs(urlsplit(target).query)
        self.requests.append((method, path))
        if self.first_answers:
            raise self.first_answers.pop(0)
        if token != f"Bearer {self.token}":
            raise Refused(401, "InvalidAuthenticationToken", "Access token is empty.")
        found = _PATH.fullmatch(path)
        if not found:
            raise bad(f"Resource not found for the segment {path!r}.")
        kind, key, value, object_id, is_assigned = found.groups()
        if method != "GET" and not (self.may_assign if is_assigned else self.may_register):
            raise Refused(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        is_new = not any(one[key or "id"] == (value or object_id) for one in self._all(kind))
        if is_new and method == "PATCH" and prefer == "create-if-missing":
            return 201, self._created(kind, value, body)
        one = self._object(kind, key or "id", value or object_id)
        if is_assigned:
            return (200, self._assigned(one, query)) if method == "GET" else (201, self._assign(one, body))
        if method == "GET":
            return 200, _shown(one)
        self._update(kind, one, body)
        return 204, None

    def _all(self, kind: str) -> list[Json]:
        return self.applications if kind == "applications" else self.service_principals

    def _object(self, kind: str, key: str, value: str) -> Json:
        found = [one for one in self._all(kind) if one[key] == value]
        if not found or self._is_unseen(f"{kind} {value}"):
            message = (
                f"Resource '{value}' does not exist or one of its queried reference-property objects are not present."
            )
            raise Refused(404, "Request_ResourceNotFound", message)
        return found[0]

    def _is_unseen(self, thing: str) -> bool:
        """Whether a new thing has not reached this server: it has after some requests that need it."""
        self._waits[thing] += 1
        return self._waits[thing] <= self.lag

    def _created(self, kind: str, value: str, body: Json) -> Json:
        one: Json = {"id": str(uuid4()), "tags": []}
        if kind == "applications":
            if value in self.deleted_names:
                raise bad("Another object with the same value for property uniqueName already exists.")
            if not body.get("displayName"):
                raise bad("A value is required for property 'displayName' of resource 'Application'.")
            one |= {"appId": str(uuid4()), "uniqueName": value, **new_application()}
        else:
            if not any(other["appId"] == value for other in self.applications) or self._is_unseen(f"backing {value}"):
                if self._is_app:
                    denied = "When using this permission, the backing application must in the local tenant"
                    raise Refused(403, "Authorization_RequestDenied", denied)
                raise bad(
                    f"The appId '{value}' of the service principal does not reference a valid application object."
                )
            one |= {"appId": value, "appRoleAssignmentRequired": False}
        self._update(kind, one, body)
        self._all(kind).append(one)
        return _shown(one)

    def _update(self, kind: str, one: Json, body: Json) -> None:
        if kind == "servicePrincipals":
            check_properties(body, "ServicePrincipal")
            one |= deepcopy(body)
            return
        new = updated_application(one, body)
        for client in new["api"]["preAuthorizedApplications"]:
            if any(self._is_unseen(f"scope {scope}") for scope in client["delegatedPermissionIds"]):
                raise unknown_permission()
        one |= new

    def _assigned(self, service: Json, query: dict[str, list[str]]) -> Json:
        ours = [one for one in self.assignments if one["resourceId"] == service["id"] and self.shows_assignments]
        start = int(query.get("$skiptoken", ["0"])[0])
        end = start + self.page_size
        page: Json = {"value": ours[start:end]}
        if len(ours) > end:
            path = f"/v1.0/servicePrincipals/{service['id']}/appRoleAssignedTo"
            page["@odata.nextLink"] = f"{self.url}{path}?$skiptoken={end}"
        return page

    def _assign(self, service: Json, body: Json) -> Json:
        check_properties(body, "AppRoleAssignment")
        if body["resourceId"] != service["id"]:
            raise bad("Not a valid reference update.")
        (application,) = (one for one in self.applications if one["appId"] == service["appId"])
        role = body["appRoleId"]
        is_known = any(one["id"] == role and one["isEnabled"] for one in application["appRoles"])
        if not is_known or self._is_unseen(f"role {role}"):
            raise bad(f"Permission being assigned was not found on application '{service['appId']}'.")
        if any(one["principalId"] == body["principalId"] and one["appRoleId"] == role for one in self.assignments):
            raise bad("Permission being assigned already exists on the object")
        self.assignments.append({"id": str(uuid4()), **body})
        return self.assignments[-1]


def _shown(one: Json) -> Json:
    """As it is read: roles and scopes say where they come from, which must not be written."""
    shown = deepcopy(one)
    for entitlement in [*shown.get("appRoles", []), *shown.get("api", {}).get("oauth2PermissionScopes", [])]:
        entitlement["origin"] = "Application"
    return shown


@contextmanager
def served(directory: Directory) -> Iterator[str]:
    """Serve a tenant; yield the URL, which is that of https://graph.microsoft.com elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(content) if content else {}
            token, prefer = self.headers.get("Authorization", ""), self.headers.get("Prefer", "")
            headers: dict[str, str] = {}
            answer: Json | None
            try:
                status, answer = directory.answer(self.command, self.path, token, prefer, body)
            except Refused as refused:
                status, headers = refused.status, refused.headers
                answer = {"error": {"code": refused.code, "message": refused.message, "innerError": {}}}
            sent = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def do_PATCH(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        directory.url = f"http://127.0.0.1:{server.server_port}"
        yield directory.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
