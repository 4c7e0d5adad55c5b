"""Pictures of gray images are those that DCMTK makes."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage

from tests.imaging.pictures import BIPLANE, CT, frame_of, lookup_table, rendered
from tests.support.served_instances import dataset, part10

VALUES = np.arange(256, dtype=np.uint8).reshape(16, 16)
WINDOW = {"WindowCenter": 128, "WindowWidth": 256}
RAMP = [value * 16 for value in range(256)]


def voi_lut(bits: int) -> dict[str, Any]:
    return {"VOILUTSequence": [lookup_table(RAMP, bits=bits)]}


@pytest.mark.parametrize(
    "sop_class", [CTImageStorage, XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage, BIPLANE]
)
@pytest.mark.parametrize(
    ("attributes", "option"),
    [
        (WINDOW, "+Wi"),
        (CT | WINDOW, "+Wi"),
        ({"ModalityLUTSequence": [lookup_table(RAMP[::-1], bits=12)]} | WINDOW, "+Wi"),
        (voi_lut(12), "+Wl"),
        (voi_lut(0), "+Wl"),
        (voi_lut(255), "+Wl"),
        (voi_lut(13), "+Wl"),
    ],
)
def test_a_picture(tmp_path: Path, sop_class: str, attributes: dict[str, Any], option: str) -> None:
    file, picture = tmp_path / "image.dcm", tmp_path / "picture.pgm"
    image = dataset(SOPClassUID=sop_class, Rows=16, Columns=16, PixelData=VALUES.tobytes(), **attributes)
    file.write_bytes(part10(image))
    subprocess.run(["dcm2pnm", option, "1", file, picture], check=True)  # noqa: S603, S607
    described = Dataset()
    for keyword, value in {"SOPClassUID": sop_class, **attributes}.items():
        setattr(described, keyword, value)
    levels = rendered(frame_of(VALUES), described).astype(int)
    assert np.abs(levels - np.asarray(Image.open(picture))).max() <= 1
