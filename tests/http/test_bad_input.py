"""Bad input gets a 4xx problem document that says what is wrong, and nothing of the bad part is stored."""

import json
from contextlib import closing
from http.client import HTTPConnection

import httpx
import pytest

from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.served_instances import dataset, new_uid, part10, path_of

JSON = {"Accept": "application/dicom+json"}


def problem(response: httpx.Response) -> str:
    """The detail of a problem document, whose form is checked."""
    assert response.headers["Content-Type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    assert document["title"]
    assert 400 <= response.status_code < 500
    detail: str = document["detail"]
    assert "Traceback" not in detail
    return detail


def store(service: httpx.Client, body: bytes, content_type: str | None = MULTIPART_DICOM) -> httpx.Response:
    headers = JSON if content_type is None else {**JSON, "Content-Type": content_type}
    return service.post("/studies", content=body, headers=headers)


def error_ids(response: httpx.Response) -> list[int | None]:
    """Error ID of each instance that a store response says failed."""
    items = response.json()["00081198"]["Value"]
    return [item["00741048"]["Value"][0].get("00000903", {"Value": [None]})["Value"][0] for item in items]


def failures(response: httpx.Response) -> list[tuple[int, str]]:
    """Reason and comment of each instance that a store response says failed."""
    items = response.json().get("00081198", {}).get("Value", [])
    return [(item["00081197"]["Value"][0], item["00741048"]["Value"][0]["00000902"]["Value"][0]) for item in items]


@pytest.mark.parametrize(
    ("content_type", "status", "said"),
    [
        (None, 415, "no Content-Type"),
        ("text/plain", 415, "multipart/related"),
        ("multipart/form-data; boundary=tutorial", 415, "multipart/related"),
        ('multipart/related; type="application/dicom+json"; boundary=tutorial', 415, "multipart/related"),
        ("nonsense", 400, "type/subtype"),
        ('multipart/related; type="application/dicom"', 400, "boundary"),
        ('multipart/related; type="application/dicom"; boundary=""', 400, "boundary"),
    ],
)
def test_unsupported_content_types(service: httpx.Client, content_type: str | None, status: int, said: str) -> None:
    image = dataset()
    response = store(service, multipart([part10(image)]), content_type)
    assert response.status_code == status
    assert said in problem(response)
    assert service.get(path_of(image)).status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "ends before"),
        (b"no delimiter at all", "ends before"),
        (b"--tutorial\r\nno colon\r\n\r\nbody\r\n--tutorial--", "header"),
        (multipart([b"x"])[:-14], "ends before"),
    ],
)
def test_bodies_that_are_not_multipart(service: httpx.Client, body: bytes, said: str) -> None:
    response = store(service, body)
    assert response.status_code == 400
    assert said in problem(response)


@pytest.mark.parametrize("cut", [10, 100, 600])
def test_nothing_of_a_cut_part_is_stored(service: httpx.Client, cut: int) -> None:
    whole, partial = dataset(), dataset()
    response = store(service, multipart([part10(whole), part10(partial)])[:-cut])
    assert response.status_code == 400
    assert "ends before" in problem(response)
    assert service.get(path_of(partial)).status_code == 404


def test_a_part_that_is_not_dicom_fails_alone(service: httpx.Client) -> None:
    image = dataset()
    response = store(service, multipart([b"not DICOM", part10(image), b""]))
    assert response.status_code == 202
    assert [reason for reason, _ in failures(response)] == [272, 272]
    assert "not a DICOM file" in failures(response)[0][1]
    assert service.get(path_of(image)).status_code == 200


def test_a_body_of_rubbish_is_a_conflict(service: httpx.Client) -> None:
    response = store(service, b"not DICOM", "application/dicom")
    assert response.status_code == 409
    assert [reason for reason, _ in failures(response)] == [272]


def test_a_part_of_another_type_fails_alone(service: httpx.Client) -> None:
    image, other = dataset(), dataset()
    parts = multipart([part10(image)])[: -len(b"--tutorial--\r\n")]
    response = store(service, parts + multipart([part10(other)], part_type="image/jpeg"))
    assert response.status_code == 202
    ((reason, comment),) = failures(response)
    assert reason == 272
    assert "application/dicom" in comment
    assert service.get(path_of(image)).status_code == 200
    assert service.get(path_of(other)).status_code == 404


@pytest.mark.parametrize("part_type", ["image/jpeg", "application/dicom+json", "text/plain; charset=utf-8"])
@pytest.mark.parametrize("count", [1, 3])
def test_parts_that_are_all_of_another_type_are_refused(service: httpx.Client, part_type: str, count: int) -> None:
    images = [dataset() for _ in range(count)]
    response = store(service, multipart(map(part10, images), part_type=part_type))
    assert response.status_code == 415
    assert "application/dicom" in problem(response)
    assert {service.get(path_of(image)).status_code for image in images} == {404}


def test_an_instance_of_another_study_fails(service: httpx.Client) -> None:
    image, other = dataset(), new_uid()
    response = service.post(
        f"/studies/{other}", content=part10(image), headers={**JSON, "Content-Type": "application/dicom"}
    )
    assert response.status_code == 409
    ((reason, comment),) = failures(response)
    assert reason == 43265
    assert "another study" in comment
    assert service.get(path_of(image)).status_code == 404


def test_duplicates_are_told_apart_from_different_instances_with_the_same_uid(service: httpx.Client) -> None:
    image = dataset()
    assert store(service, part10(image), "application/dicom").status_code == 200
    again = store(service, part10(image), "application/dicom")
    image.PatientID = "other"
    different = store(service, part10(image), "application/dicom")
    assert again.status_code == different.status_code == 409
    assert failures(again) == [(45070, "The instance is stored already, with identical content.")]
    assert failures(different) == [(45070, "An instance of this UID is stored already, with different content.")]
    assert (error_ids(again), error_ids(different)) == ([1], [2])
    twice = dataset()
    response = store(service, multipart([part10(twice), part10(twice)]))
    assert response.status_code == 202
    assert [reason for reason, _ in failures(response)] == [45070]
    assert error_ids(response) == [None]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "PatientID"])
def test_a_required_attribute_that_is_missing_is_named(service: httpx.Client, keyword: str) -> None:
    response = store(service, part10(dataset(**{keyword: None})), "application/dicom")
    assert response.status_code == 409
    ((reason, comment),) = failures(response)
    assert reason == 43264
    assert f"{keyword} is required and is missing" in comment


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
def test_an_invalid_date_fails_in_v1_and_warns_in_v2(service: httpx.Client) -> None:
    headers = {**JSON, "Content-Type": "application/dicom"}
    file = part10(dataset(StudyDate="01.01.2026"))
    strict = service.post(str(service.base_url).replace("/v2", "/v1") + "studies", content=file, headers=headers)
    assert strict.status_code == 409
    assert failures(strict)[0] == (43264, "DICOM100: (0008,0020) - StudyDate must be a date YYYYMMDD.")
    lenient = service.post("/studies", content=file, headers=headers)
    assert lenient.status_code == 202
    (item,) = lenient.json()["00081199"]["Value"]
    assert item["00081196"]["Value"] == [1]
    assert "StudyDate" in item["00741048"]["Value"][0]["00000902"]["Value"][0]


@pytest.mark.parametrize("version", ["v3", "v0", "v", "2"])
def test_an_unknown_version_names_the_known_ones(service: httpx.Client, version: str) -> None:
    for method in ("GET", "POST"):
        response = service.request(method, str(service.base_url).replace("/v2", f"/{version}") + "studies")
        assert response.status_code == 404
        assert "v1 and v2" in problem(response)


INVALID_UIDS = [
    "1..2",
    ".1",
    "1.",
    "a",
    "1.2%2F3",
    "1%2f..%2f2",
    "1'2",
    '1"2',
    "1" * 65,
    "%00",
    "1 2",
    "..%2F1",
    "%25",
]


@pytest.mark.parametrize("uid", INVALID_UIDS)
@pytest.mark.parametrize(
    ("method", "path", "resource"),
    [
        ("GET", "/studies/{uid}", "study"),
        ("GET", "/studies/{uid}/metadata", "study"),
        ("GET", "/studies/{uid}/series", "study"),
        ("GET", "/studies/1.2/series/{uid}", "series"),
        ("GET", "/studies/1.2/series/{uid}/instances", "series"),
        ("GET", "/studies/1.2/series/1.2/instances/{uid}", "instance"),
        ("GET", "/studies/1.2/series/1.2/instances/{uid}/frames/1", "instance"),
        ("DELETE", "/studies/{uid}", "study"),
        ("POST", "/studies/{uid}", "study"),
    ],
)
def test_paths_with_an_invalid_uid(service: httpx.Client, method: str, path: str, resource: str, uid: str) -> None:
    headers = {"Content-Type": "application/dicom"} if method == "POST" else {}
    response = service.request(method, path.format(uid=uid), content=b"" if headers else None, headers=headers)
    assert response.status_code == 400
    assert f"The {resource} UID in the path is not valid" in problem(response)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("NoSuchAttribute=1", "NoSuchAttribute"),
        ("StudyDate=2026-01-01", "StudyDate"),
        ("StudyDate=20260230", "StudyDate"),
        ("limit=0", "limit"),
        ("limit=1000", "limit"),
        ("offset=x", "offset"),
        ("StudyInstanceUID=x'%20or%20'1'%20eq%20'1", "StudyInstanceUID"),
        ("includefield=NoSuchAttribute", "includefield"),
    ],
)
def test_invalid_searches(service: httpx.Client, query: str, said: str) -> None:
    response = service.get(f"/studies?{query}")
    assert response.status_code == 400
    assert said in problem(response)


@pytest.mark.parametrize("value", ["a' or PartitionKey ne '", "/\\#%", "%00", "*", "‮", "😀" * 100])
def test_hostile_search_values_find_nothing_they_should_not(service: httpx.Client, value: str) -> None:
    response = service.get("/studies", params={"PatientID": value, "AccessionNumber": "nobody has this"})
    assert response.status_code == 204


@pytest.mark.parametrize(
    ("frames", "status", "said"),
    [
        ("0", 400, "frame list"),
        ("00", 400, "frame list"),
        ("1,0", 400, "frame list"),
        ("2", 404, "frames 1 to 1"),
        ("1,2", 404, "frames 1 to 1"),
        ("-1", 400, "frame list"),
        ("1,", 400, "frame list"),
        ("a", 400, "frame list"),
        ("1.5", 400, "frame list"),
        ("99999999999", 400, "frame list"),
        (",".join(["1"] * 1001), 400, "longer than 1000"),
    ],
)
def test_frames_that_do_not_exist(service: httpx.Client, frames: str, status: int, said: str) -> None:
    image = dataset()
    store(service, part10(image), "application/dicom")
    for resource in ("", "/rendered", "/thumbnail"):
        response = service.get(f"{path_of(image)}/frames/{frames}{resource}")
        assert response.status_code == status
        assert said in problem(response)
        # What is not a frame number is that of any instance.
        other = service.get(f"{path_of(dataset())}/frames/{frames}{resource}")
        assert other.status_code == status
        assert (said if status == 400 else "no such instance") in problem(other)


def test_an_instance_without_pixel_data_has_no_frames(service: httpx.Client) -> None:
    image = dataset(PixelData=None)
    assert store(service, part10(image), "application/dicom").status_code == 200
    response = service.get(f"{path_of(image)}/frames/1")
    assert response.status_code == 404
    assert "no Pixel Data" in problem(response)


@pytest.mark.parametrize(
    ("path", "accept", "available"),
    [
        ("", "image/jpeg", "application/dicom"),
        ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50", "transfer-syntax=1.2.840.10008.1.2.4.90"),
        ("/frames/1", "image/jpeg", "application/octet-stream"),
        ("/frames/1", "image/jp2", "fewer than 32 rows"),
        ("/metadata", "text/html", "application/dicom+json"),
    ],
)
def test_an_answer_to_what_is_unavailable_lists_what_is(
    service: httpx.Client, path: str, accept: str, available: str
) -> None:
    image = dataset()
    store(service, part10(image), "application/dicom")
    response = service.get(path_of(image) + path, headers={"Accept": accept})
    assert response.status_code == 406
    assert available in problem(response)


def test_a_body_that_is_announced_too_large_is_refused(service: httpx.Client) -> None:
    # httpx does not announce what it does not send.
    with closing(HTTPConnection(service.base_url.host, service.base_url.port)) as connection:
        connection.putrequest("POST", "/v2/studies")
        connection.putheader("Content-Type", "application/dicom")
        connection.putheader("Content-Length", str(4_500_000_000))  # below the limit of the host
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 413
        assert str(4 * 1024**3) in json.loads(response.read())["detail"]
