"""Ten thousand mutated valid requests: each gets a documented answer, and the archive stays consistent."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import pytest

from tests.conftest import Server
from tests.support.measured_server import MIB, needs_proc, peak_bytes, process_of
from tests.support.mutations import ResourceRequest, StoreRequest, resource_request, store_request
from tests.support.served_instances import dataset, part10
from tests.support.watched_server import WatchedServer, watched

STORES = [2_000, pytest.param(10_000, marks=pytest.mark.long)]
RESOURCES = 2_000
CONNECTIONS = 12

# Documented statuses, of stores and of the others. 503 is not among them: storage is up.
STORE_STATUSES = {200, 202, 204, 400, 409, 413, 415}
RESOURCE_STATUSES = {200, 204, 400, 404, 405, 406}
REASONS = {272, 43264, 43265, 45070}

# How much memory the process may hold beyond what its first requests took.
MAX_GROWTH_BYTES = 50 * MIB

Request = TypeVar("Request", StoreRequest, ResourceRequest)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    with watched(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: WatchedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=120, limits=httpx.Limits(max_connections=CONNECTIONS)) as one:
        yield one


def send_all(requests: Iterable[Request], send: Callable[[Request], None]) -> None:
    """Send requests over all connections at once. Raises the first error, which names the request, at the end."""

    def send_one(request: Request) -> None:
        try:
            send(request)
        except (AssertionError, httpx.HTTPError, KeyError, ValueError) as error:
            error.add_note(f"of {type(request).__name__} {request.number}")
            raise

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for _ in threads.map(send_one, requests):
            pass


def check_problem(response: httpx.Response) -> None:
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == response.status_code
    assert response.json()["detail"]


def items(answer: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.get(tag, {}).get("Value", [])
    return found


def check_store(request: StoreRequest, response: httpx.Response) -> None:
    """Check a store's answer: documented, well formed, and with an outcome for each part."""
    assert response.status_code in STORE_STATUSES, response.text
    if request.part_count is not None:
        assert response.status_code in (200, 202, 409), response.text
    if response.status_code == 204:
        assert response.content == b""
        return
    if response.status_code not in (200, 202, 409):
        check_problem(response)
        return
    failed, stored = (items(response.json(), tag) for tag in ("00081198", "00081199"))
    assert len(failed) + len(stored) == (request.part_count or len(failed) + len(stored)) > 0
    assert bool(stored) == (response.status_code != 409)
    for item in failed:
        assert item["00081197"]["Value"][0] in REASONS
        assert items(item, "00741048")[0]["00000902"]["Value"][0]
    for item in stored:
        assert "/v2/studies/" in item["00081190"]["Value"][0]


def check_resource(request: ResourceRequest, response: httpx.Response) -> None:
    """Check an answer to a request for a resource: documented, and in the form that it says."""
    assert response.status_code in RESOURCE_STATUSES, response.text
    content_type = response.headers.get("Content-Type", "")
    if request.method == "HEAD" or response.status_code == 204:
        assert response.content == b""
    elif response.status_code == 200:
        assert response.content
        if "json" in content_type:
            assert isinstance(response.json(), list)
    else:
        check_problem(response)


def check_log(server: Server) -> None:
    lines = server.log.read_text(errors="replace").splitlines()
    assert [line for line in lines if "Traceback" in line or line.split()[2:3] in (["E"], ["C"])] == []


@needs_proc
@pytest.mark.parametrize("stores", STORES)
def test_stores(server: WatchedServer, client: httpx.Client, stores: int) -> None:
    statuses: Counter[int] = Counter()

    def send(request: StoreRequest) -> None:
        response = client.post(
            "/v2/studies", content=iter(request.chunks), headers=[(b"Content-Type", request.content_type)]
        )
        statuses[response.status_code] += 1
        check_store(request, response)

    send_all(map(store_request, range(stores // 20)), send)
    process = process_of(server)
    peak = peak_bytes(process)
    send_all(map(store_request, range(stores // 20, stores)), send)
    assert peak_bytes(process) - peak < MAX_GROWTH_BYTES
    assert {200, 202, 400, 409, 415} <= set(statuses)
    counts = server.check()
    assert sum(counts.values()) > 100
    for study, count in counts.items():
        assert count == 0 or len(client.get(f"/v2/studies/{study}/metadata").json()) == count
    check_log(server)


def test_resources(server: WatchedServer, client: httpx.Client) -> None:
    instances = [(f"2.25.7{number % 3}", f"2.25.8{number % 6}", f"2.25.9{number}") for number in range(60)]
    for study, series, uid in instances:
        image = dataset(StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=uid)
        headers = {"Content-Type": "application/dicom"}
        assert client.post("/v2/studies", content=part10(image), headers=headers).status_code == 200
    statuses: Counter[int] = Counter()

    def send(request: ResourceRequest) -> None:
        response = client.send(
            client.build_request(
                request.method, "/", headers=[(b"Accept", request.accept)], extensions={"target": request.target}
            )
        )
        statuses[response.status_code] += 1
        check_resource(request, response)

    send_all((resource_request(number, instances) for number in range(RESOURCES)), send)
    assert set(statuses) == RESOURCE_STATUSES, statuses
    server.check()
    check_log(server)
