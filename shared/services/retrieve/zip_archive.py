"""The instances of a study or series as a ZIP archive (PS3.18 10.4.1.1.1), made while it is sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from shared.dicom.identifiers import ResourceIdentifiers
from shared.web.content import Content

_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the earliest in a ZIP archive: the same instances give the same bytes


class _Sent:
    """Takes what is written; cannot seek, so that ZipFile puts sizes and checksums after the files."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to close."""

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


async def zip_archive(contents: AsyncIterator[Content]) -> AsyncIterator[bytes]:
    """The archive's bytes: a file of each instance, ``study/series/instance.dcm`` by their UIDs, not compressed.

    Files are ZIP64, of any size and number. An archive that is cut short has no directory, so nobody takes it for
    whole.
    """
    sent = _Sent()
    with ZipFile(sent, "w", ZIP_STORED) as archive:
        async for content in contents:
            uids = ResourceIdentifiers.of_path(content.path)
            name = f"{uids.study_instance_uid}/{uids.series_instance_uid}/{uids.sop_instance_uid}.dcm"
            entry = ZipInfo(name, _DATE)
            with archive.open(entry, "w", force_zip64=True) as file:
                async for chunk in content.all():
                    await asyncio.to_thread(file.write, chunk)
                    yield sent.take()
            content.end()
        yield sent.take()
    yield sent.take()
