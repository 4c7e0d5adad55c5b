"""Store on the wire: the bodies that real clients send, and the answers."""

from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from tests.support.served_instances import dataset, part10, path_of

PART = b"--b\r\nContent-Type: application/dicom\r\n\r\n"


def in_chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 700):
        yield body[start : start + 700]


@pytest.mark.parametrize(
    ("content_type", "before", "after"),
    [
        pytest.param('multipart/related; boundary="b"; type="application/dicom"', PART, b"\r\n--b--\r\n", id=".NET"),
        pytest.param(
            'multipart/related; type="application/dicom"; boundary="b"',
            b"\r\n" + PART,
            b"\r\n--b--",
            id="dicomweb-client",
        ),
        pytest.param("multipart/related; type=application/dicom; boundary=b", PART, b"\r\n--b--\r\n", id="dcmjs"),
        pytest.param("multipart/related; boundary=b;", PART, b"\r\n--b--\r\n", id="script without type"),
        pytest.param(
            "Multipart/Related;Boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.dcm"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n",
            b"\r\n--b--\r\n",
            id="script with form data",
        ),
        pytest.param(
            'multipart/related; type="application/dicom"; boundary=b',
            b"--b\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\n",
            b"\r\n--b--\r\n",
            id="dcm4che",
        ),
        pytest.param(
            "multipart/related; boundary=b", b"preamble\r\n--b \r\n\r\n", b"\r\n--b--\r\nepilogue", id="RFC 2046"
        ),
        pytest.param("application/dicom", b"", b"", id="Postman"),
        pytest.param("Application/DICOM; transfer-syntax=*", b"", b"", id="single part with a parameter"),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_bodies_of_real_clients(
    service: httpx.Client, content_type: str, before: bytes, after: bytes, is_chunked: bool
) -> None:
    image = dataset()
    body = before + part10(image) + after
    content: bytes | Iterable[bytes] = in_chunks(body) if is_chunked else body
    response = service.post("/studies", content=content, headers={"Content-Type": content_type})
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/dicom+json"
    retrieved = service.get(path_of(image), headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert retrieved.content == part10(image)


@pytest.mark.parametrize("body", [b"--b\r\n\r\n--b--", b"--b--", b"--b--\r\n"])
def test_a_message_without_parts_is_no_content(service: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": 'multipart/related; boundary="b"; type="application/dicom"'}
    response = service.post("/studies", content=body, headers=headers)
    assert response.status_code == 204
    assert response.content == b""


def test_a_file_without_preamble_and_meta_group_is_kept_as_a_part_10_file(service: httpx.Client) -> None:
    image = dataset()
    whole = part10(image)
    data_set = whole[whole.index(b"\x08\x00\x16\x00UI") :]
    response = service.post("/studies", content=data_set, headers={"Content-Type": "application/dicom"})
    assert response.status_code == 202  # its transfer syntax is assumed
    kept = service.get(path_of(image), headers={"Accept": "application/dicom"}).content
    assert kept[:132] == bytes(128) + b"DICM"
    assert kept.endswith(data_set)


def test_a_preamble_is_not_kept(service: httpx.Client) -> None:
    image = dataset()
    polyglot = b"#!/bin/sh\n" + b"x" * 118 + part10(image)[128:]
    assert service.post("/studies", content=polyglot, headers={"Content-Type": "application/dicom"}).is_success
    assert service.get(path_of(image), headers={"Accept": "application/dicom"}).content == part10(image)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/dicom+json", 200),
        ("application/json", 200),
        ("*/*", 200),
        ("", 200),
        ("application/dicom+xml;q=0.5, application/dicom+json", 200),
        ("application/dicom+xml", 200),
        ('multipart/related; type="application/dicom+xml"', 406),
        ("text/html", 406),
    ],
)
def test_the_response_is_refused_before_anything_is_stored(service: httpx.Client, accept: str, status: int) -> None:
    image = dataset()
    headers = {"Content-Type": "application/dicom", "Accept": accept}
    response = service.post("/studies", content=part10(image), headers=headers)
    assert response.status_code == status
    assert service.get(path_of(image)).status_code == (200 if status == 200 else 404)


def read_native(attributes: ElementTree.Element) -> dict[str, Any]:
    """The attributes of a Native DICOM Model (PS3.19 A.1) as the DICOM JSON Model has them."""
    found = {}
    for attribute in attributes.findall("{*}DicomAttribute"):
        vr = attribute.get("vr")
        values: list[Any] = [read_native(item) for item in attribute.findall("{*}Item")]
        values += [int(value.text or "") if vr == "US" else value.text for value in attribute.findall("{*}Value")]
        found[attribute.get("tag") or ""] = {"vr": vr, "Value": values} if values else {"vr": vr}
    return found


def test_the_response_in_xml_says_what_the_one_in_json_does(service: httpx.Client) -> None:
    image = dataset()
    part = PART + part10(image) + b"\r\n"
    body = part + PART + b"nothing\r\n" + part + b"--b--"
    headers = {"Content-Type": "multipart/related; boundary=b"}
    answers = []
    for media_type in ("application/dicom+xml", "application/dicom+json"):
        service.delete(path_of(image))
        response = service.post("/studies", content=body, headers={**headers, "Accept": media_type})
        assert (response.status_code, response.headers["Content-Type"]) == (202, media_type)
        answers.append(response)
    root = ElementTree.fromstring(answers[0].content)  # noqa: S314 -- our own answer
    assert root.tag == "{http://dicom.nema.org/PS3.19/models/NativeDICOM}NativeDicomModel"
    assert read_native(root) == answers[1].json()
    refused = service.post("/studies", content=body, headers={**headers, "Accept": "application/dicom+xml"})
    assert (refused.status_code, refused.headers["Content-Type"]) == (409, "application/dicom+xml")


def test_instances_of_several_studies_in_one_request(service: httpx.Client) -> None:
    images = [dataset() for _ in range(3)]
    body = b"".join(PART + part10(image) + b"\r\n" for image in images) + b"--b--"
    response = service.post("/studies", content=body, headers={"Content-Type": "multipart/related; boundary=b"})
    assert response.status_code == 200
    answered = response.json()
    assert "00081190" not in answered
    assert [item["00081155"]["Value"] for item in answered["00081199"]["Value"]] == [
        [image.SOPInstanceUID] for image in images
    ]
