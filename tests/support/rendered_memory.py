"""How much memory rendering takes: ``python -m tests.support.rendered_memory rgb``."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import GifImagePlugin, JpegImagePlugin, PngImagePlugin
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from shared.imaging.decoding import decode_frame
from shared.imaging.frame_attributes import FrameAttributes
from shared.imaging.image_pixels import ImagePixels
from shared.imaging.pictures import RENDERING_COPIES, largest_form_bytes, render
from shared.web.rendering_parameters import IccProfile, RenderingParameters, SourceRegion, Window, WindowFunction

_LOADED = (GifImagePlugin, JpegImagePlugin, PngImagePlugin)  # before anything is measured
_SIDE = 4096
_PALETTE = {
    f"{color}PaletteColorLookupTable{what}": value
    for color in ("Red", "Green", "Blue")
    for what, value in (("Descriptor", [256, 0, 16]), ("Data", np.arange(256, dtype="<u2").tobytes()))
}


@dataclass(frozen=True)
class Case:
    """A frame of noise, which no encoder makes smaller, and what is asked for of it."""

    photometric_interpretation: str
    samples: int = 1
    bits: int = 8
    bits_stored: int = 0
    planar_configuration: int = 0
    rows: int = _SIDE
    columns: int = _SIDE
    media_type: str = "image/png"
    parameters: RenderingParameters = field(default_factory=RenderingParameters)
    stored_samples: float = 1  # of three that are decoded

    @property
    def pixels(self) -> ImagePixels:
        return ImagePixels(
            rows=self.rows,
            columns=self.columns,
            samples_per_pixel=self.samples,
            bits_allocated=self.bits,
            bits_stored=self.bits_stored or self.bits,
            is_signed=False,
            photometric_interpretation=self.photometric_interpretation,
            planar_configuration=self.planar_configuration,
        )


CASES = {
    "gray": Case("MONOCHROME2"),
    "gray as JPEG": Case("MONOCHROME2", media_type="image/jpeg"),
    "gray as GIF": Case("MONOCHROME2", media_type="image/gif"),
    "inverse of 16 bits": Case("MONOCHROME1", bits=16),
    "window": Case(
        "MONOCHROME2", bits=16, parameters=RenderingParameters(window=Window(100, 200, WindowFunction.SIGMOID))
    ),
    "gray of 32 bits": Case("MONOCHROME2", bits=32, rows=_SIDE // 2),
    "single bits": Case("MONOCHROME2", bits=1),
    "enlarged": Case("MONOCHROME2", rows=1000, columns=1000, parameters=RenderingParameters(viewport=(_SIDE, _SIDE))),
    "reduced": Case("MONOCHROME2", parameters=RenderingParameters(viewport=(2000, 2000))),
    "palette": Case("PALETTE COLOR", rows=_SIDE // 2),
    "palette of 16 bits": Case("PALETTE COLOR", rows=_SIDE // 2, bits=16),
    "rgb": Case("RGB", samples=3, rows=_SIDE // 2),
    "rgb as JPEG": Case("RGB", samples=3, rows=_SIDE // 2, media_type="image/jpeg"),
    "rgb as GIF": Case("RGB", samples=3, rows=_SIDE // 4, media_type="image/gif"),
    "rgb of 12 bits": Case("RGB", samples=3, rows=_SIDE // 2, bits=16, bits_stored=12),
    "rgb by plane": Case("RGB", samples=3, rows=_SIDE // 2, planar_configuration=1),
    "rgb in sRGB": Case("RGB", samples=3, rows=_SIDE // 2, parameters=RenderingParameters(icc_profile=IccProfile.SRGB)),
    "rgb turned": Case(
        "RGB",
        samples=3,
        rows=_SIDE // 2,
        parameters=RenderingParameters(
            region=SourceRegion(1, 1, 4000, 2000, is_flipped_horizontally=True, is_flipped_vertically=True)
        ),
    ),
    "ybr": Case("YBR_FULL", samples=3, rows=_SIDE // 2),
    "ybr subsampled": Case("YBR_FULL_422", samples=3, rows=_SIDE // 2, stored_samples=2 / 3),
    "ybr partial": Case("YBR_PARTIAL_420", samples=3, rows=_SIDE // 2),
}


def measure(case: Case) -> tuple[int, int]:
    """The bytes that decoding and rendering a native frame took at most, it included, and how many are reserved."""
    pixels, data_set = case.pixels, Dataset()
    if case.photometric_interpretation == "PALETTE COLOR":
        data_set.PixelRepresentation = 0
        for keyword, value in _PALETTE.items():
            setattr(data_set, keyword, value)
    attributes = FrameAttributes.of(data_set, 1)
    stored_bytes = round(pixels.frame_bytes * case.stored_samples)
    random = np.random.default_rng(1)
    random.bytes(1000)
    Path("/proc/self/clear_refs").write_text("5")  # restarts the count of the peak
    before_bytes = _status("VmRSS")
    frames = [random.bytes(stored_bytes)]
    decoded = (decode_frame(frames.pop(), ExplicitVRLittleEndian, pixels, max_frame_bytes=1 << 30) for _ in range(1))
    render(decoded, attributes, case.media_type, case.parameters, frame_numbers=[1])
    form_bytes = largest_form_bytes(pixels, attributes, case.media_type, case.parameters, frame_number=1)
    return _status("VmHWM") - before_bytes, RENDERING_COPIES * form_bytes


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


if __name__ == "__main__":
    sys.stdout.write("{} {}\n".format(*measure(CASES[sys.argv[1]])))
