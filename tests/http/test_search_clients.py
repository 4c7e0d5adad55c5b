"""Searches as viewers, libraries and scripts send them, each with what it has to find."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from dicomweb_client import DICOMwebClient
from requests import Session

from tests.conftest import Server
from tests.support import raw_requests
from tests.support.served_instances import dataset, new_uid, part10, uids_of

UIDS = uids_of(__name__)
TOKEN = next(UIDS)[-10:]
STUDIES = [next(UIDS) for _ in range(3)]
SERIES = {"CT": next(UIDS), "MR": next(UIDS), "SR": next(UIDS), "US": next(UIDS)}

# study, modality, and what the study is
CONTENT: list[tuple[int, str, dict[str, object]]] = [
    (
        0,
        "CT",
        {"PatientName": f"Okafor {TOKEN}^Jane", "StudyDate": "20260110", "StudyDescription": f"Chest {TOKEN} CT"},
    ),
    (1, "CT", {"PatientName": f"Okafor {TOKEN}^Max", "StudyDate": "20260120", "StudyDescription": f"Head {TOKEN}"}),
    (1, "MR", {"PatientName": f"Okafor {TOKEN}^Max", "StudyDate": "20260120", "StudyDescription": f"Head {TOKEN}"}),
    (2, "SR", {"PatientName": f"Núñez^José {TOKEN}", "StudyDate": "20251230", "StudyDescription": f"Knee {TOKEN}"}),
    (2, "US", {"PatientName": f"Núñez^José {TOKEN}", "StudyDate": "20251230", "StudyDescription": f"Knee {TOKEN}"}),
]


@pytest.fixture(scope="module", autouse=True)
def three_studies(service: httpx.Client) -> Iterator[None]:
    for number, (study, modality, values) in enumerate(CONTENT):
        image = dataset(
            SpecificCharacterSet="ISO_IR 192",
            StudyInstanceUID=STUDIES[study],
            SeriesInstanceUID=new_uid() if (study, modality) == (1, "CT") else SERIES[modality],
            PatientID=f"{TOKEN} {study}",
            AccessionNumber=f"{TOKEN}A{study}",
            ReferringPhysicianName="Poe^Ann",
            SeriesDescription=f"Series {modality}",
            SeriesNumber=number,
            InstanceNumber=1,
            Modality=modality,
            **values,
        )
        response = service.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
        assert response.status_code == 200
    yield
    for uid in STUDIES:
        service.delete(f"/studies/{uid}")


def studies(results: list[dict[str, Any]]) -> list[int]:
    """Which of the studies the results are, in order; anything else in the archive is ignored."""
    found = [result["0020000D"]["Value"][0] for result in results]
    return [STUDIES.index(uid) for uid in found if uid in STUDIES]


def modalities(results: list[dict[str, Any]]) -> list[str]:
    return sorted(result["00080060"]["Value"][0] for result in results)


def get(server: Server, target: str) -> Any:
    """The results of a request that is sent exactly as given."""
    status, document = raw_requests.get(server.base_url, target.encode("ascii"))
    assert status in (200, 204), document
    return document or []


OHIF_LIST = "limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060%2C00080090%2C00100030"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("", [2, 1, 0]),
        (f"PatientName=*okafor%20{TOKEN}*", [1, 0]),
        (f"PatientName=*{TOKEN}%5EJ*", [0]),
        (f"PatientName=okafor%20{TOKEN}", [1, 0]),  # where wildcards are not configured: words of the name
        (f"PatientName=jane%20{TOKEN}", [0]),
        (f"PatientName=nunez%20{TOKEN}", [2]),
        (f"PatientName=N%C3%BA%C3%B1ez%20{TOKEN}", [2]),
        (f"00100020=*{TOKEN}%201*", [1]),
        (f"00100020={TOKEN}%201", [1]),
        (f"AccessionNumber=*{TOKEN[-6:]}a2*", [2]),
        (f"StudyDescription=*chest%20{TOKEN}*", [0]),
        (f"00100020=*{TOKEN}*&ModalitiesInStudy=CT%2CMR", [1, 0]),
        (f"00100020=*{TOKEN}*&ModalitiesInStudy=MR%5CUS", [2, 1]),
        (f"00100020=*{TOKEN}*&ModalitiesInStudy=MR", [1]),
        (f"00100020=*{TOKEN}*&StudyDate=20260101-20260115", [0]),
        (f"00100020=*{TOKEN}*&StudyDate=19700102-20260115", [2, 0]),
        (f"PatientName=*{TOKEN}*&StudyDescription=*{TOKEN}*&ModalitiesInStudy=CT&StudyDate=20260111-20260131", [1]),
        (f"StudyInstanceUID={STUDIES[0]}%5C{STUDIES[2]}", [2, 0]),
    ],
)
def test_the_study_list_of_ohif(server: Server, filters: str, expected: list[int]) -> None:
    results = get(server, f"/v2/studies?{filters}{'&' if filters else ''}{OHIF_LIST}")
    assert studies(results) == expected
    for study in results[: len(expected)]:
        # name, modalities, instances, accession number, description, referring physician: its columns and details
        for tag in ("00100010", "00100020", "00080061", "00201208", "00080050", "00081030", "00080020", "00080090"):
            assert study[tag]["Value"]


@pytest.mark.parametrize("modality", [None, ""])
def test_a_study_without_a_modality_does_not_break_the_study_list_of_ohif(
    service: httpx.Client, server: Server, modality: str | None
) -> None:
    """OHIF shows no study if one has ModalitiesInStudy without values."""
    image = dataset(Modality=modality, ModalitiesInStudy="XX")
    response = service.post("/studies", content=part10(image), headers={"Content-Type": "application/dicom"})
    assert response.status_code == 200
    (study,) = get(server, f"/v2/studies?StudyInstanceUID={image.StudyInstanceUID}&{OHIF_LIST}")
    assert "00080061" not in study
    assert study["00201208"]["Value"] == [1]
    assert service.delete(f"/studies/{image.StudyInstanceUID}").status_code == 204


def test_the_series_list_of_ohif(server: Server) -> None:
    results = get(server, f"/v2/studies/{STUDIES[1]}/series?includefield=0008103E%2C00080021")
    assert modalities(results) == ["CT", "MR"]
    for series in results:
        for tag in ("0020000E", "00080060", "00200011", "00201209", "0008103E"):
            assert series[tag]["Value"]


def test_the_pages_of_ohif(server: Server) -> None:
    pages = [get(server, f"/v2/studies?00100020=*{TOKEN}*&limit=2&offset={offset}") for offset in (0, 2, 4)]
    assert [studies(page) for page in pages] == [[2, 1], [0], []]


@pytest.fixture
def client(server: Server) -> Iterator[DICOMwebClient]:
    with Session() as session:
        yield DICOMwebClient(f"{server.base_url}/v2", session=session)


@pytest.mark.parametrize(
    ("filters", "is_fuzzy", "expected"),
    [
        ({"PatientID": f"{TOKEN} 1"}, None, [1]),
        ({"PatientID": f"{TOKEN}*", "StudyDate": "20260101-"}, None, [1, 0]),
        ({"00100010": f"Okafor {TOKEN}^*"}, False, [1, 0]),
        ({"PatientName": f"Núñez^José {TOKEN}"}, None, [2]),
        ({"PatientName": f"José {TOKEN[:4]}"}, True, [2]),
        ({"PatientID": f"{TOKEN}?1"}, None, [1]),
        ({"PatientID": f"{TOKEN}*", "ModalitiesInStudy": ["MR", "US"]}, None, [2, 1]),
        ({"StudyInstanceUID": ",".join(STUDIES)}, None, [2, 1, 0]),
        ({"AccessionNumber": f"{TOKEN}A0", "PatientName": ""}, None, [0]),
        ({"AccessionNumber": f"{TOKEN}A9"}, None, []),
    ],
)
def test_studies_of_dicomweb_client(
    client: DICOMwebClient, filters: dict[str, Any], is_fuzzy: bool | None, expected: list[int]
) -> None:
    found = client.search_for_studies(search_filters=filters, fuzzymatching=is_fuzzy, fields=["PatientSex", "00081030"])
    assert studies(found) == expected
    assert all(TOKEN in study["00081030"]["Value"][0] for study in found)


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_dicomweb_client_pages_to_the_end(client: DICOMwebClient, limit: int) -> None:
    filters = {"PatientID": f"{TOKEN}*"}
    assert studies(client.search_for_studies(search_filters=filters, limit=limit, get_remaining=True)) == [2, 1, 0]
    series = client.search_for_series(search_filters=filters, limit=limit, get_remaining=True)
    assert modalities(series) == ["CT", "CT", "MR", "SR", "US"]
    assert len(client.search_for_instances(search_filters=filters, limit=limit, get_remaining=True)) == 5
    pages = [
        client.search_for_series(search_filters=filters, limit=limit, offset=offset) for offset in range(0, 6, limit)
    ]
    assert [one for page in pages for one in page] == series


def test_series_and_instances_of_dicomweb_client(client: DICOMwebClient) -> None:
    found = client.search_for_series(STUDIES[1], search_filters={"Modality": "MR"}, fields=["SeriesDescription"])
    assert [series["0008103E"]["Value"] for series in found] == [["Series MR"]]
    assert modalities(client.search_for_series(search_filters={"SeriesInstanceUID": SERIES["US"]})) == ["US"]
    found = client.search_for_instances(
        STUDIES[2], search_filters={"Rows": 4, "SeriesDescription": "*us"}, fields=["Rows"]
    )
    assert modalities(found) == ["US"]
    (instance,) = client.search_for_instances(STUDIES[2], SERIES["SR"], search_filters={"InstanceNumber": 1})
    uid = instance["00080018"]["Value"][0]
    assert len(client.search_for_instances(search_filters={"SOPInstanceUID": uid})) == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # dcm4che: values that are empty ask for attributes
        (f"PatientID={TOKEN}%201&PatientName=&PatientBirthDate=&StudyDate=&StudyTime=&00080061=&StudyID=", [1]),
        (f"00100020={TOKEN}%200&00080061=CT&includefield=00201206&includefield=00201208&includefield=00080061", [0]),
        (f"00100010=OKAFOR%20{TOKEN}%5E*&00080020=20260101-20260131", [1, 0]),
        # Weasis: a study by its UID or accession number, a patient by ID, the newest of some
        (f"StudyInstanceUID={STUDIES[0]}&includefield=00080061%2C00080050", [0]),
        (f"AccessionNumber={TOKEN}A2&includefield=all", [2]),
        (f"PatientID={TOKEN}%202&limit=1&offset=0&includefield=00080090", [2]),
    ],
)
def test_studies_of_weasis_and_dcm4che(server: Server, query: str, expected: list[int]) -> None:
    results = get(server, f"/v2/studies?{query}")
    assert studies(results) == expected
    assert all("00080061" in study for study in results)


@pytest.mark.parametrize("version", ["v1", "v2", "V2"])
def test_microsofts_client(server: Server, version: str) -> None:
    assert studies(get(server, f"/{version}/studies?PatientName=Okafor%20{TOKEN}%5EJane")) == [0]
    assert studies(get(server, f"/{version}/studies?PatientID={TOKEN}%201&StudyDate=20260101-20260131")) == [1]
    assert studies(get(server, f"/{version}/studies?PatientName=okaf%20{TOKEN}&fuzzymatching=true&limit=1")) == [1]
    assert modalities(get(server, f"/{version}/series?ModalitiesInStudy=US&PatientID={TOKEN}%202&Modality=US")) == [
        "US"
    ]
    assert modalities(get(server, f"/{version}/studies/{STUDIES[1]}/series?Modality=MR")) == ["MR"]
    assert len(get(server, f"/{version}/studies/{STUDIES[1]}/instances?includefield=all")) == 2
    assert len(get(server, f"/{version}/studies/{STUDIES[2]}/series/{SERIES['SR']}/instances?InstanceNumber=1")) == 1
    assert modalities(get(server, f"/{version}/Instances?SeriesInstanceUID={SERIES['MR']}")) == ["MR"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"PatientName=Okafor+{TOKEN}^Jane", [0]),
        (f"PatientName=okafor+{TOKEN}^j*", [0]),
        (f"PatientID={TOKEN}+0", [0]),
        (f"PatientID={TOKEN}+?&ModalitiesInStudy=CT,MR", [1, 0]),
        (f"PatientID={TOKEN}+*&ModalitiesInStudy=CT\\US", [2, 1, 0]),
        (f"StudyDescription=Chest+{TOKEN}+CT&limit=1", [0]),
        (f"&PatientID={TOKEN}%2B0&", []),  # a plus, not a space
    ],
)
def test_curl_with_what_people_type(server: Server, query: str, expected: list[int]) -> None:
    assert studies(get(server, f"/v2/studies?{query}")) == expected
