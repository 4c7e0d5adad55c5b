"""Instances whose metadata is too long to be held are found, matched and sent like any other."""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from pydicom.dataset import Dataset

from tests.support.measured_server import enhanced_image
from tests.support.messages import parts
from tests.support.served_instances import dataset, long_content, new_uid, part10, stored

STUDY = new_uid()
XML = {"Accept": 'multipart/related; type="application/dicom+xml"'}
NAMESPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
GROUPS = "PerFrameFunctionalGroupsSequence"


@pytest.fixture(scope="module")
def paths(service: httpx.Client) -> Iterator[dict[str, str]]:
    """Instances of a study: a short one, one of 500 functional groups, and one whose metadata is in a blob."""
    files = {
        "short": part10(dataset(StudyInstanceUID=STUDY)),
        "groups": b"".join(enhanced_image(500, STUDY)),
        "blob": part10(
            dataset(StudyInstanceUID=STUDY, InstanceNumber=7, ContentSequence=[Dataset(), *long_content(500_000)])
        ),
    }
    yield {name: stored(service, file) for name, file in files.items()}
    service.delete(f"/studies/{STUDY}")


def found(service: httpx.Client, query: str) -> list[str]:
    """The paths of the instances that a search in the study finds."""
    response = service.get(f"/studies/{STUDY}/instances?{query}")
    assert response.status_code in (200, 204), response.text
    results = response.json() if response.status_code == 200 else []
    return ["/studies" + result["00081190"]["Value"][0].partition("/studies")[2] for result in results]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"short", "groups", "blob"}),
        ("InstanceNumber=7", {"blob"}),
        (f"{GROUPS}.FrameContentSequence.StackID=1", {"groups"}),
        (f"{GROUPS}.FrameContentSequence.InStackPositionNumber=500", {"groups"}),
        (f"{GROUPS}.FrameContentSequence.InStackPositionNumber=501", set()),
        (f"{GROUPS}.FrameContentSequence.StackID=2", set()),
        ("ContentSequence.TextValue=*", {"short", "groups", "blob"}),
        ("BitsStored=8", {"short", "groups", "blob"}),
        ("BitsStored=8&InstanceNumber=7", {"blob"}),
        ("InstanceNumber=%22%22&emptyvaluematching=true", {"short", "groups"}),
    ],
)
def test_are_matched(service: httpx.Client, paths: dict[str, str], query: str, names: set[str]) -> None:
    by_path = {path: name for name, path in paths.items()}
    assert sorted(by_path[path] for path in found(service, query)) == sorted(names)


@pytest.mark.parametrize("name", ["short", "groups", "blob"])
def test_are_returned_whole(service: httpx.Client, paths: dict[str, str], name: str) -> None:
    uid = paths[name].rpartition("/")[2]
    (result,) = service.get(f"/studies/{STUDY}/instances?includefield=all&SOPInstanceUID={uid}").json()
    (metadata,) = service.get(f"{paths[name]}/metadata").json()
    of_an_archive = result.keys() - metadata.keys()
    assert {tag: attribute for tag, attribute in result.items() if tag not in of_an_archive} == metadata
    assert list(result) == sorted(result)
    if name == "blob":
        texts = [item["0040A160"]["Value"][0] for item in metadata["0040A730"]["Value"][1:]]
        assert texts == [item.TextValue for item in long_content(500_000)]


def values_of(data_set: ElementTree.Element) -> dict[str, Any]:
    """What an XML data set says: by tag, the texts of values and names, and the items of sequences."""
    found = {}
    for attribute in data_set.findall(f"{NAMESPACE}DicomAttribute"):
        items = [values_of(item) for item in attribute.findall(f"{NAMESPACE}Item")]
        texts = [text for child in attribute for text in child.itertext() if child.tag != f"{NAMESPACE}Item"]
        found[attribute.attrib["tag"]] = items or texts
    return found


def count_of(data_set: dict[str, Any]) -> int:
    """How many attributes there are, in items too."""
    inner = (item for one in data_set.values() if one["vr"] == "SQ" for item in one.get("Value", ()))
    return len(data_set) + sum(map(count_of, inner))


@pytest.mark.parametrize("name", ["short", "groups", "blob"])
def test_are_xml_too(service: httpx.Client, paths: dict[str, str], name: str) -> None:
    uid = paths[name].rpartition("/")[2]
    for url in (f"{paths[name]}/metadata", f"/studies/{STUDY}/instances?includefield=all&SOPInstanceUID={uid}"):
        (data_set,) = service.get(url).json()
        ((_, content),) = parts(service.get(url, headers=XML))
        document = ElementTree.fromstring(content)  # noqa: S314 - our own
        assert len(document.findall(f".//{NAMESPACE}DicomAttribute")) == count_of(data_set)
        said = values_of(document)
        assert said["00080018"] == [uid]
        if name == "groups":
            positions = [group["00209111"][0]["00209057"] for group in said["52009230"]]
            assert positions == [[str(number)] for number in range(1, 501)]


def test_come_in_pages(service: httpx.Client, paths: dict[str, str]) -> None:
    page = found(service, "limit=2") + found(service, "limit=2&offset=2")
    assert sorted(page) == sorted(paths.values())
    assert service.get(f"/studies/{STUDY}/instances?limit=2").headers["Warning"].startswith("299 ")


def test_are_found_by_no_value_that_is_bulk_data(service: httpx.Client) -> None:
    study, text = new_uid(), "x" * 70_000
    path = stored(service, part10(dataset(StudyInstanceUID=study, TextValue=text)))
    (metadata,) = service.get(f"{path}/metadata").json()
    assert metadata["0040A160"]["BulkDataURI"].endswith(f"/v2{path}/bulkdata/0040A160")
    ((_, value),) = parts(service.get(metadata["0040A160"]["BulkDataURI"]))
    assert value == text.encode()
    for asked, status in (("x*", 204), (text[:100], 204), ("%22%22&emptyvaluematching=true", 204), ("", 200)):
        assert service.get(f"/studies/{study}/instances?TextValue={asked}").status_code == status
    service.delete(f"/studies/{study}")
