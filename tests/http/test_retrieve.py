"""Retrieve on the wire: the answers to what real clients ask."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.messages import MULTIPART_DICOM, multipart, parts
from tests.support.served_instances import dataset, new_uid, part10, path_of

ELE = "1.2.840.10008.1.2.1"
PIXEL_DATA = "7FE00010"


@pytest.fixture(scope="module")
def study(service: httpx.Client) -> Iterator[list[tuple[str, bytes]]]:
    """Three instances of two series, stored: path and file of each."""
    study, series = new_uid(), [new_uid(), new_uid()]
    images = [
        dataset(
            StudyInstanceUID=study,
            SeriesInstanceUID=series[number // 2],
            NumberOfFrames=2,
            PixelData=bytes([number]) * 16 + bytes([number + 100]) * 16,
            EncapsulatedDocument=b"document",
        )
        for number in range(3)
    ]
    files = [part10(image) for image in images]
    response = service.post("/studies", content=multipart(files), headers={"Content-Type": MULTIPART_DICOM})
    assert response.status_code == 200
    yield [(path_of(image), file) for image, file in zip(images, files, strict=True)]
    service.delete(f"/studies/{study}")


def study_path(path: str) -> str:
    return "/".join(path.split("/")[:3])


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "multipart/related"),
        ("*/*", "multipart/related"),
        ("", "multipart/related"),
        ('multipart/related; type="application/dicom"', "multipart/related"),
        ("multipart/related; type=application/dicom", "multipart/related"),
        ('multipart/related; type="application/dicom";transfer-syntax="*"', "multipart/related"),  # .NET
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1', "multipart/related"),
        ("application/dicom", "application/dicom"),
        ("application/dicom; transfer-syntax=*", "application/dicom"),
        ('application/dicom;transfer-syntax="*"', "application/dicom"),
        ("image/jpeg, application/dicom;q=0.5", "application/dicom"),
        ("rubbish, application/dicom", "application/dicom"),
        ("application/dicom;q=0.1, multipart/related", "multipart/related"),
    ],
)
def test_an_instance(
    service: httpx.Client, study: list[tuple[str, bytes]], accept: str | None, content_type: str
) -> None:
    path, file = study[0]
    request = service.build_request("GET", path)
    if accept is None:
        del request.headers["Accept"]
    else:
        request.headers["Accept"] = accept
    response = service.send(request)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(content_type)
    assert int(response.headers["Content-Length"]) == len(response.content)
    if content_type == "application/dicom":
        assert response.headers["Content-Type"] == f"application/dicom; transfer-syntax={ELE}"
        assert response.content == file
        return
    assert 'type="application/dicom"' in response.headers["Content-Type"]
    ((headers, body),) = parts(response)
    assert headers["content-type"] == f"application/dicom; transfer-syntax={ELE}"
    assert headers["content-location"].endswith(f"/v2{path}")
    assert body == file


@pytest.mark.parametrize("levels", [3, 5])
@pytest.mark.parametrize("accept", ["*/*", "multipart/related", 'multipart/related; type="application/dicom"'])
def test_a_study_and_a_series(service: httpx.Client, study: list[tuple[str, bytes]], levels: int, accept: str) -> None:
    path = "/".join(study[0][0].split("/")[:levels])
    response = service.get(path, headers={"Accept": accept})
    assert response.status_code == 200
    assert {body for _, body in parts(response)} == {file for of, file in study if of.startswith(path + "/")}


def test_a_study_has_no_single_part(service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
    response = service.get(study_path(study[0][0]), headers={"Accept": "application/dicom"})
    assert response.status_code == 406
    assert 'multipart/related; type="application/dicom"' in response.json()["detail"]


def test_the_accept_query_parameter_replaces_the_header(service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
    path, file = study[0]
    response = service.get(f"{path}?accept=application/dicom", headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert response.content == file


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [("1", [1]), ("2", [2]), ("1,2", [1, 2]), ("2,1", [2, 1]), ("1%2C2", [1, 2]), ("2,2", [2, 2])],
)
@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        'multipart/related; type="*/*"',  # dicomweb-client
        "multipart/related; type=application/octet-stream; transfer-syntax=*",  # OHIF
        'multipart/related; type="application/octet-stream";transfer-syntax="*"',  # .NET
        "multipart/related; type=application/octet-stream",
        'multipart/related; type="image/jphc"; q=1, multipart/related; type=application/octet-stream; q=0.5',
    ],
)
def test_frames(
    service: httpx.Client, study: list[tuple[str, bytes]], frames: str, numbers: list[int], accept: str
) -> None:
    path, _ = study[1]
    response = service.get(f"{path}/frames/{frames}", headers={"Accept": accept})
    assert response.status_code == 200
    got = parts(response)
    assert [body for _, body in got] == [bytes([1 if number == 1 else 101]) * 16 for number in numbers]
    for (headers, _), number in zip(got, numbers, strict=True):
        assert headers["content-type"] == f"application/octet-stream; transfer-syntax={ELE}"
        assert headers["content-location"].endswith(f"/v2{path}/frames/{number}")


def test_one_frame_as_a_single_part(service: httpx.Client, study: list[tuple[str, bytes]]) -> None:
    accept = {"Accept": "application/octet-stream"}
    response = service.get(f"{study[0][0]}/frames/2", headers=accept)
    assert response.status_code == 200
    assert response.content == bytes([100]) * 16
    assert response.headers["Content-Length"] == "16"
    assert service.get(f"{study[0][0]}/frames/1,2", headers=accept).status_code == 406


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/dicom+json", "application/json", "application/dicom+json, */*;q=0.1"]
)
def test_metadata(service: httpx.Client, study: list[tuple[str, bytes]], accept: str | None) -> None:
    path, _ = study[0]
    response = service.get(f"{path}/metadata", headers={"Accept": accept} if accept else {})
    assert response.status_code == 200
    expected = "application/json" if accept == "application/json" else "application/dicom+json"
    assert response.headers["Content-Type"] == expected
    (metadata,) = response.json()
    assert metadata["00083002"] == {"vr": "UI", "Value": [ELE]}
    assert metadata["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Test^Case"}]}
    assert list(metadata) == sorted(metadata)


@pytest.mark.parametrize(
    ("tag", "value"), [(PIXEL_DATA, bytes([0]) * 16 + bytes([100]) * 16), ("00420011", b"document")]
)
def test_every_bulk_data_uri_leads_to_its_value(
    service: httpx.Client, study: list[tuple[str, bytes]], tag: str, value: bytes
) -> None:
    path, _ = study[0]
    (metadata,) = service.get(f"{path}/metadata").json()
    uri = metadata[tag]["BulkDataURI"]
    assert uri.startswith("http")
    assert uri.endswith(f"/v2{path}/bulkdata/{tag}")
    single = service.get(uri, headers={"Accept": "application/octet-stream"})
    assert single.status_code == 200
    assert single.content == value
    ((_, body),) = parts(service.get(uri, headers={"Accept": 'multipart/related; type="application/octet-stream"'}))
    assert body == value


@pytest.mark.parametrize("path", ["00100010/1", "nothing", "00091001", "..%2F7FE00010"])
def test_a_bulk_value_that_does_not_exist(service: httpx.Client, study: list[tuple[str, bytes]], path: str) -> None:
    assert service.get(f"{study[0][0]}/bulkdata/{path}").status_code == 404


@pytest.mark.parametrize("suffix", ["", "/metadata", "/frames/1", "/bulkdata/7FE00010"])
def test_head_is_get_without_the_body(service: httpx.Client, study: list[tuple[str, bytes]], suffix: str) -> None:
    path = study[0][0] + suffix
    got, head = service.get(path), service.head(path)
    assert head.status_code == got.status_code == 200
    assert head.content == b""
    same: tuple[str, ...] = ("Content-Length",) if "Content-Length" in got.headers else ()
    same += ("Content-Type", "ETag")
    assert [head.headers[name] for name in same] == [got.headers[name] for name in same]
    assert service.head(path.replace("/instances/", "/instances/9.9.")).status_code == 404


def test_routes_are_found_whatever_their_case_and_with_a_trailing_slash(
    service: httpx.Client, study: list[tuple[str, bytes]]
) -> None:
    path, _ = study[0]
    for variant in (path.upper(), path + "/", path.replace("studies", "Studies") + "/METADATA/"):
        assert service.get(variant).status_code == 200


def test_a_boundary_belongs_to_the_representation_and_fits_the_net_client(
    service: httpx.Client, study: list[tuple[str, bytes]]
) -> None:
    paths = [path for path, _ in study] * 2 + [study[0][0] + "/frames/1"]
    boundaries = [service.get(path).headers["Content-Type"].partition("boundary=")[2].strip('"') for path in paths]
    assert boundaries[:3] == boundaries[3:6]
    assert len(set(boundaries)) == 4
    assert all(0 < len(boundary) <= 70 for boundary in boundaries)
