"""`python -m local.demo`: stores, retrieves, searches and deletes a study, and shows each request and its answer.

The study has UIDs of its own, and nothing of it is left.

Uses the server of `make run` if it runs, at PORT (7071), else one started for the purpose.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx
import pydicom
from pydicom.uid import generate_uid

from local.azurite import LocalError
from local.background import is_healthy, served
from local.sample_instances import sample_instances

_BOUNDARY: Final = "demo-boundary"
_JSON: Final = "application/dicom+json"
_ANY_FILES: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_ANY_FRAMES: Final = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_SHOWN_RESULTS: Final = 3
_SHOWN_ATTRIBUTES: Final = (
    "00100010", "00080020", "00080060", "00200013", "00204000", "00201206", "00201208", "00201209"
)  # fmt: skip
_SHOWN_ERROR_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A request and what is expected of its answer: one of `statuses`, and `count` parts or data sets."""

    title: str
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    statuses: tuple[int, ...] = (200,)
    count: int = 0


def own_instances() -> dict[str, bytes]:
    """The sample instances by name, with new UIDs: whoever stored the samples keeps them."""
    new_uids: dict[str, str] = {}
    files = {}
    for name, file in sample_instances().items():
        dataset = pydicom.dcmread(BytesIO(file))
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(dataset, keyword, new_uids.setdefault(dataset[keyword].value, generate_uid(None)))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        files[name] = buffer.getvalue()
    return files


def study_of(files: Mapping[str, bytes]) -> str:
    """The path of the study that the files are of."""
    uid = pydicom.dcmread(BytesIO(next(iter(files.values()))), stop_before_pixels=True).StudyInstanceUID
    return f"/studies/{uid}"


def steps(files: Mapping[str, bytes]) -> Iterator[Step]:
    """The tutorial's requests with these files, in order; paths are relative to ``/v2``."""
    red = pydicom.dcmread(BytesIO(files["red-triangle"]), stop_before_pixels=True)
    study = study_of(files)
    series = f"{study}/series/{red.SeriesInstanceUID}"
    instance = f"{series}/instances/{red.SOPInstanceUID}"
    by_study, by_series = f"?StudyInstanceUID={red.StudyInstanceUID}", f"?SeriesInstanceUID={red.SeriesInstanceUID}"
    by_instance = f"?SOPInstanceUID={red.SOPInstanceUID}"

    multipart = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
    for name, path, content_type, content in (
        ("blue-circle, multipart", "/studies", multipart, _multipart(files["blue-circle"])),
        ("red-triangle, multipart, into its study", study, multipart, _multipart(files["red-triangle"])),
        ("green-square, a single part", "/studies", "application/dicom", files["green-square"]),
    ):
        headers = {"Accept": _JSON, "Content-Type": content_type}
        yield Step(title=f"Store {name}", method="POST", path=path, headers=headers, content=content, count=1)

    for name, path, accept, count in (
        ("Retrieve the study", study, _ANY_FILES, 3),
        ("Retrieve the study's metadata", f"{study}/metadata", _JSON, 3),
        ("Retrieve a series", series, _ANY_FILES, 2),
        ("Retrieve the series' metadata", f"{series}/metadata", _JSON, 2),
        ("Retrieve an instance", instance, "application/dicom; transfer-syntax=*", 1),
        ("Retrieve the instance's metadata", f"{instance}/metadata", _JSON, 1),
        ("Retrieve its frame", f"{instance}/frames/1", _ANY_FRAMES, 1),
        ("Search studies", f"/studies{by_study}", _JSON, 1),
        ("Search series", f"/series{by_series}", _JSON, 1),
        ("Search the study's series", f"{study}/series{by_series}", _JSON, 1),
        ("Search instances", f"/instances{by_instance}", _JSON, 1),
        ("Search the study's instances", f"{study}/instances{by_instance}", _JSON, 1),
        ("Search the series' instances", f"{series}/instances{by_instance}", _JSON, 1),
    ):
        yield Step(title=name, method="GET", path=path, headers={"Accept": accept}, count=count)

    for name, path in (("an instance", instance), ("its series", series), ("the study", study)):
        yield Step(title=f"Delete {name}", method="DELETE", path=path, statuses=(204,))
    gone = {"Accept": _ANY_FILES}
    yield Step(title="Retrieve what is gone", method="GET", path=study, headers=gone, statuses=(404,))
    yield Step(
        title="Search what is gone",
        method="GET",
        path=f"/studies{by_study}",
        headers={"Accept": _JSON},
        statuses=(204,),
    )


def walk(base_url: str, show: Callable[[str], None] = print) -> bool:
    """Send the requests to the service at `base_url`, version included; return whether all answers were as expected.

    Stops at the first that was not. What was stored is deleted in any case.
    """
    files = own_instances()
    # In another thread a request goes on after Ctrl-C: a store that is broken off may be carried out after a delete.
    with httpx.Client(base_url=base_url, timeout=60) as client, ThreadPoolExecutor(1) as sending:
        try:
            return _walk(client, lambda request: sending.submit(client.send, request).result(), files, show)
        finally:
            sending.submit(client.delete, study_of(files)).result()


def _walk(
    client: httpx.Client,
    send: Callable[[httpx.Request], httpx.Response],
    files: Mapping[str, bytes],
    show: Callable[[str], None],
) -> bool:
    for number, step in enumerate(steps(files), 1):
        request = client.build_request(step.method, step.path, headers=step.headers, content=step.content or None)
        show(f"\n{number}. {step.title}\n   {request.method} {request.url}")
        for name, value in step.headers.items():
            show(f"     {name}: {value}")
        if step.content:
            show(f"     ({len(step.content):,} bytes)")
        started = time.perf_counter()
        response = send(request)
        milliseconds = (time.perf_counter() - started) * 1000
        count, summary = _read(response)
        fits = response.status_code in step.statuses and (response.status_code != 200 or count == step.count)
        status = f"{response.status_code} {response.reason_phrase}, {milliseconds:.0f} ms"
        show(f"   {'✓' if fits else '✗'} {status}{summary}")
        if not fits:
            wanted = " or ".join(map(str, step.statuses)) + (f" with {step.count}" if step.count else "")
            show(f"     Expected {wanted}, not {response.status_code} with {count}.")
            return False
    return True


def _multipart(file: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n"
    return head.encode() + file + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _read(response: httpx.Response) -> tuple[int, str]:
    """How many parts or data sets an answer holds, and what to show of it."""
    header = Message()
    header["Content-Type"] = response.headers.get("Content-Type", "")
    kind = f", {header['Content-Type']}" if response.content else ""
    if response.is_error:
        return 0, f"{kind}\n     {response.text[:_SHOWN_ERROR_CHARACTERS]}"
    if not response.content:
        return 0, ", no body"
    if boundary := header.get_boundary():
        parts = response.content.count(f"--{boundary}\r\n".encode())
        return parts, f"{kind}\n     {_counted(parts, 'part')}, {len(response.content):,} bytes"
    if header.get_content_type() != _JSON:
        return 1, f"{kind}\n     {len(response.content):,} bytes"
    found = response.json()
    if isinstance(found, dict):  # the answer to a store
        stored = found.get("00081199", {}).get("Value", [])
        return len(stored), kind + "".join(f"\n     stored: {item['00081190']['Value'][0]}" for item in stored)
    lines = [f"\n     {_described(dataset)}" for dataset in found[:_SHOWN_RESULTS]]
    return len(found), f"{kind}\n     {_counted(len(found), 'data set')}{''.join(lines)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _described(dataset: Mapping[str, Any]) -> str:
    """A few attributes of a data set in DICOM JSON, each as keyword and value."""
    values = [(tag, dataset[tag]["Value"][0]) for tag in _SHOWN_ATTRIBUTES if dataset.get(tag, {}).get("Value")]
    return ", ".join(
        f"{pydicom.datadict.keyword_for_tag(tag)} {value['Alphabetic'] if isinstance(value, dict) else value}"
        for tag, value in values
    )


def main() -> int:
    """Walk through the demo; return 1 when an answer was not as expected or no server came up."""
    base_url = f"http://localhost:{os.environ.get('PORT') or 7071}"
    try:
        if is_healthy(base_url):
            print(f"Using the server at {base_url}")
            succeeded = walk(f"{base_url}/v2")
        else:
            print(f"Nothing serves {base_url}: starting a server for the demo")
            with tempfile.TemporaryDirectory() as folder, served(Path(folder, "log"), {}) as own_url:
                succeeded = walk(f"{own_url}/v2")
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    print("\nEvery answer was the expected one." if succeeded else "\nStopped.")
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
