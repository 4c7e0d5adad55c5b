"""Search on the wire."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.messages import MULTIPART_DICOM, multipart
from tests.support.served_instances import dataset, part10, uids_of

UIDS = uids_of(__name__)
STUDIES, SERIES = [next(UIDS) for _ in range(3)], [next(UIDS) for _ in range(4)]
INSTANCES = [next(UIDS) for _ in range(5)]
PATIENT = f"ID {next(UIDS)[-20:]}"

# study, series, instance, modality, date
CONTENT = [
    (0, 0, 0, "CT", "20260101"),
    (0, 0, 1, "CT", "20260101"),
    (0, 1, 2, "SR", "20260101"),
    (1, 2, 3, "MR", "20260115"),
    (2, 3, 4, "MR", "20260201"),
]
NAMES = ["Müller^Jörg", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Doe^John"]


@pytest.fixture(scope="module", autouse=True)
def archive_of_three_studies(service: httpx.Client) -> Iterator[None]:
    for study, series, instance, modality, date in CONTENT:
        image = dataset(
            SpecificCharacterSet="ISO_IR 192",
            StudyInstanceUID=STUDIES[study],
            SeriesInstanceUID=SERIES[series],
            SOPInstanceUID=INSTANCES[instance],
            Modality=modality,
            StudyDate=date,
            PatientID=PATIENT,
            PatientName=NAMES[study],
            AccessionNumber=f"A{study}{PATIENT[-6:]}",
            StudyDescription="Test study",
            SeriesDescription=f"Series {series}",
            InstanceNumber=instance,
        )
        response = service.post(
            "/studies", content=multipart([part10(image)]), headers={"Content-Type": MULTIPART_DICOM}
        )
        assert response.status_code == 200
    yield
    for uid in STUDIES:
        service.delete(f"/studies/{uid}")


def search(service: httpx.Client, path: str, **parameters: str) -> list[dict[str, Any]]:
    response = service.get(path, params=parameters)
    assert response.status_code in (200, 204), response.text
    found: list[dict[str, Any]] = response.json() if response.status_code == 200 else []
    return found


def uids(results: list[dict[str, Any]], tag: str = "0020000D") -> list[str]:
    return [result[tag]["Value"][0] for result in results]


@pytest.mark.parametrize(
    ("parameters", "studies"),
    [
        ({}, [2, 1, 0]),
        ({"StudyInstanceUID": STUDIES[1]}, [1]),
        ({"0020000D": STUDIES[1]}, [1]),
        ({"StudyInstanceUID": f"{STUDIES[1]},{STUDIES[0]}"}, [1, 0]),
        ({"StudyInstanceUID": f"{STUDIES[2]}\\{next(UIDS)}"}, [2]),
        ({"AccessionNumber": f"A1{PATIENT[-6:]}"}, [1]),
        ({"AccessionNumber": f"a1{PATIENT[-6:]}"}, [1]),
        ({"StudyDate": "20260115"}, [1]),
        ({"StudyDate": "20260101-20260115"}, [1, 0]),
        ({"StudyDate": "20260102-"}, [2, 1]),
        ({"StudyDate": "-20260114"}, [0]),
        ({"ModalitiesInStudy": "MR"}, [2, 1]),
        ({"ModalitiesInStudy": "SR"}, [0]),
        ({"ModalitiesInStudy": "CT,MR"}, [2, 1, 0]),
        ({"PatientName": "doe^john"}, [2]),
        ({"PatientName": "Muller^Jorg"}, [0]),
        ({"PatientName": "山田^太郎"}, [1]),
        ({"PatientName": "やまだ^たろう"}, [1]),
        ({"PatientName": "Doe"}, []),
        ({"PatientName": ""}, [2, 1, 0]),
        ({"StudyDate": "20260101", "ModalitiesInStudy": "MR"}, []),
        ({"StudyDescription": "test STUDY"}, [2, 1, 0]),
    ],
)
def test_studies(service: httpx.Client, parameters: dict[str, str], studies: list[int]) -> None:
    found = search(service, "/studies", PatientID=PATIENT, **parameters)
    assert uids(found) == [STUDIES[number] for number in studies]


@pytest.mark.parametrize(
    ("path", "parameters", "series"),
    [
        ("/series", {"PatientID": PATIENT}, {0, 1, 2, 3}),
        ("/series", {"PatientID": PATIENT, "Modality": "MR"}, {2, 3}),
        ("/series", {"PatientID": PATIENT, "Modality": "SR,CT"}, {0, 1}),
        ("/series", {"SeriesInstanceUID": SERIES[1]}, {1}),
        ("/series", {"SeriesInstanceUID": f"{SERIES[1]},{SERIES[3]}"}, {1, 3}),
        (f"/studies/{STUDIES[0]}/series", {}, {0, 1}),
        (f"/studies/{STUDIES[0]}/series", {"Modality": "SR"}, {1}),
        (f"/studies/{STUDIES[0]}/series", {"SeriesInstanceUID": SERIES[2]}, set()),
    ],
)
def test_series(service: httpx.Client, path: str, parameters: dict[str, str], series: set[int]) -> None:
    assert set(uids(search(service, path, **parameters), "0020000E")) == {SERIES[number] for number in series}


@pytest.mark.parametrize(
    ("path", "parameters", "instances"),
    [
        ("/instances", {"PatientID": PATIENT}, {0, 1, 2, 3, 4}),
        ("/instances", {"SOPInstanceUID": INSTANCES[3]}, {3}),
        ("/instances", {"SOPInstanceUID": f"{INSTANCES[3]},{INSTANCES[0]}"}, {0, 3}),
        ("/instances", {"SeriesInstanceUID": SERIES[0]}, {0, 1}),
        ("/instances", {"PatientID": PATIENT, "Modality": "SR"}, {2}),
        ("/instances", {"StudyInstanceUID": STUDIES[0], "SOPInstanceUID": INSTANCES[4]}, set()),
        ("/instances", {"StudyInstanceUID": STUDIES[0], "SOPInstanceUID": INSTANCES[1], "Modality": "CT"}, {1}),
        (f"/studies/{STUDIES[0]}/instances", {}, {0, 1, 2}),
        (f"/studies/{STUDIES[0]}/instances", {"SOPInstanceUID": INSTANCES[1]}, {1}),
        (f"/studies/{STUDIES[0]}/instances", {"SOPInstanceUID": INSTANCES[4]}, set()),
        (f"/studies/{STUDIES[0]}/series/{SERIES[0]}/instances", {}, {0, 1}),
        (f"/studies/{STUDIES[0]}/series/{SERIES[0]}/instances", {"SOPInstanceUID": INSTANCES[2]}, set()),
        (f"/studies/{STUDIES[1]}/series/{SERIES[0]}/instances", {}, set()),
    ],
)
def test_instances(service: httpx.Client, path: str, parameters: dict[str, str], instances: set[int]) -> None:
    found = search(service, path, **parameters)
    assert sorted(uids(found, "00080018")) == sorted(INSTANCES[number] for number in instances)


@pytest.mark.parametrize(
    ("name", "studies"),
    [
        ("Mul^Jor", {0}),
        ("Jor^Mul", set()),
        ("Jor Mul", {0}),
        ("^Jo", {0, 2}),
        ("Jo^", set()),
        ("Doe^", {2}),
        ("^Doe", set()),
        ("山^太", {1}),
        ("^たろ", {1}),
    ],
)
def test_fuzzy_matching_respects_components(service: httpx.Client, name: str, studies: set[int]) -> None:
    for fields in ({"PatientID": PATIENT}, {}):
        found = search(service, "/studies", PatientName=name, fuzzymatching="true", limit="200", **fields)
        assert set(uids(found)) & set(STUDIES) == {STUDIES[study] for study in studies}


def test_a_keyword_in_another_case_is_told_the_right_one(service: httpx.Client) -> None:
    for path in ("/studies", "/series", f"/studies/{STUDIES[0]}/instances"):
        for query, meant in (("patientname=x", "PatientName"), ("includefield=studydate", "StudyDate")):
            response = service.get(f"{path}?{query}")
            assert (response.status_code, f"Did you mean {meant}?" in response.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("series", "parameters", "instances"),
    [
        (0, {}, {0, 1}),
        (0, {"InstanceNumber": "1"}, {1}),
        (0, {"PatientID": PATIENT, "limit": "1", "offset": "1"}, {1}),
        (0, {"StudyInstanceUID": STUDIES[0]}, {0, 1}),
        (0, {"StudyInstanceUID": STUDIES[1]}, set()),
        (0, {"SeriesInstanceUID": SERIES[0]}, {0, 1}),
        (0, {"SeriesInstanceUID": f"{SERIES[1]},{SERIES[0]}"}, {0, 1}),
        (0, {"SeriesInstanceUID": SERIES[1]}, set()),
        (0, {"0020000E": SERIES[1]}, set()),
        (0, {"SeriesInstanceUID": "*"}, {0, 1}),
        (3, {"Modality": "MR"}, {4}),
        (3, {"Modality": "CT"}, set()),
    ],
)
def test_instances_of_a_series_of_any_study(
    service: httpx.Client, series: int, parameters: dict[str, str], instances: set[int]
) -> None:
    found = search(service, f"/series/{SERIES[series]}/instances", **parameters)
    assert set(uids(found, "00080018")) == {INSTANCES[instance] for instance in instances}


def test_a_series_in_the_path_is_a_uid(service: httpx.Client) -> None:
    assert "series UID" in service.get("/series/1..2/instances").json()["detail"]
    assert service.get(f"/series/{STUDIES[0]}/instances").status_code == 204


def test_a_warning_names_its_host_as_dotnet_reads_it(service: httpx.Client) -> None:
    for path in (
        "/studies",
        "/series",
        "/instances",
        f"/series/{SERIES[0]}/instances",
        f"/studies/{STUDIES[0]}/series",
    ):
        (warning,) = service.get(path, params={"limit": "1"}).headers.get_list("Warning")
        code, agent, text = warning.split(" ", 2)
        assert (code, agent.rpartition(":")[::2]) == ("299", ("localhost", str(service.base_url.port)))
        assert text == '"There are more results than the limit; ask for the next offset"'


def test_pages_add_up_and_say_when_there_is_more(service: httpx.Client) -> None:
    pages: list[dict[str, Any]] = []
    for offset in range(4):
        response = service.get("/studies", params={"PatientID": PATIENT, "limit": "1", "offset": str(offset)})
        assert ("There are more results" in response.headers.get("Warning", "")) == (offset < 2)
        assert response.status_code == (200 if offset < 3 else 204)
        pages += response.json() if response.status_code == 200 else []
    assert uids(pages) == [STUDIES[2], STUDIES[1], STUDIES[0]]


def test_the_next_page_goes_on_after_the_last_whatever_is_stored_meanwhile(service: httpx.Client) -> None:
    patient, stored = f"ID {next(UIDS)[-20:]}", [next(UIDS) for _ in range(4)]

    def store(study: str) -> None:
        file = part10(dataset(StudyInstanceUID=study, PatientID=patient))
        service.post(
            "/studies", content=multipart([file]), headers={"Content-Type": MULTIPART_DICOM}
        ).raise_for_status()

    for study in stored[:3]:
        store(study)
    first = search(service, "/studies", PatientID=patient, limit="1")
    store(stored[3])
    rest = search(service, "/studies", PatientID=patient, offset="1")
    assert uids(first + rest) == [stored[2], stored[1], stored[0]]
    assert uids(search(service, "/studies", PatientID=patient)) == stored[::-1]


def test_a_study_has_what_viewers_list(service: httpx.Client) -> None:
    (study,) = search(service, "/studies", StudyInstanceUID=STUDIES[0])
    assert study["00080061"]["Value"] == ["CT", "SR"]
    assert study["00201206"]["Value"] == [2]
    assert study["00201208"]["Value"] == [3]
    assert study["00080056"]["Value"] == ["ONLINE"]
    assert study["00081190"]["Value"][0].endswith(f"/v2/studies/{STUDIES[0]}")
    assert study["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]
    assert study["00080020"]["Value"] == ["20260101"]
    assert list(study) == sorted(study)
    assert "00080018" not in study


def test_a_series_has_its_studys_attributes_unless_the_path_names_the_study(service: httpx.Client) -> None:
    (among_all,) = search(service, "/series", SeriesInstanceUID=SERIES[1])
    (of_study,) = search(service, f"/studies/{STUDIES[0]}/series", SeriesInstanceUID=SERIES[1])
    for series in (among_all, of_study):
        assert series["00080060"]["Value"] == ["SR"]
        assert series["0008103E"]["Value"] == ["Series 1"]
        assert series["00201209"]["Value"] == [1]
        assert series["0020000D"]["Value"] == [STUDIES[0]]
        assert series["00081190"]["Value"][0].endswith(f"/studies/{STUDIES[0]}/series/{SERIES[1]}")
    assert among_all["00100020"]["Value"] == [PATIENT]
    assert "00100020" not in of_study


def test_an_instance_has_its_class_number_and_size(service: httpx.Client) -> None:
    (instance,) = search(service, "/instances", SOPInstanceUID=INSTANCES[2])
    assert instance["00080016"]["Value"] == ["1.2.840.10008.5.1.4.1.1.7"]
    assert instance["00200013"]["Value"] == [2]
    assert instance["00280010"]["Value"] == [4]
    assert instance["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]
    assert instance["00081190"]["Value"][0].endswith(f"/instances/{INSTANCES[2]}")
    assert instance["00080060"]["Value"] == ["SR"]
    assert instance["00100020"]["Value"] == [PATIENT]


def test_include_fields(service: httpx.Client) -> None:
    (plain,) = search(service, "/studies", StudyInstanceUID=STUDIES[0])
    (wider,) = search(service, "/studies", StudyInstanceUID=STUDIES[0], includefield="SOPClassesInStudy,00081030")
    (widest,) = search(service, "/studies", StudyInstanceUID=STUDIES[0], includefield="all")
    assert "00080062" not in plain
    assert wider["00080062"]["Value"] == ["1.2.840.10008.5.1.4.1.1.7"]
    assert set(plain) < set(wider) <= set(widest)
    (all_of_instance,) = search(service, "/instances", SOPInstanceUID=INSTANCES[0], includefield="all")
    (metadata,) = service.get(f"/studies/{STUDIES[0]}/series/{SERIES[0]}/instances/{INSTANCES[0]}/metadata").json()
    assert set(metadata) <= set(all_of_instance)
    assert all_of_instance["7FE00010"] == metadata["7FE00010"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/dicom+json", "application/dicom+json"),
        ("application/dicom+json, application/json", "application/dicom+json"),
        ("application/json", "application/json"),
        ("*/*", "application/dicom+json"),
    ],
)
def test_media_types(service: httpx.Client, accept: str, content_type: str) -> None:
    response = service.get("/studies", params={"StudyInstanceUID": STUDIES[0]}, headers={"Accept": accept})
    assert response.headers["Content-Type"] == content_type
    assert service.get("/studies", headers={"Accept": "text/html"}).status_code == 406


def test_a_second_store_changes_neither_the_order_nor_the_number_of_studies(service: httpx.Client) -> None:
    image = dataset(StudyInstanceUID=STUDIES[0], PatientID=PATIENT, StudyDate="20260101")
    service.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
    assert uids(search(service, "/studies", PatientID=PATIENT)) == [STUDIES[2], STUDIES[1], STUDIES[0]]
    service.delete(f"/studies/{STUDIES[0]}/series/{image.SeriesInstanceUID}")
