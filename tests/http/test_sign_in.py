"""Who is allowed: every kind of token on every route of a served app that has an authority."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx
import pytest
from azure.functions.decorators.function_app import Function

from tests.conftest import Server, serving
from tests.support.app_routes import NO_RESOURCE, guarded, reads, requests_of
from tests.support.in_process import configured_client
from tests.support.refused_tokens import REFUSED
from tests.support.served_instances import dataset, part10, path_of
from tests.support.token_issuer import AUDIENCE, OWNER, READER, Issuer, issuing, jwk, token

PROBLEM = "application/problem+json"
PASSED: set[int] = {200, 204, 400, 404, 406, 415}
AUTHORITY = "https://sts.example.org"
SIGN_IN = {"AUTHORITY": AUTHORITY, "AUDIENCE": AUDIENCE}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Server]:
    """A service with an authority."""
    with serving(
        tmp_path_factory.mktemp("signed-in") / "log",
        ANONYMOUS_ACCESS="false",
        AUTHORITY=issuer.url,
        AUDIENCE=f"dicom-client-id, {AUDIENCE}",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(signed_in: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=signed_in.base_url, timeout=60) as opened:
        yield opened


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


NO_TOKEN: dict[str, Mapping[str, str] | list[tuple[str, str]]] = {
    "nothing": {},
    "another scheme": {"Authorization": "Basic bWU6c2VjcmV0"},
    "no scheme": {"Authorization": token(**OWNER)},
    "an empty token": {"Authorization": "Bearer"},
    "two": [("Authorization", f"Bearer {token(**READER)}"), ("Authorization", f"Bearer {token(**OWNER)}")],
    "another header": {"X-Authorization": f"Bearer {token(**OWNER)}", "X-MS-TOKEN-AAD-ACCESS-TOKEN": token(**OWNER)},
    "a principal of somebody's own making": {"X-MS-CLIENT-PRINCIPAL": "e30=", "X-MS-CLIENT-PRINCIPAL-ID": "me"},
    "a cookie": {"Cookie": f"access_token={token(**OWNER)}"},
}


@pytest.mark.parametrize("name", NO_TOKEN)
def test_a_request_without_a_token_is_refused(client: httpx.Client, functions: list[Function], name: str) -> None:
    for method, path in guarded(functions):
        response = client.request(method, path, headers=NO_TOKEN[name])
        assert response.status_code == 401, (method, path)
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="DICOMweb"'
        assert response.headers["Content-Type"] == PROBLEM


def test_a_token_in_the_query_is_ignored(client: httpx.Client, functions: list[Function]) -> None:
    for method, path in guarded(functions):
        assert client.request(method, path, params={"access_token": token(**OWNER)}).status_code == 401, (method, path)


# Text that is not ASCII cannot be sent in a header.
@pytest.mark.parametrize("name", sorted({*REFUSED} - {"nothing", "not ASCII", "deep"}))
def test_a_token_that_is_not_accepted_is_refused(client: httpx.Client, functions: list[Function], name: str) -> None:
    given, reason = REFUSED[name]
    for method, path in guarded(functions):
        response = client.request(method, path, headers=bearer(given))
        assert response.status_code == 401, (method, path)
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="DICOMweb", error="invalid_token", ')
        assert reason in response.headers["WWW-Authenticate"]
        assert method == "HEAD" or reason in response.json()["detail"]


@pytest.mark.parametrize(("length", "reason"), [(16_384, "can be read"), (16_385, "longer than 16384")])
def test_a_token_has_a_limit(client: httpx.Client, length: int, reason: str) -> None:
    response = client.get("/v2/studies", headers=bearer("x" * length))
    assert (response.status_code, reason in response.json()["detail"]) == (401, True), response.text


@pytest.mark.parametrize(
    ("given", "may_read", "may_write"),
    [
        (token(**OWNER), True, True),
        (token(**OWNER, aud="dicom-client-id"), True, True),
        (token(**READER), True, False),
        (token(scp="Dicom.ReadWrite"), True, True),
        (token(scp="Dicom.Read"), True, False),
        (token(scope="openid Dicom.ReadWrite"), True, True),
        (token(scp="Dicom.ReadWrite", **READER), True, False),
        (token(), False, False),
        (token(roles=["Other"]), False, False),
        (token(scp="User.Read"), False, False),
    ],
)
def test_roles_and_scopes(
    client: httpx.Client, functions: list[Function], given: str, may_read: bool, may_write: bool
) -> None:
    for method, path in guarded(functions):
        response = client.request(method, path, headers=bearer(given))
        if may_read if reads(method, path) else may_write:
            assert response.status_code in PASSED, (method, path)
            continue
        assert response.status_code == 403, (method, path)
        assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]
        missing = "Dicom.Reader or Dicom.Owner" if reads(method, path) else "the app role Dicom.Owner"
        assert method == "HEAD" or missing in response.json()["detail"]


@pytest.mark.parametrize("name", ["/v1.0-prerelease", ""])
def test_another_name_of_a_version_opens_nothing(client: httpx.Client, functions: list[Function], name: str) -> None:
    for method, path in guarded(functions):
        url = path.replace("/v2", name, 1)
        assert client.request(method, url).status_code == 401, (method, url)
        status = client.request(method, url, headers=bearer(token(**READER))).status_code
        assert (status == 403) is not reads(method, url), (method, url)


def test_everything_that_changes_the_archive_needs_the_owner(functions: list[Function]) -> None:
    changing = {(method, path) for method, path in guarded(functions) if not reads(method, path)}
    assert {method for method, path in changing if "/subscriptions" not in path} == {"POST", "PATCH", "DELETE"}
    assert len([path for _, path in changing if "/subscriptions" not in path]) == 10
    assert len([path for _, path in changing if "/subscriptions" in path]) == 9


def test_what_reveals_nothing_of_the_archive_needs_no_token(client: httpx.Client, functions: list[Function]) -> None:
    for method, path in set(requests_of(functions)) - set(guarded(functions)):
        assert client.request(method, path).is_success is (path != NO_RESOURCE), (method, path)


def test_an_owner_stores_and_a_reader_retrieves(client: httpx.Client) -> None:
    image = dataset()
    file, headers = part10(image), {"Content-Type": "application/dicom"}
    refused = client.post("/v2/studies", content=file, headers={**headers, **bearer(token(**READER))})
    assert refused.status_code == 403
    assert client.get(f"/v2{path_of(image)}", headers=bearer(token(**READER))).status_code == 404
    assert client.post("/v2/studies", content=file, headers={**headers, **bearer(token(**OWNER))}).status_code == 200
    assert client.get(f"/v2{path_of(image)}", headers=bearer(token(**READER))).status_code == 200
    assert client.delete(f"/v2{path_of(image)}", headers=bearer(token(**READER))).status_code == 403
    assert client.delete(f"/v2{path_of(image)}", headers={"authorization": f"bearer {token(**OWNER)}"}).is_success


def test_somebody_elses_entity_tag_reveals_nothing_without_sign_in(client: httpx.Client) -> None:
    image = dataset()
    headers = bearer(token(**OWNER))
    client.post("/v2/studies", content=part10(image), headers={**headers, "Content-Type": "application/dicom"})
    path = f"/v2{path_of(image)}/metadata"
    tag = client.get(path, headers=headers).headers["ETag"]
    assert client.get(path, headers={**headers, "If-None-Match": tag}).status_code == 304
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 401


def test_no_token_is_in_the_log(client: httpx.Client, signed_in: Server) -> None:
    owner, expired, odd = token(**OWNER), token(exp=1, **OWNER), "odd-token-that-is-none"
    for given in (owner, expired, odd):
        client.get("/v2/studies", headers=bearer(given))
        client.get("/v2/studies", params={"access_token": given}, headers=bearer(given))
        client.post("/v2/studies", content=b"x", headers=bearer(given))
    log = signed_in.log.read_text()
    assert "The token has expired." in log
    for given in (owner, expired, odd):
        assert not [part for part in given.split(".") if part in log]
    assert "access_token" not in log


def test_a_new_key_is_accepted_and_a_withdrawn_one_is_not(client: httpx.Client, issuer: Issuer) -> None:
    assert client.get("/v2/studies", headers=bearer(token(**OWNER))).is_success
    issuer.publish(jwk("second"))
    give_up = time.monotonic() + 30
    while client.get("/v2/studies", headers=bearer(token("second", **OWNER))).status_code == 401:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    assert client.get("/v2/studies", headers=bearer(token("second", **OWNER))).is_success
    assert client.get("/v2/studies", headers=bearer(token(**OWNER))).status_code == 401
    issuer.publish(jwk("first"), jwk("second"))
    while client.get("/v2/studies", headers=bearer(token(**OWNER))).status_code == 401:
        assert time.monotonic() < give_up
        time.sleep(0.2)


def test_an_authority_that_goes_down_is_missed_only_where_its_keys_are_not_held(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    log = tmp_path_factory.mktemp("down") / "log"
    with issuing() as issuer:
        keys, discovery = issuer.documents["/keys"], "/tenant/.well-known/openid-configuration"
        issuer.documents["/keys"] = None
        with (
            serving(log, ANONYMOUS_ACCESS="false", AUTHORITY=f"{issuer.url}/", AUDIENCE=AUDIENCE) as server,
            httpx.Client(base_url=f"{server.base_url}/v2", headers=bearer(token(**OWNER))) as client,
        ):
            response = client.get("/studies")
            assert response.status_code == 503
            assert response.headers["Retry-After"]
            assert client.get("/studies", headers={"Authorization": ""}).status_code == 401
            assert "AUTHORITY" in server.log.read_text()
            assert httpx.get(f"{server.base_url}/health").status_code == 200
            issuer.documents["/keys"] = keys
            give_up = time.monotonic() + 30
            while client.get("/studies").status_code == 503:
                assert time.monotonic() < give_up
                time.sleep(0.2)
            assert client.get("/studies").is_success
            issuer.documents[discovery] = None
            assert client.get("/studies").is_success
            assert client.get("/studies", headers=bearer(token(kid="unknown", **OWNER))).status_code == 401
            assert client.get("/studies").is_success


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "AUTHORITY and AUDIENCE, or ANONYMOUS_ACCESS"),
        ({"AUTHORITY": AUTHORITY}, "AUTHORITY and AUDIENCE"),
        ({"AUTHORITY": AUTHORITY, "AUDIENCE": " , "}, "AUTHORITY and AUDIENCE"),
        ({"AUDIENCE": AUDIENCE}, "AUTHORITY and AUDIENCE"),
        (SIGN_IN | {"ANONYMOUS_ACCESS": "true"}, "ANONYMOUS_ACCESS"),
        ({"AUTHORITY": AUTHORITY, "ANONYMOUS_ACCESS": "true"}, "ANONYMOUS_ACCESS"),
        ({"AUDIENCE": AUDIENCE, "ANONYMOUS_ACCESS": "true"}, "ANONYMOUS_ACCESS"),
    ],
)
async def test_settings_that_do_not_say_who_may_sign_in_refuse_everyone(
    functions: list[Function],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    environment: dict[str, str],
    named: str,
) -> None:
    async with configured_client(functions, monkeypatch, environment) as client:
        for method, path in guarded(functions):
            for headers in ({}, bearer(token(**OWNER))):
                response = await client.request(method, path, headers=headers)
                assert response.status_code == 503
                assert response.headers["Retry-After"]
    assert named in caplog.text


async def test_an_authority_without_https_refuses_everyone(
    functions: list[Function], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {"AUTHORITY": "http://sts.example.org", "AUDIENCE": AUDIENCE}
    async with configured_client(functions, monkeypatch, environment) as client:
        assert (await client.get("/v2/studies", headers=bearer(token(**OWNER)))).status_code == 503
    assert "AUTHORITY must be an https URL" in caplog.text


async def test_a_token_is_checked_before_storage_is_asked(
    functions: list[Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with configured_client(functions, monkeypatch, {"ANONYMOUS_ACCESS": "true"}) as client:
        assert (await client.get("/v2/studies")).status_code == 503
    async with configured_client(functions, monkeypatch, SIGN_IN) as client:
        for method, path in guarded(functions):
            assert (await client.request(method, path)).status_code == 401, (method, path)


async def test_a_large_body_without_a_token_is_not_read_to_its_end(
    functions: list[Function], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield bytes(1024**2)

    async with configured_client(functions, monkeypatch, SIGN_IN) as client:
        response = await client.post("/v2/studies", content=body(), headers={"Content-Type": "application/dicom"})
    assert response.status_code == 401
    assert 1 < sent < 20
