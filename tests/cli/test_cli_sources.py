"""What the command line finds to upload, and what it recognizes as DICOM."""

import os
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from dicomweb_cli.sources import Instance, Source, SourceError, chunks, examined, sources
from tests.support.served_instances import dataset, part10

DICOMDIR = Path(pydicom.__file__).parent / "data/test_files/dicomdirtests/DICOMDIR"


def found(*paths: Path) -> list[str]:
    """The names of what is found, with the reason of what cannot be read."""
    return [each.name if isinstance(each, Source) else f"{each.name}: {each}" for each in sources(paths)]


def source_of(path: Path) -> Source:
    (source,) = sources([path])
    assert isinstance(source, Source)
    return source


def test_folders_archives_and_files_are_walked_in_order(tmp_path: Path) -> None:
    (tmp_path / "b/c").mkdir(parents=True)
    for name in ("b/c/2", "b/1", "a"):
        (tmp_path / name).write_text(name)
    with ZipFile(tmp_path / "z.ZIP", "w") as archive:
        archive.mkdir("d")
        archive.writestr("d/3", "three")
    os.mkfifo(tmp_path / "pipe")
    names = [str(tmp_path / name) for name in ("a", "z.ZIP/d/3", "b/1", "b/c/2")]
    assert found(tmp_path) == names
    assert found(tmp_path / "b", tmp_path / "a") == [names[2], names[3], names[0]]


def test_an_archive_given_by_name_may_be_called_anything(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "export", "w") as archive:
        archive.writestr("1", "one")
    assert found(tmp_path / "export") == [f"{tmp_path}/export/1"]
    assert found(tmp_path) == [f"{tmp_path}/export"]


def test_a_dicomdir_stands_for_the_files_that_it_lists(tmp_path: Path) -> None:
    listed = [source for source in sources([DICOMDIR]) if isinstance(source, Source)]
    assert len(listed) == 31
    assert all(isinstance(examined(source), Instance) for source in listed)
    assert examined(Source("DICOMDIR", 0, lambda: DICOMDIR.open("rb"))) is None


def directory(*ids: list[str]) -> Dataset:
    listing = Dataset()
    listing.DirectoryRecordSequence = []
    for names in ids:
        record = Dataset()
        record.ReferencedFileID = names
        listing.DirectoryRecordSequence.append(record)
    listing.file_meta = FileMetaDataset()
    listing.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    listing.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    listing.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    return listing


def test_a_dicomdir_leads_to_nothing_outside_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "DICOMDIR"
    directory(["..", "SECRET"], ["A", "GONE"]).save_as(path, enforce_file_format=True)
    assert found(path) == [
        f"{path}: ../SECRET: The DICOMDIR names a file that is not below it.",
        f"{tmp_path}/A/GONE: No such file or directory",
    ]
    path.write_bytes(b"nothing")
    assert len(found(path)) == 1


def test_dicom_is_recognized_by_its_content(tmp_path: Path) -> None:
    path, image = tmp_path / "file", dataset()
    whole = part10(image)
    meta_end = 132 + 12 + int.from_bytes(whole[140:144], "little")
    for content in (whole, whole[132:], whole[meta_end:]):
        path.write_bytes(content)
        instance = examined(source_of(path))
        assert instance
        assert instance.identifiers
        assert instance.identifiers.sop_instance_uid == image.SOPInstanceUID
    path.write_bytes(whole[:200])  # the server should say what is wrong with it
    broken = examined(source_of(path))
    assert broken
    assert broken.identifiers is None
    for content in (b"", b"text", bytes(200), whole[132:200], b"\x89PNG\r\n\x1a\n" + bytes(300)):
        path.write_bytes(content)
        assert examined(source_of(path)) is None


def test_a_file_is_read_from_its_archive(tmp_path: Path) -> None:
    whole = part10(dataset(PixelData=bytes(3 * 1024**2)))
    with ZipFile(tmp_path / "a.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("image", whole)
    source = source_of(tmp_path / "a.zip")
    assert examined(source)
    pieces = list(chunks(source))
    assert b"".join(pieces) == whole
    assert max(map(len, pieces)) <= 1024**2


def test_a_damaged_file_of_an_archive_is_reported(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("image", part10(dataset()))
    damaged = bytearray((tmp_path / "a.zip").read_bytes())
    damaged[300] ^= 1
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(SourceError, match="CRC"):
        list(chunks(source_of(tmp_path / "a.zip")))


@pytest.mark.parametrize("content", [b"longer than before", b""])
def test_a_file_that_changes_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(b"before")
    source = source_of(tmp_path / "file")
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SourceError, match="changed"):
        list(chunks(source))
