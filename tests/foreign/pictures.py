"""Pictures that the service draws of a file's first frame, against those of DCMTK."""

import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

_TOOLS = ("dcm2pnm", "dcmj2pnm", "dcml2pnm")  # native and RLE; JPEG; JPEG-LS
_MOST_LEVELS = 4  # by which a level may differ: lossy JPEG, and how lookup tables are rounded
_LEAST_SHARE = 0.99  # of the samples that have to be as near


def picture_differences(service: httpx.Client, url: str, path: Path, described: Dataset) -> Iterator[str]:
    """In what the picture of the instance at `url` is not that of its file.

    Nothing where DCMTK is not installed, or draws none, or pixels are not square: DCMTK does not stretch them.
    """
    elsewhere = _drawn_elsewhere(path, described)
    if elsewhere is None:
        return
    response = service.get(f"{url}/frames/1/rendered", headers={"Accept": "image/png"})
    if response.status_code != 200:
        yield f"no picture: {response.status_code} {response.json()['detail']}"
        return
    picture = Image.open(BytesIO(response.content))
    drawn = np.asarray(picture.convert(elsewhere.mode)).astype(int)
    expected = np.asarray(elsewhere).astype(int)
    if drawn.shape != expected.shape and max(drawn.shape[:2]) <= max(expected.shape[:2]):
        yield f"the picture has {drawn.shape}, not {expected.shape}"
    elif drawn.shape == expected.shape and (share := (np.abs(drawn - expected) <= _MOST_LEVELS).mean()) < _LEAST_SHARE:
        yield f"the picture differs in {1 - share:.0%} of its samples, by up to {np.abs(drawn - expected).max()}"


def _drawn_elsewhere(path: Path, described: Dataset) -> Image.Image | None:
    has_window = described.get("WindowCenter") not in (None, "") and described.get("WindowWidth") not in (None, "")
    window = ("+Wi", "1") if has_window else ("+Wl", "1") if described.get("VOILUTSequence") else ("+Wm",)
    is_gray = described.get("PhotometricInterpretation", "").startswith("MONOCHROME")
    with TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.pnm"
        for tool in filter(shutil.which, _TOOLS):
            command = [tool, "-q", "+F", "1", *(window if is_gray else ()), path, picture]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0 and picture.exists():  # noqa: S603
                drawn = Image.open(picture)
                drawn.load()
                return drawn
    return None
