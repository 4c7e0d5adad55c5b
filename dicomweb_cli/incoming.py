"""Writes the instances of a multipart answer to files, which appear under their names once they are whole."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import httpx

from dicomweb_cli.connection import CannotGoOn, Connection, expect
from shared.dicom.dicom_file import DicomFileError, DicomFileReader
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers
from shared.errors import DicomWebError
from shared.multipart import MultipartDecoder, MultipartLimits, PartBegin, PartData, PartEnd, decode_events
from shared.web.media_types import boundary_of, parse_media_type

_HEADERS: Final = {
    "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
    "Accept-Encoding": "identity",
}
# A download is meant to be whole; only what is held in memory has a limit: the header of an instance.
_LIMITS: Final = MultipartLimits(max_parts=2**31, max_part_bytes=2**63, max_total_bytes=2**63)


class BrokenOff(Exception):
    """An answer that is not whole, or holds something that is not an instance."""


def file_of(folder: Path, instance: InstanceIdentifiers) -> Path:
    """Where an instance is kept."""
    name = f"{instance.sop_instance_uid}.dcm"
    return folder / instance.study_instance_uid / instance.series_instance_uid / name


async def receive(connection: Connection, path: str, folder: Path, on_whole: Callable[[int], None]) -> None:
    """Write the instances of a resource into the folder, as they are stored; `on_whole` gets the size of each in bytes.

    Raises Refused, BrokenOff and CannotGoOn; the instances that are whole are kept.
    """
    response = await connection.send("GET", path, headers=_HEADERS, is_streamed=True)
    incoming: _Incoming | None = None
    try:
        boundary = boundary_of(parse_media_type(expect(response, 200).headers.get("Content-Type", "")))
        async for event in decode_events(response.aiter_bytes(), MultipartDecoder(boundary, limits=_LIMITS)):
            match event:
                case PartBegin():
                    incoming = _Incoming(folder)
                case PartData(data=data) if incoming:
                    incoming.write(data)
                case PartEnd() if incoming:
                    on_whole(incoming.finish())
                    incoming = None
    except (httpx.TransportError, DicomWebError, DicomFileError) as error:
        raise BrokenOff(str(error) or type(error).__name__) from None
    except OSError as error:
        where = incoming.path if incoming else folder
        raise CannotGoOn(f"{where} cannot be written: {error.strerror}") from None
    finally:
        if incoming:
            incoming.discard()
        await response.aclose()


class _Incoming:
    """An arriving instance. It is held until its UIDs are read, then written under a temporary name.

    `path` is where it will be, and its folder before that is known. All of it raises OSError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader = DicomFileReader()
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self.path = folder

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises DicomFileError where they are not an instance's."""
        if self._file:
            self._file.write(data)
            return
        self._held += data
        self._reader.feed(data)
        if self._reader.identity:
            self._file = self._opened()
            self._file.write(self._held)
            self._held.clear()

    def finish(self) -> int:
        """Finish the instance, which is whole; return its size in bytes. Raises DicomFileError."""
        if not self._file:
            self._reader.finish()
            self._file = self._opened()
            self._file.write(self._held)
        size = self._file.tell()
        self._file.close()
        self._partial.replace(self.path)
        return size

    def discard(self) -> None:
        """Leave nothing of it."""
        if self._file:
            with suppress(OSError):  # closing writes what is buffered, for which a full disk has no room
                self._file.close()
            self._partial.unlink(missing_ok=True)

    @property
    def _partial(self) -> Path:
        return self.path.with_suffix(".part")

    def _opened(self) -> IO[bytes]:
        identifiers = self._reader.identity and self._reader.identity.identifiers_in(DEFAULT_PARTITION)
        if not identifiers:
            raise DicomFileError("An instance has an invalid UID.")
        self.path = file_of(self._folder, identifiers)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self._partial.open("wb")
