"""Three small instances of the tutorial's study: synthetic, and always the same bytes.

`python -m local.sample_instances FOLDER` writes them as files.
"""

import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

_SIDE: Final = 256  # pixels
_WHITE: Final = b"\xff\xff\xff"
_ROOT: Final = "1.2.826.0.1.3680043.8.498."
_STUDY: Final = _ROOT + "13230779778012324449356534479549187420"
_SERIES: Final = _ROOT + "45787841905473114233124723359129632652"
_BLUE_SERIES: Final = _ROOT + "77033797676425927098669402985243398207"

Shape = Callable[[int, int], bool]


def _circle(x: int, y: int) -> bool:
    return (x - 128) ** 2 + (y - 128) ** 2 <= 96**2


def _square(x: int, y: int) -> bool:
    return 48 <= x < 208 and 48 <= y < 208


def _triangle(x: int, y: int) -> bool:
    return 32 <= y < 224 and abs(x - 128) <= (y - 32) // 2


# name: shape, color, Series Instance UID, Series Number, SOP Instance UID
_INSTANCES: Final[dict[str, tuple[Shape, bytes, str, int, str]]] = {
    "blue-circle": (_circle, b"\x1e\x40\xd0", _BLUE_SERIES, 2, _ROOT + "13273713909719068980354078852867170114"),
    "green-square": (_square, b"\x20\xa0\x40", _SERIES, 1, _ROOT + "12714725698140337137334606354172323212"),
    "red-triangle": (_triangle, b"\xd0\x20\x20", _SERIES, 1, _ROOT + "47359123102728459884412887463296905395"),
}


def sample_instances() -> dict[str, bytes]:
    """The instances' Part 10 files, by name: RGB, 256 x 256, with the UIDs that the tutorial names."""
    return {name: _instance(name, *facts) for name, facts in _INSTANCES.items()}


def _instance(name: str, shape: Shape, colour: bytes, series: str, series_number: int, instance: str) -> bytes:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = instance
    dataset.StudyDate, dataset.StudyTime = "20200922", "120000"
    dataset.AccessionNumber = ""
    dataset.Modality = "OT"
    dataset.ConversionType = "SYN"
    dataset.ReferringPhysicianName = "Doctor Doc"
    dataset.PatientName, dataset.PatientID = "Anony Mous", "ID1"
    dataset.PatientBirthDate, dataset.PatientSex = "", "F"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _STUDY, series
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", series_number, 1
    dataset.ImageComments = name
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.Rows = dataset.Columns = _SIDE
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = b"".join(colour if shape(x, y) else _WHITE for y in range(_SIDE) for x in range(_SIDE))
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def main(arguments: list[str]) -> int:
    """Write the files into the folder that the arguments name, and print their paths; return 2 without a folder."""
    if len(arguments) != 1:
        print("Name the folder to write to: python -m local.sample_instances FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in sample_instances().items():
        path = folder / f"{name}.dcm"
        path.write_bytes(file)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
