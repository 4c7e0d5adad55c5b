"""Who is served, under which name, and what the log says."""

import gzip
from collections.abc import Iterator

import httpx
import pytest

from functions.edge.app import App
from shared.settings import SettingsError
from shared.version import VERSION
from tests.conftest import Server, serving
from tests.support.served_instances import dataset, part10, path_of


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that nobody has opened, with small limits and a public name."""
    with serving(
        tmp_path_factory.mktemp("other") / "log",
        ANONYMOUS_ACCESS="false",
        PUBLIC_BASE_URL="https://dicom.example.org",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def behind_a_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service without a public name, with small limits."""
    with serving(
        tmp_path_factory.mktemp("behind") / "log", PUBLIC_BASE_URL="", MAX_REQUEST_BYTES="100000", MAX_PARTS="2"
    ) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/studies"),
        ("POST", "/v2/studies"),
        ("GET", "/v2/studies/1.2"),
        ("DELETE", "/v2/studies/1.2"),
        ("GET", "/v2/studies/1.2/metadata"),
        ("GET", "/v2/api.yaml"),
    ],
)
def test_a_service_that_nobody_opened_serves_nobody(other_server: Server, method: str, path: str) -> None:
    response = httpx.request(method, other_server.base_url + path)
    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert response.json()["detail"] == "The service is not configured."
    other_server.wait_for_line("ANONYMOUS_ACCESS")


def test_each_request_has_its_own_error_of_settings_that_cannot_be_read() -> None:
    # One error for all would keep the frames of every request that raised it.
    app, errors = App.from_environment({"MAX_PARTS": "many"}), []
    for _ in range(2):
        with pytest.raises(SettingsError, match="MAX_PARTS") as raised:
            app.check()
        errors.append(raised.value)
    assert errors[0] is not errors[1]


def test_everyone_may_ask_for_health(other_server: Server) -> None:
    response = httpx.get(f"{other_server.base_url}/health")
    assert (response.status_code, response.json()) == (200, {"status": "healthy", "version": VERSION})


def retrieve_url(server: Server, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(
        f"{server.base_url}/v2/studies",
        content=part10(dataset()),
        headers={"Content-Type": "application/dicom", **headers},
    )


def test_urls_carry_the_name_that_the_client_used(behind_a_host: Server) -> None:
    response = retrieve_url(behind_a_host, {"Host": "dicom.example.org"})
    url = response.json()["00081190"]["Value"][0]
    assert url.startswith("http://dicom.example.org/v2/studies/")


@pytest.mark.parametrize("host", ['a"b', "a/b", "a b", "<script>"])
def test_an_invalid_host_is_refused(behind_a_host: Server, host: str) -> None:
    response = retrieve_url(behind_a_host, {"Host": host})
    assert response.status_code == 400


def test_limits_answer_413(behind_a_host: Server) -> None:
    large = part10(dataset(PixelData=bytes(200_000)))
    url, headers = f"{behind_a_host.base_url}/v2/studies", {"Content-Type": "application/dicom"}
    announced = httpx.post(url, content=large, headers=headers)
    chunked = httpx.post(url, content=iter([large[:90_000], large[90_000:]]), headers=headers)
    assert announced.status_code == chunked.status_code == 413
    assert "100000" in announced.json()["detail"]
    headers["Content-Type"] = 'multipart/related; type="application/dicom"; boundary=b'
    image = dataset()
    body = b"--b\r\n\r\n" + part10(image) + b"\r\n--b\r\n\r\nx\r\n--b\r\n\r\nx\r\n--b--"
    parts = httpx.post(url, content=body, headers=headers)
    assert parts.status_code == 413
    assert "max_parts" in parts.json()["detail"]
    assert httpx.get(f"{behind_a_host.base_url}/v2{path_of(image)}").status_code == 404


@pytest.mark.parametrize("is_announced", [False, True])
def test_a_body_that_inflates_over_the_limit_is_refused(behind_a_host: Server, is_announced: bool) -> None:
    bomb = gzip.compress(part10(dataset()) + bytes(20_000_000))
    assert len(bomb) < 100_000
    response = httpx.post(
        f"{behind_a_host.base_url}/v2/studies",
        content=bomb if is_announced else iter([bomb[:9_000], bomb[9_000:]]),
        headers={"Content-Type": "application/dicom", "Content-Encoding": "gzip"},
    )
    assert (response.status_code, "100000" in response.json()["detail"]) == (413, True)


def test_no_patient_data_is_in_the_log(server: Server) -> None:
    with httpx.Client(base_url=f"{server.base_url}/v2") as client:
        image = dataset(PatientName="Geheim^Name", PatientID="geheime-id")
        assert client.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"}).is_success
        assert client.get("/studies", params={"PatientName": "Geheim^Name", "PatientID": "geheime-id"}).is_success
        assert client.get("/studies", params={"PatientName": "Geheim=*=*=*"}).status_code == 400
        assert client.delete(path_of(image)).is_success
    log = server.log.read_text()
    assert "/v2/studies" in log
    assert "geheim" not in log.lower()
