"""The examples that receive events: what they keep of real files, and that neither a kill nor a repetition harms it."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from fhir.resources.R4B.imagingstudy import ImagingStudy
from standardwebhooks import Webhook

from examples.imaging_study import imaging_study
from local.azurite import ROOT
from local.ports import free_ports
from tests.conftest import serving
from tests.support import patient_values
from tests.support.real_files import DATA, FILES

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105
SETTLED = "Microsoft.HealthcareApis.DicomStudySettled"
BUNDLED = DATA / "test_files/dicomdirtests"
LONGEST_SECONDS = 30
NOWHERE = "http://127.0.0.1:9/v2"

RADIOGRAPHS = [BUNDLED / "77654033" / name for name in ("CR1/6154", "CR2/6247", "CR3/6278")]
SLICES = [BUNDLED / "77654033/CT2" / name for name in ("17106", "17136", "17166")]
ANOTHER = BUNDLED / "98892003/MR1/15820"
STUDIES = [pydicom.dcmread(path).StudyInstanceUID for path in (RADIOGRAPHS[0], SLICES[0], ANOTHER)]


@contextmanager
def receiving(folder: Path, port: int, *command: str | Path, url: str = NOWHERE) -> Iterator[subprocess.Popen[bytes]]:
    """An example that receives events at a port; it is killed at the end. What it prints holds no patient's value."""
    log = folder / f"log of {port}"
    environment = {**os.environ, "DICOMWEB_URL": url, "DICOMWEB_SECRET": SECRET}
    with log.open("ab") as output:
        arguments = [sys.executable, *command, str(port)]
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=output, stderr=output)  # noqa: S603
    try:
        expect(lambda: is_receiving(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.wait()
    patient_values.check_file(log)


def is_receiving(port: int) -> bool:
    try:
        return httpx.options(f"http://127.0.0.1:{port}/").headers["WebHook-Allowed-Origin"] == "*"
    except httpx.TransportError:
        return False


def expect(happens: Callable[[], bool]) -> None:
    give_up = time.monotonic() + LONGEST_SECONDS
    while not happens():
        assert time.monotonic() < give_up, "It does not happen."
        time.sleep(0.05)


def rows_of(database: Path) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """The rows of series and of instances."""
    with closing(sqlite3.connect(database)) as connection:
        tables = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("series", "instances")]  # noqa: S608
    series, instances = map(set, tables)
    assert [len(series), len(instances)] == [len(table) for table in tables]
    return series, instances


def rows_for(paths: list[Path]) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """What the rows have to be for files."""
    series, instances = set(), set()
    for image in map(pydicom.dcmread, paths):
        of_series = image.StudyInstanceUID, image.SeriesInstanceUID
        series.add((*of_series, image.Modality, image.SeriesNumber, image.get("SeriesDescription")))
        instances.add((*of_series, image.SOPInstanceUID, image.SOPClassUID, image.InstanceNumber))
    return series, instances


def instances_of(resources: Path) -> set[tuple[str, str, str]]:
    """The UIDs in the ImagingStudy files, which are valid and hold the counts that they should."""
    found = set()
    for path in resources.glob("*.json"):
        study = json.loads(path.read_bytes())
        ImagingStudy.model_validate(study)
        assert path.stem == study["id"]
        assert study["numberOfSeries"] == len(study["series"])
        assert study["numberOfInstances"] == sum(series["numberOfInstances"] for series in study["series"])
        for series in study["series"]:
            assert series["numberOfInstances"] == len(series["instance"])
            found |= {(study["id"], series["uid"], instance["uid"]) for instance in series["instance"]}
    return found


def test_two_receivers_keep_what_the_service_holds_although_they_are_killed(tmp_path: Path) -> None:
    database, resources = tmp_path / "studies.db", tmp_path / "studies"
    port = free_ports(2)
    with serving(tmp_path / "log", SUBSCRIPTION_HOSTS="localhost") as server:
        url = f"{server.base_url}/v2"

        def receivers() -> tuple[Any, Any]:
            return (
                receiving(tmp_path, port, "-m", "examples.settled_studies", database, url=url),
                receiving(tmp_path, port + 1, "-m", "examples.imaging_study", resources, url=url),
            )

        def holds(paths: list[Path]) -> Callable[[], bool]:
            series, instances = rows_for(paths)
            uids = {(study, series, instance) for study, series, instance, *_ in instances}
            return lambda: rows_of(database) == (series, instances) and instances_of(resources) == uids

        with httpx.Client(base_url=url, timeout=60) as service:

            def store(*paths: Path) -> None:
                for path in paths:
                    patient_values.remember(pydicom.dcmread(path).PatientName, pydicom.dcmread(path).PatientID)
                    headers = {"Content-Type": "application/dicom"}
                    service.post("/studies", content=path.read_bytes(), headers=headers).raise_for_status()

            first, second = receivers()
            with first, second:
                made = [
                    service.post(
                        "/subscriptions",
                        json={
                            "url": f"http://localhost:{port + number}/",
                            "events": ["studySettled"],
                            "settle": "PT1S",
                            "secret": SECRET,
                            "maxEventsPerBatch": 1 + number,
                        },
                    )
                    for number in range(2)
                ]
                assert [answer.status_code for answer in made] == [201, 201]
                store(*RADIOGRAPHS[:2], *SLICES[:2])
                expect(holds([*RADIOGRAPHS[:2], *SLICES[:2]]))
                store(RADIOGRAPHS[2])
                expect(holds([*RADIOGRAPHS, *SLICES[:2]]))
                written = json.loads((resources / f"{STUDIES[0]}.json").read_text())

            # Killed: what happens now is told when they are there again.
            paths = [f"/subscriptions/{answer.json()['id']}" for answer in made]
            service.delete(f"/studies/{STUDIES[0]}").raise_for_status()
            store(SLICES[2], ANOTHER)
            expect(lambda: all(service.get(f"{path}/deliveries").json()["status"] == "failing" for path in paths))
            first, second = receivers()
            with first, second:
                for path in paths:
                    service.patch(path, json={"status": "active"}).raise_for_status()
                expect(holds([*SLICES, ANOTHER]))

    assert {path.name for path in resources.iterdir()} == {f"{study}.json" for study in STUDIES[1:]}
    written["series"] = [{**one, "instance": len(one["instance"])} for one in written["series"]]
    dcm = "http://dicom.nema.org/resources/ontology/DCM"
    assert written == {
        "resourceType": "ImagingStudy",
        "id": STUDIES[0],
        "identifier": [
            {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDIES[0]}"},
            {
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]},
                "value": "2",
            },
        ],
        "status": "available",
        "modality": [{"system": dcm, "code": "CR"}],
        "subject": {"type": "Patient", "identifier": {"value": "77654033"}},
        "started": "2001-01-01T00:00:00+00:00",
        "numberOfSeries": 3,
        "numberOfInstances": 3,
        "description": "XR C Spine Comp Min 4 Views",
        "series": [
            {
                "uid": pydicom.dcmread(path).SeriesInstanceUID,
                "number": number,
                "modality": {"system": dcm, "code": "CR"},
                "description": pydicom.dcmread(path).SeriesDescription,
                "numberOfInstances": 1,
                "instance": 1,
            }
            for number, path in enumerate(RADIOGRAPHS, 1)
        ],
    }


SLOW = """
import sys, time
from examples import receiver

receiver.read_metadata = lambda client, study: []
tries = []

def settled(study, instances):
    tries.append(study)
    if tries == ["1.2"]:
        raise OSError("The disk is full.")
    time.sleep(0.5)
    print("Done:", study, flush=True)

receiver.serve(int(sys.argv[1]), settled)
"""


def sent(port: int, events: Any, changed: Mapping[str, str] | None = None, *, seconds: float = 30) -> int:
    """Send signed events, some headers changed; return the status, or 0 where there is none in time."""
    body, now = json.dumps(events), datetime.now(UTC)
    headers = {
        "webhook-id": body,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(body, now, body),
        **(changed or {}),
    }
    try:
        return httpx.post(f"http://127.0.0.1:{port}/", content=body, headers=headers, timeout=seconds).status_code
    except httpx.ReadTimeout:
        return 0


def settled(study: str) -> dict[str, Any]:
    return {"type": SETTLED, "data": {"studyInstanceUid": study}}


def test_an_event_is_taken_once_although_it_fails_or_takes_long(tmp_path: Path) -> None:
    port = free_ports(1)
    with receiving(tmp_path, port, "-c", SLOW):
        assert sent(port, settled("1.2")) == 500
        assert sent(port, settled("1.2"), seconds=0.2) == 0
        assert sent(port, settled("1.2")) == 204
        assert sent(port, [settled("1.3"), {"type": "Microsoft.HealthcareApis.DicomImageCreated"}]) == 204
        done = (tmp_path / f"log of {port}").read_text()
    assert [line for line in done.splitlines() if line.startswith("Done")] == ["Done: 1.2", "Done: 1.3"]


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": Webhook(SECRET).sign("1", datetime.now(UTC), "{}")},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,a"},
        {"webhook-timestamp": "1700000000"},
        {"webhook-id": ""},
    ],
)
def test_what_the_service_has_not_signed_is_refused(sound: int, changed: dict[str, str]) -> None:
    assert sent(sound, settled("1.2"), changed) == 401


@pytest.mark.parametrize("length", ["1000001", "0", "-1"])
def test_what_has_not_the_length_of_an_event_is_refused_unread(sound: int, length: str) -> None:
    with closing(HTTPConnection("127.0.0.1", sound, timeout=30)) as connection:
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == 413


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a receiver whose database stays empty."""
    folder, port = tmp_path_factory.mktemp("sound"), free_ports(1)
    with receiving(folder, port, "-m", "examples.settled_studies", folder / "studies.db"):
        yield port
        assert rows_of(folder / "studies.db") == (set(), set())


def test_a_receiver_without_a_secret_does_not_start(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "examples.imaging_study", tmp_path, "1"]
    environment = {**os.environ, "DICOMWEB_SECRET": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)  # noqa: S603
    assert (done.returncode, done.stderr) == (1, "DICOMWEB_SECRET must be the subscription's secret.\n")


def of(**attributes: Any) -> list[dict[str, Any]]:
    """The metadata of one instance with little in it."""
    image = pydicom.Dataset()
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = "1.2", "1.2.3", "1.2.3.4"
    image.SOPClassUID = pydicom.uid.CTImageStorage
    for keyword, value in attributes.items():
        setattr(image, keyword, value)
    return [image.to_json_dict()]


def test_a_study_of_which_little_is_known() -> None:
    """What FHIR requires is there, and what it does not allow is not."""
    study = imaging_study("1.2", of(PatientID="", AccessionNumber="", SeriesNumber=-1, InstanceNumber=0))
    ImagingStudy.model_validate(study)
    (series,) = study["series"]
    assert study["subject"]["extension"][0]["valueCode"] == "unknown"
    assert [one["value"] for one in study["identifier"]] == ["urn:oid:1.2"]
    assert series["modality"]["code"] == "OT"
    assert not {"started", "description"} & study.keys()
    assert "number" not in series
    assert series["instance"] == [
        {
            "uid": "1.2.3.4",
            "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{pydicom.uid.CTImageStorage}"},
            "number": 0,
        }
    ]


def test_every_real_file_becomes_what_fhir_allows() -> None:
    """A study of which nothing can be made would keep those behind it from being told."""
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in FILES]
    metadata = [one.to_json_dict(suppress_invalid_tags=True) for one in images if "SeriesInstanceUID" in one]
    studies = [imaging_study("1.2", [one]) for one in metadata]
    assert len(studies) > 100
    for study in studies:
        ImagingStudy.model_validate(study)


@pytest.mark.parametrize(
    ("day", "time_of_day", "zone", "started"),
    [
        ("20260102", "", "", "2026-01-02"),
        ("20260102", "1020", "", "2026-01-02"),
        ("20260102", "", "+0200", "2026-01-02"),
        ("20260102", "1020", "+0200", "2026-01-02T10:20:00+02:00"),
        ("20260102", "102030.5", "-0330", "2026-01-02T10:20:30.500000-03:30"),
        ("20261302", "102030", "+0000", None),
        ("", "102030", "+0000", None),
    ],
)
def test_when_a_study_started(day: str, time_of_day: str, zone: str, started: str | None) -> None:
    study = imaging_study("1.2", of(StudyDate=day, StudyTime=time_of_day, TimezoneOffsetFromUTC=zone))
    assert study.get("started") == started
    ImagingStudy.model_validate(study)
