"""Requests that store instances: which go together, and their message (PS3.18 10.5.1)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from dicomweb_cli.connection import DICOM_JSON
from dicomweb_cli.sources import Instance, Source, chunks
from shared.multipart import Headers, MessageEnd, MultipartEncoder, PartBegin, PartData, PartEnd, new_boundary

_PART: Final = PartBegin(Headers({"Content-Type": "application/dicom"}))


async def batches(
    instances: AsyncIterator[Instance], *, max_bytes: int, max_files: int
) -> AsyncIterator[list[Instance]]:
    """Lists of instances within these limits, never two with the same UID.

    An instance without UIDs is alone, since no answer could name it, as is one over `max_bytes`.
    """
    batch: dict[str, Instance] = {}
    size = 0
    async for instance in instances:
        if instance.identifiers is None:
            yield [instance]
            continue
        uid = instance.identifiers.sop_instance_uid
        is_full = len(batch) == max_files or size + instance.source.size > max_bytes
        if batch and (is_full or uid in batch):
            yield list(batch.values())
            batch, size = {}, 0
        batch[uid] = instance
        size += instance.source.size
    if batch:
        yield list(batch.values())


class StoreMessage:
    """The multipart message of some files, read as it is sent, each time it is sent.

    Its length is known in advance, so that a server can refuse it unread. `sent_bytes` is how many of the files' bytes
    the current send has taken; `on_progress` is called when that changes.
    """

    def __init__(self, sources: Sequence[Source], on_progress: Callable[[], None]) -> None:
        self._sources = sources
        self._boundary = new_boundary()
        self._on_progress = on_progress
        self.sent_bytes = 0
        encoder = self._encoder()
        length = sum(source.size + len(encoder.send(_PART) + encoder.send(PartEnd())) for source in sources)
        length += len(encoder.send(MessageEnd()))
        self.headers = {"Accept": DICOM_JSON, "Content-Type": encoder.content_type, "Content-Length": str(length)}

    async def stream(self) -> AsyncIterator[bytes]:
        """The bytes of the message. Raises SourceError."""
        self.sent_bytes = 0
        encoder = self._encoder()
        for source in self._sources:
            yield encoder.send(_PART)
            pieces = chunks(source)
            while chunk := await asyncio.to_thread(next, pieces, None):
                yield encoder.send(PartData(chunk))
                self.sent_bytes += len(chunk)
                self._on_progress()
            encoder.send(PartEnd())
        yield encoder.send(MessageEnd())

    def _encoder(self) -> MultipartEncoder:
        return MultipartEncoder(self._boundary, type="application/dicom")
