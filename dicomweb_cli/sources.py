"""What there is to upload: files in folders or ZIP archives, and what a DICOMDIR lists; read a piece at a time."""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final
from zipfile import BadZipFile, ZipFile, is_zipfile

import pydicom
from pydicom.errors import InvalidDicomError

from shared.dicom.dicom_file import DicomFileError, DicomFileReader
from shared.dicom.element_values import raw_value
from shared.dicom.file_meta import FileMetaReader
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers
from shared.dicom.parsing import DicomFileLimits

_PREFIX: Final = b"DICM"
_PREFIX_OFFSET: Final = 128
_STEP_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 1024**2
_DIRECTORY: Final = b"1.2.840.10008.1.3.10"  # Media Storage Directory Storage: a DICOMDIR
_SOP_CLASS_UID: Final = 0x00020002
_MAX_DIRECTORY_BYTES: Final = 256 * 1024**2
# zlib.error, a wrong password, a compression that Python does not support.
_READ_ERRORS: Final = (OSError, BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


class SourceError(Exception):
    """A file that cannot be read; `name` is its name, the message says why."""

    def __init__(self, name: str, error: Exception | str) -> None:
        super().__init__((isinstance(error, OSError) and error.strerror) or str(error))
        self.name = name


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a member of an archive: its name for people, its length in bytes, and how to open it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class Instance:
    """A source that is DICOM; `identifiers` is None where they cannot be read, which is for the server to judge."""

    source: Source
    identifiers: InstanceIdentifiers | None


def sources(paths: Sequence[Path]) -> Iterator[Source | SourceError]:
    """Everything at the paths, folder by folder, opening only archives and DICOMDIRs; and what cannot be read."""
    for path in paths:
        if path.is_dir():
            yield from _folder(path)
        elif path.name.upper() == "DICOMDIR":
            yield from _directory(path)
        else:
            yield from _file(path, is_archive=path.suffix.lower() == ".zip" or is_zipfile(path))


def examined(source: Source) -> Instance | None:
    """The instance that a source is; None where it is not DICOM, or is a DICOMDIR.

    It is DICOM if it has the prefix of PS3.10 7.1, or if it is a data set without it whose UIDs can be read. Raises
    SourceError.
    """
    try:
        with source.open() as file:
            return _examined(source, file)
    except _READ_ERRORS as error:
        raise SourceError(source.name, error) from None


def chunks(source: Source) -> Iterator[bytes]:
    """The bytes of a source. Raises SourceError, also when they do not match its length."""
    read = 0
    try:
        with source.open() as file:
            while chunk := file.read(_CHUNK_BYTES):
                read += len(chunk)
                if read > source.size:
                    break
                yield chunk
    except _READ_ERRORS as error:
        raise SourceError(source.name, error) from None
    if read != source.size:
        raise SourceError(source.name, "It changed while it was read.")


def _folder(path: Path) -> Iterator[Source | SourceError]:
    troubles: list[OSError] = []
    for folder, folders, names in os.walk(path, onerror=troubles.append):
        folders.sort()
        for name in sorted(names):
            yield from _file(Path(folder, name), is_archive=name.lower().endswith(".zip"))
        while troubles:
            trouble = troubles.pop()
            yield SourceError(str(trouble.filename), trouble)


def _file(path: Path, *, is_archive: bool) -> Iterator[Source | SourceError]:
    if is_archive:
        yield from _archive(path)
        return
    try:
        size = path.stat().st_size
    except OSError as error:
        yield SourceError(str(path), error)
        return
    if path.is_file():  # neither a pipe nor a device
        yield Source(str(path), size, lambda: path.open("rb"))


def _archive(path: Path) -> Iterator[Source | SourceError]:
    try:
        archive = ZipFile(path)
    except _READ_ERRORS as error:
        yield SourceError(str(path), error)
        return
    for entry in archive.infolist():
        if not entry.is_dir():
            yield Source(f"{path}/{entry.filename}", entry.file_size, partial(archive.open, entry))


def _directory(path: Path) -> Iterator[Source | SourceError]:
    """The files that a DICOMDIR (PS3.10 8.6) lists; they lie in its folder or below."""
    try:
        if path.stat().st_size > _MAX_DIRECTORY_BYTES:
            raise InvalidDicomError(f"It is larger than {_MAX_DIRECTORY_BYTES} bytes.")
        records = pydicom.dcmread(path, specific_tags=["DirectoryRecordSequence"]).get("DirectoryRecordSequence") or []
        ids = [record.get("ReferencedFileID") for record in records]
    except (OSError, InvalidDicomError, ValueError) as error:
        yield SourceError(str(path), error)
        return
    for components in ids:
        names = [components] if isinstance(components, str) else list(components or [])
        if not names:
            continue
        if {"", ".", ".."} & set(names) or any("/" in name or "\\" in name for name in names):
            yield SourceError(f"{path}: {'/'.join(names)}", "The DICOMDIR names a file that is not below it.")
        else:
            yield from _file(path.parent.joinpath(*names), is_archive=False)


def _examined(source: Source, file: IO[bytes]) -> Instance | None:
    beginning = file.read(_STEP_BYTES)
    has_prefix = beginning.startswith(_PREFIX, _PREFIX_OFFSET)
    try:
        meta = FileMetaReader(DicomFileLimits()).feed(beginning, is_last=len(beginning) < _STEP_BYTES)
        if meta and (raw_value(meta.elements, _SOP_CLASS_UID) or b"").rstrip(b"\0 ") == _DIRECTORY:
            return None
        identifiers = _identifiers(file, beginning)
    except DicomFileError:
        identifiers = None
    return Instance(source, identifiers) if has_prefix or identifiers else None


def _identifiers(file: IO[bytes], beginning: bytes) -> InstanceIdentifiers | None:
    reader, chunk = DicomFileReader(), beginning
    while reader.identity is None and chunk:
        reader.feed(chunk)
        chunk = file.read(_STEP_BYTES)
    if reader.identity is None:
        reader.finish()
    return reader.identity.identifiers_in(DEFAULT_PARTITION) if reader.identity else None
