"""Runs a folder of DICOM files through the service, and prints what differs from what other programs make of them.

`python -m tests.foreign FOLDER`; DCMTK and ffmpeg have to be installed.
"""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import httpx
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from tests.conftest import serving
from tests.foreign.frames import frame_differences
from tests.foreign.pictures import picture_differences

_SECONDS = 120  # for an answer


def main(folder: Path) -> int:
    """Print the differences of each file, and how many there are; 1 if there are any."""
    warnings.simplefilter("ignore")  # pydicom's, of files that are not as they should be
    counted = differing = 0
    with (
        serving(Path(mkdtemp()) / "log") as server,
        httpx.Client(base_url=f"{server.base_url}/v2", timeout=_SECONDS) as service,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            try:
                differences = list(compared(service, path))
            except InvalidDicomError:
                continue
            counted += 1
            differing += bool(differences)
            for difference in differences:
                print(f"{path}: {difference}", flush=True)  # noqa: T201
    print(f"{counted} files, {differing} of which differ.")  # noqa: T201
    return int(differing > 0)


def compared(service: httpx.Client, path: Path) -> Iterator[str]:
    """What the service makes of a file that is not what others make of it. Raises InvalidDicomError."""
    stored = dcmread(path)
    response = service.post("/studies", content=path.read_bytes(), headers={"Content-Type": "application/dicom"})
    answer = response.json()
    if "00081199" not in answer:
        yield f"not stored: {response.status_code} {answer}"
        return
    url = "/studies" + answer["00081199"]["Value"][0]["00081190"]["Value"][0].partition("/studies")[2]
    if "PixelData" in stored:
        yield from frame_differences(service, url, stored)
        yield from picture_differences(service, url, path, stored)
    service.delete(url)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
