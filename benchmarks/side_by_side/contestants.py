"""What is measured: a DICOMweb server, ours or another, and the limit, which is the storage SDK alone.

All do the same steps. Each method of the limit says what it does that comes nearest to the DICOMweb request.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import aiohttp
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from benchmarks.side_by_side.made_files import MULTI_FRAME, Maker, identifiers_of
from shared.dicom.comparable_values import comparable
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers
from shared.storage import blob_names, keys
from shared.storage.posting_keys import rows_of_list

CONNECTIONS: Final = 32
_BLOCK_BYTES: Final = 4 * 1024**2
_UPLOADS: Final = 4  # at once, as in a request to ours
_ROWS_AT_ONCE: Final = 16
_PLACE: Final = ["RowKey", "version", "size", "header"]
_BOUNDARY: Final = b"boundary"
_MULTIPART: Final = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=boundary'}
_AS_STORED: Final = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
_JSON: Final = {"Accept": "application/dicom+json"}
_FRAMES: Final = {"Accept": 'multipart/related; type="application/octet-stream"'}
_PICTURE: Final = {"Accept": "image/jpeg"}


class Contestant(Protocol):
    """What a step asks for. Each method returns the number of bytes received or sent."""

    async def store(self, files: Sequence[bytes], study: int, first: int) -> int:
        """Store instances of a study, `first` the number of the first, in one request."""
        ...

    async def store_large(self, maker: Maker, study: int) -> int:
        """Store an instance that is generated while it is sent."""
        ...

    async def search_studies(self, patient_id: str | None, limit: int) -> int:
        """Search studies, of one patient or the newest of all."""
        ...

    async def search_series(self, study: int) -> int:
        """The series of a study."""
        ...

    async def search_instances(self, study: int) -> int:
        """The instances of the first series of a study."""
        ...

    async def metadata(self, study: int) -> int:
        """The metadata of a study."""
        ...

    async def study(self, study: int) -> int:
        """All instances of a study as they are stored."""
        ...

    async def instance(self, study: int, number: int) -> int:
        """An instance as it is stored."""
        ...

    async def frame(self, study: int, number: int, frame: int) -> int:
        """One frame as it is stored, counted from 1."""
        ...

    async def rendered(self, study: int, number: int) -> int:
        """A picture of an instance."""
        ...


class DicomWeb:
    """A DICOMweb server, reached by aiohttp with persistent connections."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session = aiohttp.ClientSession(
            # Files are made between the rounds, and servers close connections that are idle.
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=1),
            timeout=aiohttp.ClientTimeout(600),
            headers={"Accept-Encoding": "identity"},
            read_bufsize=1024**2,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def store(self, files: Sequence[bytes], study: int, first: int) -> int:
        """POST of a multipart message."""
        pieces = [b"--" + _BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files]
        body = b"".join([*pieces, b"--" + _BOUNDARY + b"--\r\n"])
        await self._post(aiohttp.BytesPayload(body), len(body))
        return len(body)

    async def store_large(self, maker: Maker, study: int) -> int:
        """The same, in chunks."""
        sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            yield b"--" + _BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n"
            for chunk in maker.chunks(study, 0):
                sent += len(chunk)
                yield chunk
            yield b"\r\n--" + _BOUNDARY + b"--\r\n"

        await self._post(body(), None)
        return sent

    async def search_studies(self, patient_id: str | None, limit: int) -> int:
        """QIDO-RS."""
        key = {"PatientID": patient_id} if patient_id else {}
        return await self._get("studies", _JSON, {**key, "limit": str(limit)})

    async def search_series(self, study: int) -> int:
        """QIDO-RS."""
        return await self._get(f"{_study_path(study)}/series", _JSON)

    async def search_instances(self, study: int) -> int:
        """QIDO-RS."""
        series = identifiers_of(study, 0).series_instance_uid
        return await self._get(f"{_study_path(study)}/series/{series}/instances", _JSON)

    async def metadata(self, study: int) -> int:
        """WADO-RS."""
        return await self._get(f"{_study_path(study)}/metadata", _JSON)

    async def study(self, study: int) -> int:
        """WADO-RS, every instance a part."""
        return await self._get(_study_path(study), _AS_STORED)

    async def instance(self, study: int, number: int) -> int:
        """WADO-RS, one part."""
        return await self._get(identifiers_of(study, number).path, _AS_STORED)

    async def frame(self, study: int, number: int, frame: int) -> int:
        """WADO-RS, one part."""
        return await self._get(f"{identifiers_of(study, number).path}/frames/{frame}", _FRAMES)

    async def rendered(self, study: int, number: int) -> int:
        """WADO-RS, a JPEG."""
        return await self._get(f"{identifiers_of(study, number).path}/rendered", _PICTURE)

    async def _post(self, body: Any, size: int | None) -> None:
        headers = _MULTIPART | _JSON
        async with self._session.post(f"{self._base_url}/studies", data=body, headers=headers) as response:
            text = await response.text()
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {text[:500]}")

    async def _get(self, path: str, headers: dict[str, str], parameters: dict[str, str] | None = None) -> int:
        url = f"{self._base_url}/{path}"
        received = 0
        async with self._session.get(url, headers=headers, params=parameters) as response:
            async for chunk in response.content.iter_any():
                received += len(chunk)
            if response.status != 200 or not received:
                raise RuntimeError(f"{path}: {response.status}")
        return received


class BareSdk:
    """Moves the same bytes and reads the same rows by the storage SDK, in this process, and does nothing else."""

    def __init__(self, blobs: BlobServiceClient, tables: TableServiceClient, own: ContainerClient) -> None:
        self._own = own
        self._files = blobs.get_container_client("dicom")
        self._catalog = tables.get_table_client("catalog")
        self._terms = tables.get_table_client("terms")

    async def store(self, files: Sequence[bytes], study: int, first: int) -> int:
        """A put for each, four at once."""
        turn = asyncio.Semaphore(_UPLOADS)

        async def put(file: bytes) -> None:
            async with turn:
                await self._own.upload_blob(uuid.uuid4().hex, file)

        await asyncio.gather(*map(put, files))
        return sum(map(len, files))

    async def store_large(self, maker: Maker, study: int) -> int:
        """A staged upload of blocks of 4 MiB, four at once, from the same chunks."""
        blob = self._own.get_blob_client(uuid.uuid4().hex)
        sent = 0
        blocks: list[str] = []
        turn = asyncio.Semaphore(_UPLOADS)

        async def stage(block_id: str, block: bytes) -> None:
            try:
                await blob.stage_block(block_id, block)
            finally:
                turn.release()

        tasks = []
        for block in _blocks(maker.chunks(study, 0)):
            sent += len(block)
            blocks.append(f"{len(blocks):06d}")
            await turn.acquire()
            tasks.append(asyncio.create_task(stage(blocks[-1], block)))
        await asyncio.gather(*tasks)
        await blob.commit_block_list([BlobBlock(block_id) for block_id in blocks])
        return sent

    async def search_studies(self, patient_id: str | None, limit: int) -> int:
        """A page of postings, then the rows of each study, 16 at once."""
        listed = ("PatientID", f"={comparable('LO', patient_id)}") if patient_id else ("*", "=")
        partition, first, end = rows_of_list(DEFAULT_PARTITION, *listed)
        page = self._terms.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": partition, "first": first, "end": end},
            select=["PartitionKey", "RowKey"],
            results_per_page=limit,
        )
        uids: list[str] = []
        async for row in page:
            uids.append(next(part for part in row["RowKey"].split(":") if part.startswith("1.")))
            if len(uids) == limit:
                break
        if not uids:
            raise RuntimeError("No study was found.")
        turn = asyncio.Semaphore(_ROWS_AT_ONCE)

        async def read(uid: str) -> int:
            async with turn:
                return sum([len(row) async for row in self._rows(uid, *keys.summary_rows())])

        return sum(await asyncio.gather(*map(read, uids)))

    async def search_series(self, study: int) -> int:
        """The study's row and those of its series, in one query."""
        uid = identifiers_of(study, 0).study_instance_uid
        return sum([len(row) async for row in self._rows(uid, *keys.summary_rows())])

    async def search_instances(self, study: int) -> int:
        """The same, and a page of the instances' rows, with their metadata."""
        series = identifiers_of(study, 0).series_instance_uid
        return await self.search_series(study) + await self._read_metadata(study, series)

    async def metadata(self, study: int) -> int:
        """The pages of the study's rows, with their metadata."""
        return await self._read_metadata(study, None)

    async def study(self, study: int) -> int:
        """The pages of the study's rows, and a get for each file, four at once."""
        turn = asyncio.Semaphore(_UPLOADS)

        async def get(number: int, row: Mapping[str, Any]) -> int:
            async with turn:
                return await self._read(identifiers_of(study, number), row, 0, row["size"].value)

        uid = identifiers_of(study, 0).study_instance_uid
        rows = [row async for row in self._rows(uid, *keys.instance_rows(), _PLACE)]
        return sum(await asyncio.gather(*(get(*one) for one in enumerate(sorted(rows, key=lambda row: row["RowKey"])))))

    async def instance(self, study: int, number: int) -> int:
        """The row, and a get of the file that it names."""
        identifiers = identifiers_of(study, number)
        row = await self._place(identifiers)
        return await self._read(identifiers, row, 0, row["size"].value)

    async def frame(self, study: int, number: int, frame: int) -> int:
        """The row, and a get of the frame's range."""
        identifiers = identifiers_of(study, number)
        row = await self._place(identifiers)
        offset = row["header"].value + 12 + (frame - 1) * MULTI_FRAME.frame_bytes
        return await self._read(identifiers, row, offset, MULTI_FRAME.frame_bytes)

    async def rendered(self, study: int, number: int) -> int:
        """The row, and a get of the file, from which a picture could be made."""
        return await self.instance(study, number)

    async def _place(self, identifiers: InstanceIdentifiers) -> Mapping[str, Any]:
        row_key = keys.instance_row(identifiers.series_instance_uid, identifiers.sop_instance_uid)
        return await self._catalog.get_entity(identifiers.study_instance_uid, row_key, select=_PLACE)

    async def _read(self, identifiers: InstanceIdentifiers, row: Mapping[str, Any], offset: int, length: int) -> int:
        name = blob_names.instance_blob(identifiers, row["version"])
        received = 0
        download = await self._files.download_blob(name, offset, length)
        async for chunk in download.chunks():
            received += len(chunk)
        return received

    async def _read_metadata(self, study: int, series_instance_uid: str | None) -> int:
        rows = keys.instance_rows(series_instance_uid)
        uid = identifiers_of(study, 0).study_instance_uid
        return sum([len(row["metadata0"]) async for row in self._rows(uid, *rows, ["RowKey", "metadata0"])])

    def _rows(self, study_instance_uid: str, first: str, end: str, select: list[str] | None = None) -> Any:
        return self._catalog.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": study_instance_uid, "first": first, "end": end},
            select=select,
        )


def _study_path(study: int) -> str:
    return f"studies/{identifiers_of(study, 0).study_instance_uid}"


def _blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= _BLOCK_BYTES:
            yield bytes(held[:_BLOCK_BYTES])
            del held[:_BLOCK_BYTES]
    if held:
        yield bytes(held)
