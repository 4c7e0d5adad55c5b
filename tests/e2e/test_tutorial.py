"""The tutorial of Microsoft's service, step by step: store, retrieve, search and delete a study of three instances."""

from pathlib import Path

import httpx
import pytest

from local.sample_instances import sample_instances
from tests.support.messages import ANY_DICOM_PARTS, MULTIPART_DICOM, multipart, parts

STUDY = "1.2.826.0.1.3680043.8.498.13230779778012324449356534479549187420"
SERIES = "1.2.826.0.1.3680043.8.498.45787841905473114233124723359129632652"  # of green-square and red-triangle
INSTANCE = "1.2.826.0.1.3680043.8.498.47359123102728459884412887463296905395"  # red-triangle

# The tutorial's own files, if they are beside the checkout.
REAL_FILES = Path(__file__).parents[3] / "shared" / "data"


def real_instances() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in REAL_FILES.glob("*.dcm")}


SOURCES = {"generated": sample_instances(), "real": real_instances()}


@pytest.fixture(params=[name for name, instances in SOURCES.items() if instances])
def instances(request: pytest.FixtureRequest) -> dict[str, bytes]:
    return SOURCES[request.param]


def stored_form(file: bytes) -> bytes:
    """A Part 10 file as it is kept: its preamble zeroed."""
    return bytes(128) + file[128:]


def test_tutorial(service: httpx.Client, instances: dict[str, bytes]) -> None:
    service.delete(f"/studies/{STUDY}")  # left by a run that was cut short

    # Store: multipart, into the study, and as a single part
    blue, red, green = (instances[name] for name in ("blue-circle", "red-triangle", "green-square"))
    headers = {"Accept": "application/dicom+json", "Content-Type": MULTIPART_DICOM}
    assert service.post("/studies", content=multipart([blue]), headers=headers).status_code == 200
    assert service.post(f"/studies/{STUDY}", content=multipart([red]), headers=headers).status_code == 200
    headers["Content-Type"] = "application/dicom"
    assert service.post("/studies", content=green, headers=headers).status_code == 200

    # Retrieve
    expected = {stored_form(file) for file in (blue, red, green)}
    response = service.get(f"/studies/{STUDY}", headers={"Accept": ANY_DICOM_PARTS})
    assert response.status_code == 200
    retrieved = parts(response)
    assert {body for _, body in retrieved} == expected
    assert len(retrieved) == 3
    assert {part["content-type"] for part, _ in retrieved} == {"application/dicom; transfer-syntax=1.2.840.10008.1.2.1"}

    json_headers = {"Accept": "application/dicom+json"}
    response = service.get(f"/studies/{STUDY}/metadata", headers=json_headers)
    assert response.status_code == 200
    assert len(response.json()) == 3
    response = service.get(f"/studies/{STUDY}/series/{SERIES}", headers={"Accept": ANY_DICOM_PARTS})
    assert {body for _, body in parts(response)} == {stored_form(red), stored_form(green)}
    response = service.get(f"/studies/{STUDY}/series/{SERIES}/metadata", headers=json_headers)
    assert len(response.json()) == 2

    instance = f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
    response = service.get(instance, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert response.status_code == 200
    assert response.content == stored_form(red)
    response = service.get(f"{instance}/metadata", headers=json_headers)
    assert [dataset["00080018"]["Value"] for dataset in response.json()] == [[INSTANCE]]
    accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    response = service.get(f"{instance}/frames/1", headers={"Accept": accept})
    assert response.status_code == 200
    (frame,) = parts(response)
    assert frame[1] in red
    assert len(frame[1]) > 100_000

    # Search
    for path, parameters in (
        ("/studies", {"StudyInstanceUID": STUDY}),
        ("/series", {"SeriesInstanceUID": SERIES}),
        (f"/studies/{STUDY}/series", {"SeriesInstanceUID": SERIES}),
        ("/instances", {"SOPInstanceUID": INSTANCE}),
        (f"/studies/{STUDY}/instances", {"SOPInstanceUID": INSTANCE}),
        (f"/studies/{STUDY}/series/{SERIES}/instances", {"SOPInstanceUID": INSTANCE}),
    ):
        response = service.get(path, params=parameters, headers=json_headers)
        assert response.status_code == 200, path
        assert len(response.json()) == 1, path

    # Delete
    for path in (instance, f"/studies/{STUDY}/series/{SERIES}", f"/studies/{STUDY}"):
        assert service.delete(path).status_code == 204, path

    # Everything is gone
    for path in (f"/studies/{STUDY}", f"/studies/{STUDY}/series/{SERIES}", instance):
        assert service.get(path, headers={"Accept": "*/*"}).status_code == 404
        assert service.get(f"{path}/metadata", headers=json_headers).status_code == 404
        assert service.delete(path).status_code == 404
    assert service.get(f"{instance}/frames/1", headers={"Accept": accept}).status_code == 404
    for path, parameters in (
        ("/studies", {"StudyInstanceUID": STUDY}),
        ("/series", {"SeriesInstanceUID": SERIES}),
        ("/instances", {"SOPInstanceUID": INSTANCE}),
        (f"/studies/{STUDY}/instances", {}),
    ):
        assert service.get(path, params=parameters, headers=json_headers).status_code == 204, path


def test_counts_follow_what_is_stored(service: httpx.Client, instances: dict[str, bytes]) -> None:
    service.delete(f"/studies/{STUDY}")
    headers = {"Content-Type": MULTIPART_DICOM}
    service.post("/studies", content=multipart(instances.values()), headers=headers)

    def counts() -> tuple[int, int]:
        (study,) = service.get("/studies", params={"StudyInstanceUID": STUDY}).json()
        return study["00201206"]["Value"][0], study["00201208"]["Value"][0]

    assert counts() == (2, 3)
    service.delete(f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}")
    assert counts() == (2, 2)
    service.delete(f"/studies/{STUDY}/series/{SERIES}")
    assert counts() == (1, 1)
    service.delete(f"/studies/{STUDY}")
