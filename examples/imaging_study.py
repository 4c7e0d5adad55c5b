"""`python -m examples.imaging_study FOLDER PORT`: writes a FHIR R4 ImagingStudy of each settled study to STUDY.json.

A file is replaced once its study has changed and settled again, and removed once the study was deleted. receiver.py
says what it needs.
"""

import json
import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

from examples.receiver import Metadata, serve, value

MODALITIES = "http://dicom.nema.org/resources/ontology/DCM"
UIDS, URIS = "urn:dicom:uid", "urn:ietf:rfc:3986"
ACCESSION_NUMBER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
UNKNOWN = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}


def imaging_study(study: str, instances: list[Metadata]) -> dict[str, Any]:
    """The resource for a study of one instance or more. Its patient is referred to by ID, not by a resource's URL."""
    first = instances[0]
    of_series: dict[str, list[Metadata]] = {}
    for one in instances:
        of_series.setdefault(value(one, "SeriesInstanceUID"), []).append(one)
    accession_number, patient = value(first, "AccessionNumber"), value(first, "PatientID")
    return given(
        resourceType="ImagingStudy",
        id=study,
        identifier=[
            {"system": UIDS, "value": f"urn:oid:{study}"},
            *([{"type": ACCESSION_NUMBER, "value": accession_number}] if accession_number else []),
        ],
        status="available",
        modality=[{"system": MODALITIES, "code": code} for code in dict.fromkeys(map(modality, instances))],
        subject={"type": "Patient", **({"identifier": {"value": patient}} if patient else {"extension": [UNKNOWN]})},
        started=started(first),
        numberOfSeries=len(of_series),
        numberOfInstances=len(instances),
        description=value(first, "StudyDescription"),
        series=[series(uid, members) for uid, members in of_series.items()],
    )


def series(uid: str, instances: list[Metadata]) -> dict[str, Any]:
    """An element of ImagingStudy.series."""
    return given(
        uid=uid,
        number=unsigned(value(instances[0], "SeriesNumber")),
        modality={"system": MODALITIES, "code": modality(instances[0])},
        description=value(instances[0], "SeriesDescription"),
        numberOfInstances=len(instances),
        instance=[
            given(
                uid=value(one, "SOPInstanceUID"),
                sopClass={"system": URIS, "code": f"urn:oid:{value(one, 'SOPClassUID')}"},
                number=unsigned(value(one, "InstanceNumber")),
            )
            for one in instances
        ],
    )


def modality(instance: Metadata) -> str:
    """The modality's code, which FHIR requires; DICOM's for any other where there is none."""
    return value(instance, "Modality") or "OT"


def started(instance: Metadata) -> str | None:
    """When the study began: its date alone where the time zone is not known, since FHIR has no local times."""
    day, time, zone = (value(instance, name) or "" for name in ("StudyDate", "StudyTime", "TimezoneOffsetFromUTC"))
    try:
        if time and zone:
            return datetime.fromisoformat(f"{day}T{time}{zone}").isoformat()
        return date.fromisoformat(day).isoformat()
    except ValueError:
        return None


def unsigned(number: Any) -> int | None:
    """A number that FHIR allows; None for others, which DICOM does."""
    return number if isinstance(number, int) and number >= 0 else None


def given(**members: Any) -> dict[str, Any]:
    """The members that have a value: FHIR has no null, nor empty text."""
    return {name: member for name, member in members.items() if member not in (None, "")}


def replace(folder: Path, study: str, instances: list[Metadata]) -> None:
    """Write the study's file by renaming one that is complete, or remove it where there are no instances."""
    file = folder / f"{study}.json"
    if not instances:
        file.unlink(missing_ok=True)
        return
    with file.with_suffix(".part").open("w") as part:
        json.dump(imaging_study(study, instances), part, indent=2)
        part.flush()
        os.fsync(part.fileno())
    os.replace(part.name, file)


def main() -> None:
    """Receive events until interrupted."""
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m examples.imaging_study FOLDER PORT")
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    serve(port, lambda study, instances: replace(folder, study, instances))


if __name__ == "__main__":
    main()
