"""Metadata of the service against what pydicom and DCMTK read of the file.

Tags, VRs and values have to be the same, in the form of `attributes.py`, but for this:

* UN is any VR where only one of them knows the attribute: either the other reader does not, or it is a private one.
* Numbers differ by no more than their millionth, as programs print them with fewer digits.
* U+FFFD stands for bytes that a reader cannot decode; such text is not compared.
* Where one has values and the other octets (a long text, a value that pydicom refuses), they are not compared; nor is
  Pixel Data in an item that is empty elsewhere, as DCMTK shows it where it is encapsulated.
"""

import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from tests.foreign import pydicom_attributes
from tests.foreign.attributes import PIXEL_DATA, Attribute, Attributes, Value, of_json

_DCMTK: Final = "dcm2json"
_DCMTK_BYTES: Final = 64 * 1024**2  # of a file that is read as JSON, with all bulk values
_OCTETS: Final = {"Accept": "application/octet-stream; transfer-syntax=*"}
_RELATIVE: Final = 1e-6
_WORDS: Final = ({"US", "SS"}, {"OB", "OW"})  # which implicit VR does not tell apart


def metadata_differences(service: httpx.Client, url: str, path: Path) -> Iterator[str]:
    """In what the metadata of the instance at `url` are not what others read of its file."""
    response = service.get(f"{url}/metadata")
    if response.status_code != 200:
        yield f"no metadata: {response.status_code}"
        return
    (model,) = response.json()
    by_dcmtk = _read_by_dcmtk(path)
    dataset = pydicom_attributes.dataset_of(path)
    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        del dataset["PixelData"]
        for read in (model, by_dcmtk or {}):
            read.pop(PIXEL_DATA, None)

    def bulk_value(uri: str) -> bytes:
        answer = service.get(uri, headers=_OCTETS)
        return answer.content if answer.status_code == 200 else f"status {answer.status_code}".encode()

    ours = of_json(model, bulk_value)
    by_pydicom = pydicom_attributes.of_dataset(dataset, is_little_endian=bool(dataset.original_encoding[1]))
    yield from (f"{difference} (pydicom)" for difference in differences(ours, by_pydicom))
    if by_dcmtk is not None:
        theirs = of_json(by_dcmtk, bulk_value)
        yield from (f"{difference} (DCMTK)" for difference in differences(ours, theirs))


def differences(ours: Attributes, theirs: Attributes, path: str = "") -> Iterator[str]:
    """In what the attributes differ, each by its tag, after those of the sequences that it is in; never with values."""
    for tag in sorted(ours.keys() | theirs.keys()):
        place = f"{path}{tag}"
        if tag not in theirs:
            yield f"{place} is not in the file"
        elif tag not in ours:
            yield f"{place} is missing"
        else:
            yield from _between(ours[tag], theirs[tag], place)


def _between(ours: Attribute, theirs: Attribute, place: str) -> Iterator[str]:
    if not _is_same_vr(ours.vr, theirs.vr, is_private=int(place[-8:-4], 16) % 2 == 1):
        yield f"{place} is {ours.vr}, not {theirs.vr}"
    elif ours.values is not None and theirs.values is not None:
        if len(ours.values) != len(theirs.values):
            yield f"{place} has {len(ours.values)} values, not {len(theirs.values)}"
            return
        for number, (value, other) in enumerate(zip(ours.values, theirs.values, strict=True), 1):
            if isinstance(value, dict) and isinstance(other, dict):
                yield from differences(value, other, f"{place}[{number}].")
            elif not _is_same(value, other):
                yield f"{place} has another value {number}"
    elif not (place.endswith(PIXEL_DATA) and _octets(theirs) == b""):
        octets = (_octets(ours), _octets(theirs))
        if None not in octets and octets[0] != octets[1]:
            yield f"{place} has another bulk value"


def _octets(attribute: Attribute) -> bytes | None:
    return attribute.octets or b"" if attribute.values == () else attribute.octets


def _is_same_vr(ours: str, theirs: str, *, is_private: bool) -> bool:
    if ours == theirs or theirs == "UN" or (ours == "UN" and is_private):
        return True
    return any({ours, theirs} <= words for words in _WORDS) or ours in theirs.split(" or ")


def _is_same(ours: Value, theirs: Value) -> bool:
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return ours == theirs or math.isclose(ours, theirs, rel_tol=_RELATIVE) or (ours != ours and theirs != theirs)
    if isinstance(ours, str) and isinstance(theirs, str) and "\ufffd" in ours + theirs:
        return True
    return ours == theirs


def _read_by_dcmtk(path: Path) -> dict[str, Any] | None:
    """The DICOM JSON Model, bulk values inline; None where DCMTK is not installed, or does not read the file."""
    program = shutil.which(_DCMTK)
    if program is None or path.stat().st_size > _DCMTK_BYTES:
        return None
    done = subprocess.run([program, "-q", "-ee", "-fc", path], capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        return None
    try:
        model: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return model
