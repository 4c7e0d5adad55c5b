"""Each row of the conformance page's table of searchable attributes, at each level."""

from collections.abc import Iterator

import httpx
import pytest
from pydicom.dataset import Dataset

from tests.support.documents import CONFORMANCE, rows
from tests.support.served_instances import dataset, new_uid, part10

LEVELS = {"study": "/studies", "series": "/series", "instance": "/instances"}
UID_TAGS = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}
TOKEN = new_uid()[-8:]

# What is searched for, and what is stored besides. `PatientID` tells both from the rest of the archive.
VALUES = {
    "StudyDate": ("20260315", "20260316"),
    "StudyTime": ("101500", "111500"),
    "AccessionNumber": ("Acc One", "Bcc Two"),
    "ModalitiesInStudy": ("CT", "MR"),
    "ReferringPhysicianName": ("Reed^Ann", "Poe^Bo"),
    "StudyDescription": ("Chest, PA", "Skull"),
    "PatientName": ("Key^Search", "Lock^Find"),
    "PatientID": (f"K {TOKEN}", f"L {TOKEN}"),
    "PatientBirthDate": ("19700101", "19800101"),
    "StudyInstanceUID": (new_uid(), new_uid()),
    "StudyID": ("S-1", "T-2"),
    "Modality": ("CT", "MR"),
    "ManufacturerModelName": ("Vision", "Acuity"),
    "SeriesInstanceUID": (new_uid(), new_uid()),
    "SeriesNumber": ("31", "42"),
    "PerformedProcedureStepStartDate": ("20260317", "20260318"),
    "PerformedProcedureStepStartTime": ("121500", "131500"),
    "SOPClassUID": ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"),
    "SOPInstanceUID": (new_uid(), new_uid()),
    "InstanceNumber": ("51", "62"),
    "RequestAttributesSequence.ScheduledProcedureStepID": ("Step 1", "Part 2"),
    "RequestAttributesSequence.RequestedProcedureID": ("Proc 1", "Act 2"),
}
KEYS = [
    (keyword, tag, level, matched_by.split(", ")) for keyword, tag, level, matched_by in rows(CONFORMANCE, "attribute")
]
LISTS_OF_LEVELS = list(LEVELS)


@pytest.fixture(scope="module", autouse=True)
def two_studies(service: httpx.Client) -> Iterator[None]:
    for side in (0, 1):
        values = {keyword: pair[side] for keyword, pair in VALUES.items() if "." not in keyword}
        del values["ModalitiesInStudy"]
        image = dataset(**values)
        request = Dataset()
        for keyword, pair in VALUES.items():
            if "." in keyword:
                setattr(request, keyword.partition(".")[2], pair[side])
        image.RequestAttributesSequence = [request]
        response = service.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
        assert response.status_code == 200
    yield
    for uid in VALUES["StudyInstanceUID"]:
        service.delete(f"/studies/{uid}")


def search(service: httpx.Client, level: str, **parameters: str) -> httpx.Response:
    isolated = parameters if {"PatientID", "00100020"} & set(parameters) else {"PatientID": f"* {TOKEN}", **parameters}
    return service.get(LEVELS[level], params=isolated)


def found(service: httpx.Client, level: str, **parameters: str) -> list[str]:
    response = search(service, level, **parameters)
    assert response.status_code in (200, 204), response.text
    uids = VALUES[{"study": "Study", "series": "Series", "instance": "SOP"}[level] + "InstanceUID"]
    results = response.json() if response.content else []
    return [("first", "second")[uids.index(result[UID_TAGS[level]]["Value"][0])] for result in results]


def refused(service: httpx.Client, level: str, **parameters: str) -> str:
    response = search(service, level, **parameters)
    assert (response.status_code, response.headers["Content-Type"]) == (400, "application/problem+json")
    detail: str = response.json()["detail"]
    return detail


def test_every_row_has_values() -> None:
    assert [keyword for keyword, *_ in KEYS] == list(VALUES), (
        "VALUES needs two values of each attribute, in this order."
    )


@pytest.mark.parametrize(("keyword", "tag", "level", "matched_by"), KEYS, ids=[keyword for keyword, *_ in KEYS])
class TestKeys:
    def test_by_keyword_and_by_tag_at_its_level_and_below(
        self, service: httpx.Client, keyword: str, tag: str, level: str, matched_by: list[str]
    ) -> None:
        assert matched_by[0] == "value"
        first, second = VALUES[keyword]
        for asked in LEVELS:
            if LISTS_OF_LEVELS.index(asked) < LISTS_OF_LEVELS.index(level):
                for name in (keyword, tag):
                    assert f"{name} is not searchable here" in refused(service, asked, **{name: first})
                continue
            for name in (keyword, tag, tag.lower()):
                assert found(service, asked, **{name: first}) == ["first"]
                assert found(service, asked, **{name: second}) == ["second"]
                if keyword != "PatientID":  # which tells these two from what other tests store
                    assert found(service, asked, **{name: ""}) == ["second", "first"]

    def test_wildcards(self, service: httpx.Client, keyword: str, tag: str, level: str, matched_by: list[str]) -> None:
        first, _ = VALUES[keyword]
        if "wildcards" not in matched_by:
            for pattern in (f"{first[:-1]}*", f"{first[:-1]}?"):
                assert f"The parameter {keyword} " in refused(service, level, **{keyword: pattern})
        elif keyword == "PatientID":
            assert found(service, level, PatientID=f"K*{TOKEN}") == ["first"]
            assert found(service, level, PatientID=f"??{TOKEN}") == ["second", "first"]
        else:
            for pattern in (
                f"{first[:-1]}*",
                f"*{first[1:]}",
                f"?{first[1:]}",
                f"{first[:1]}*{first[-1]}",
                f"*{first}*",
            ):
                assert found(service, level, **{keyword: pattern}) == ["first"]
            assert found(service, level, **{keyword: f"{first}?"}) == []

    def test_lists(self, service: httpx.Client, keyword: str, tag: str, level: str, matched_by: list[str]) -> None:
        pair = VALUES[keyword]
        for text in (",".join(pair), "\\".join(pair)):
            if "list" in matched_by:
                assert found(service, level, **{keyword: text}) == ["second", "first"]
                assert found(service, level, **{keyword: text.replace(pair[0], pair[1])}) == ["second"]
            elif "wildcards" in matched_by:  # a text, in which a comma is just a comma
                assert found(service, level, **{keyword: text}) == []
            else:
                assert f"The parameter {keyword} " in refused(service, level, **{keyword: text})

    def test_ranges(self, service: httpx.Client, keyword: str, tag: str, level: str, matched_by: list[str]) -> None:
        first, second = VALUES[keyword]
        if "range" in matched_by:
            assert found(service, level, **{keyword: f"{first}-{second}"}) == ["second", "first"]
            assert found(service, level, **{keyword: f"{first}-{first}"}) == ["first"]
            assert found(service, level, **{keyword: f"{second}-"}) == ["second"]
            assert found(service, level, **{keyword: f"-{first}"}) == ["first"]
            if "Time" in keyword:  # over midnight, and neither lies between
                assert found(service, level, **{keyword: f"{second}-{first}"}) == ["second", "first"]
                assert found(service, level, **{keyword: "235959-000000"}) == []
            else:
                assert "ends before it begins" in refused(service, level, **{keyword: f"{second}-{first}"})
        elif "wildcards" in matched_by:  # a text, in which a hyphen is just a hyphen
            assert found(service, level, **{keyword: f"{first}-{second}"}) == []
        else:
            assert f"The parameter {keyword} " in refused(service, level, **{keyword: f"{first}-{second}"})
