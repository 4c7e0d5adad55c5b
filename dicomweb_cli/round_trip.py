"""Stores an instance of its own, finds it, gets it back, and deletes it: nothing is left of it."""

import tempfile
from collections.abc import AsyncIterator
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from dicomweb_cli.connection import DICOM_JSON, CannotGoOn, Connection, Refused, expect
from dicomweb_cli.incoming import BrokenOff, file_of, receive
from dicomweb_cli.results import page_of, results, value_of
from dicomweb_cli.sources import Instance, Source
from dicomweb_cli.store_answer import Fate, outcomes
from dicomweb_cli.store_request import StoreMessage
from dicomweb_cli.terminal import plain, sentence
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, StudyKey

_SIDE: Final = 4  # pixels


async def why_not_to_store(connection: Connection) -> str | None:
    """Why nothing is to be stored: it could not be deleted again. None if it can be.

    Found out by deleting a study that nobody has. Raises CannotGoOn.
    """
    response = await connection.probe(f"{connection.url}/studies/{generate_uid(None)}", method="DELETE")
    if response.status_code == HTTPStatus.FORBIDDEN:
        return "The sign-in permits only reading, so nothing is stored."
    if response.status_code in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
        return "The server does not delete, so nothing is stored."
    return None


async def faults_of_round_trip(connection: Connection) -> list[str]:
    """Store, find, retrieve, compare and delete an instance; what went wrong, in sentences. Nothing of it is left."""
    file, identifiers = _made()
    faults = []
    try:
        await _store(connection, file, identifiers)
        faults += [text async for text in _differences(connection, file, identifiers)]
    except (Refused, BrokenOff, CannotGoOn) as error:
        faults.append(sentence(str(error)))
    finally:
        faults += await _deleted(connection, identifiers)
    return faults


def _made() -> tuple[bytes, InstanceIdentifiers]:
    """An image, as small as one can be that any archive takes."""
    image = Dataset()
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = (generate_uid(None) for _ in range(3))
    image.PatientName, image.PatientID = "Doctor^Dicomweb", "DICOMWEB-DOCTOR"
    image.PatientBirthDate = image.PatientSex = image.ReferringPhysicianName = image.AccessionNumber = ""
    image.StudyDate, image.StudyTime, image.StudyID = "20000101", "000000", "1"
    image.StudyDescription = "Made by dicomweb doctor"
    image.Modality, image.ConversionType, image.SeriesNumber, image.InstanceNumber = "OT", "SYN", 1, 1
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.Rows = image.Columns = _SIDE
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes(range(_SIDE * _SIDE))
    image["PixelData"].VR = "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    study = StudyKey(DEFAULT_PARTITION, image.StudyInstanceUID)
    return buffer.getvalue(), InstanceIdentifiers(study, image.SeriesInstanceUID, image.SOPInstanceUID)


async def _store(connection: Connection, file: bytes, identifiers: InstanceIdentifiers) -> None:
    source = Source("the instance", len(file), lambda: BytesIO(file))
    message = StoreMessage([source], lambda: None)
    response = await connection.send("POST", "studies", headers=message.headers, body=message.stream)
    outcome = outcomes([Instance(source, identifiers)], response)[0]
    if outcome.fate is not Fate.STORED:
        raise CannotGoOn(f"It is not stored: {plain(' '.join(outcome.comments)) or response.status_code}")


async def _differences(connection: Connection, file: bytes, identifiers: InstanceIdentifiers) -> AsyncIterator[str]:
    """Where what the server finds and sends is not what was stored."""
    sent = pydicom.dcmread(BytesIO(file))
    uids = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
    query = [("StudyInstanceUID", uids[0])]
    found = [value_of(result, "0020000D") async for result in results(connection, "studies", query)]
    if found != [uids[0]]:
        yield f"A search for the study finds {len(found)} studies."
    response = await connection.send("GET", f"{identifiers.path}/metadata", headers={"Accept": DICOM_JSON})
    metadata = page_of(expect(response, HTTPStatus.OK)) or []
    tags = ("0020000D", "0020000E", "00080018")
    if [tuple(value_of(one, tag) for tag in tags) for one in metadata] != [uids]:
        yield "The metadata is not that of the instance."
    with tempfile.TemporaryDirectory() as folder:
        await receive(connection, identifiers.path, Path(folder), lambda _: None)
        path = file_of(Path(folder), identifiers)
        # Servers may write another preamble and file meta group.
        if not path.exists() or pydicom.dcmread(path) != sent:
            yield "The file is not the one that was stored."


async def _deleted(connection: Connection, identifiers: InstanceIdentifiers) -> list[str]:
    """Delete the study; what went wrong, at most one sentence."""
    uid = identifiers.study_instance_uid
    try:
        response = await connection.send("DELETE", f"studies/{uid}", headers={"Accept": DICOM_JSON})
        expect(response, HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)
        is_left = [result async for result in results(connection, f"studies/{uid}/instances")]
    except (Refused, CannotGoOn) as error:
        if isinstance(error, Refused) and error.status == HTTPStatus.NOT_FOUND:  # some servers' answer to the search
            return []
        return [f"The study {uid} may be left: {sentence(str(error))}"]
    return [f"The study {uid} is still found after it was deleted."] if is_left else []
