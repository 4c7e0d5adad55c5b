"""A file through the service: stored, its bytes retrieved, found by searches, deleted."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator

_PREAMBLE: Final = bytes(128)
_PREFIX: Final = b"DICM"
_AS_STORED: Final = {"Accept": "application/dicom; transfer-syntax=*"}
_SYNTAX_TAG: Final = 0x00020010
_BY_RULE: Final = (409, 413)  # the conformance statement says when
_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the service has an instance: its path below the service's URL."""

    url: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the service did not store a file; `is_by_rule` if the conformance statement has such a refusal."""

    reason: str
    is_by_rule: bool


def store(service: httpx.Client, path: Path) -> Stored | Refused:
    """Send a file as it is."""
    with path.open("rb") as file:
        response = service.post("/studies", content=file, headers={"Content-Type": "application/dicom"})
    if response.status_code in (200, 202):
        (item,) = response.json()["00081199"]["Value"]
        return Stored("/studies" + item["00081190"]["Value"][0].partition("/studies")[2])
    return Refused(_reason(response), response.status_code in _BY_RULE)


def bytes_differences(service: httpx.Client, url: str, path: Path) -> Iterator[str]:
    """In what the instance at `url` is not its file with a preamble of zeros, and the meta group where it lacks one."""
    response = service.get(url, headers=_AS_STORED)
    if response.status_code != 200:
        yield f"cannot be retrieved: {response.status_code}"
        return
    kept, file = response.content, path.read_bytes()
    if not kept.startswith(_PREAMBLE + _PREFIX):
        yield "does not begin with a preamble of zeros and the prefix"
        return
    begin = file.find(_PREFIX, 0, len(_PREAMBLE) + len(_PREFIX))
    sent = file[begin + len(_PREFIX) :] if begin in (0, len(_PREAMBLE)) else file
    if kept[132:] != sent and not _only_lacks_meta(sent, kept[144 + int.from_bytes(kept[140:144], "little") :]):
        yield "is not byte for byte the file"


def search_differences(service: httpx.Client, url: str, dataset: Dataset) -> Iterator[str]:
    """By which keys a search does not find the instance at `url`."""
    uids = dict(zip(_UIDS, url.split("/")[2::2], strict=True))
    for query in (uids, *_other_queries(dataset)):
        response = service.get("/instances", params=query)
        if uids["SOPInstanceUID"] not in _uids_found(response, "00080018"):
            yield f"not found by {', '.join(query)}: status {response.status_code}"


def deletion_differences(service: httpx.Client, url: str) -> Iterator[str]:
    """Delete the instance at `url`, the only one of its study: what is still there."""
    status = service.delete(url).status_code
    if status != 204:
        yield f"status {status}"
    study = url.partition("/series")[0]
    for left in (url, f"{url}/metadata", study):
        if (status := service.get(left, headers=_accept(left)).status_code) != 404:
            yield f"{left.rpartition('/')[2]} is still there: status {status}"
    for resource in ("studies", "series", "instances"):
        if study.rpartition("/")[2] in _uids_found(service.get(f"/{resource}"), "0020000D"):
            yield f"a search of {resource} still finds it"


def _uids_found(response: httpx.Response, tag: str) -> list[str]:
    return [result[tag]["Value"][0] for result in (response.json() if response.status_code == 200 else [])]


def _accept(url: str) -> dict[str, str]:
    return {} if url.endswith("/metadata") else {"Accept": "*/*"}


def _reason(response: httpx.Response) -> str:
    try:
        answer: dict[str, Any] = response.json()
    except ValueError:
        answer = {}
    if "00081198" not in answer:
        return f"status {response.status_code}: {answer.get('detail', '')}"
    (failed,) = answer["00081198"]["Value"]
    comments = [item["00000902"]["Value"][0] for item in failed.get("00741048", {}).get("Value", [])]
    return f"reason {failed['00081197']['Value'][0]}: {' '.join(comments)}"


def _only_lacks_meta(sent: bytes, data_set: bytes) -> bool:
    """Whether what was sent is this data set, after no file meta group, or one without a transfer syntax."""
    if not data_set or not sent.endswith(data_set):
        return False
    meta = data_element_generator(BytesIO(sent[: -len(data_set)]), is_implicit_VR=False, is_little_endian=True)
    return all(element.tag.group == 0x0002 and element.tag != _SYNTAX_TAG for element in meta)


def _other_queries(dataset: Dataset) -> Iterator[dict[str, str]]:
    """By Patient ID and by Study Date, where they have one valid value that says nothing else in a query."""
    patient_id = dataset.get("PatientID")
    if isinstance(patient_id, str) and (text := patient_id.strip()) and not set(text) & set('*?"\\\ufffd'):
        yield {"PatientID": text}
    study_date = str(dataset.get("StudyDate") or "").strip()
    try:
        datetime.strptime(study_date, "%Y%m%d")
    except ValueError:
        return
    if len(study_date) == len("20260101"):
        yield {"StudyDate": study_date}
