"""GDCM as a reader of files, another code base than pydicom's and DCMTK's."""

from pathlib import Path
from tempfile import TemporaryDirectory

import gdcm  # type: ignore[import-untyped]


def rewritten(file: bytes) -> bytes:
    """The file as GDCM writes what it has read."""
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    with TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        before.write_bytes(file)
        reader, writer = gdcm.Reader(), gdcm.Writer()
        reader.SetFileName(str(before))
        assert reader.Read()
        writer.SetFileName(str(after))
        writer.SetFile(reader.GetFile())
        writer.SetCheckFileMetaInformation(False)
        assert writer.Write()
        return after.read_bytes()
