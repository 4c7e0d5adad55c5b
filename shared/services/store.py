"""The Store transaction (PS3.18 10.5, STOW-RS): from the parts as they arrive to instances that are durable and found.

A part's bytes go to storage while the rest of it arrives, and several parts are under way at once. Nothing is visible
before the catalog's transaction makes it so; a request that ends badly removes what it had not committed.
"""

import asyncio
import logging
import secrets
import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from shared.attributes import TAG
from shared.dicom_file import DicomFileError, DicomFileLimits, DicomInstance
from shared.dicom_json import json_texts
from shared.errors import BadRequest, Unavailable
from shared.identifiers import InstanceIdentifiers, ResourceIdentifiers
from shared.media_types import parse_media_type
from shared.multipart import Event, Headers, PartBegin, PartData, PartEnd
from shared.records import InstanceRecord, NewInstance, split_by_level
from shared.services.commit import StudyContended, commit_instances
from shared.services.upload import InstanceUpload
from shared.settings import Settings
from shared.storage import keys
from shared.storage.archive import Archive
from shared.storage.catalog import MAX_ROW_VALUE_BYTES, fills_transaction
from shared.storage.journal import JournalEntry
from shared.store_response import Failed, FailureReason, Outcome, Stored
from shared.validation import ApiVersion, validate

_UPLOADS: Final = 4  # blocks and small instances of a process on their way to storage at once
_PARTS_IN_FLIGHT: Final = 8  # complete parts of one request that are not stored yet

# Scripts put the second on files that are DICOM all the same.
_PART_TYPES: Final = ("application/dicom", "application/octet-stream")

_logger = logging.getLogger(__name__)


class StoreService:
    """Stores instances. One a process: it bounds what all requests together have under way."""

    def __init__(self, archive: Archive, settings: Settings) -> None:
        self.archive = archive
        self.limits = DicomFileLimits(
            max_header_bytes=settings.max_header_bytes, max_inflated_bytes=settings.max_inflated_bytes
        )
        self.max_request_seconds = settings.max_request_seconds
        self.uploads = asyncio.Semaphore(_UPLOADS)

    async def store(
        self, events: AsyncIterator[Event], *, study_instance_uid: str | None, version: ApiVersion
    ) -> list[Outcome]:
        """Store the instances of a request, given as the events of its parts; the outcomes are in the parts' order.

        `study_instance_uid` is the study that the request names, if it does. Raises what `events` raises; instances
        that are not committed by then are removed.
        """
        request = _StoreRequest(self, study_instance_uid, version)
        try:
            # Maintenance counts on it that no request is at work for longer.
            async with asyncio.timeout(self.max_request_seconds):
                async for event in events:
                    await request.receive(event)
                return await request.complete()
        except TimeoutError:
            await request.abandon()
            raise Unavailable(f"The request took longer than {self.max_request_seconds} seconds.") from None
        except BaseException:
            await request.abandon()
            raise


class _StoreRequest:
    """A request: its parts under way, its journal entry, what waits for a commit and what has become of each part."""

    def __init__(self, service: StoreService, study_instance_uid: str | None, version: ApiVersion) -> None:
        self._service = service
        self._archive = service.archive
        self._study_instance_uid = study_instance_uid
        self._version: ApiVersion = version
        self._request_id = secrets.token_hex(16)
        self._started = datetime.now(UTC)
        self._upload: InstanceUpload | None = None
        self._headers = Headers()
        self._in_flight = asyncio.Semaphore(_PARTS_IN_FLIGHT)
        self._tasks: list[asyncio.Task[None]] = []
        self._journal: dict[str, asyncio.Task[None]] = {}
        self._seen: set[InstanceIdentifiers] = set()
        self._uncommitted: dict[str, InstanceRecord] = {}
        self._pending: dict[str, list[NewInstance]] = {}
        self._unanswered_commits = 0
        self._outcomes: dict[str, Outcome] = {}

    async def receive(self, event: Event) -> None:
        match event:
            case PartBegin(headers=headers):
                version = f"{self._request_id}{len(self._outcomes):06x}"
                self._outcomes[version] = Failed(FailureReason.PROCESSING_FAILURE, ("The part was not processed.",))
                self._headers = headers
                self._upload = InstanceUpload(self._archive.blobs, self._service.uploads, self._service.limits, version)
            case PartData(data=data) if self._upload is not None:
                await self._upload.receive(data)
            case PartEnd() if self._upload is not None:
                await self._in_flight.acquire()
                for task in self._tasks:
                    if task.done():
                        task.result()
                self._tasks = [task for task in self._tasks if not task.done()]
                self._tasks.append(asyncio.create_task(self._finish(self._upload, self._headers)))
                self._upload = None

    async def complete(self) -> list[Outcome]:
        """Wait for the parts under way and commit what is pending: what has become of each part, in their order."""
        await asyncio.gather(*self._tasks)
        for study_instance_uid in list(self._pending):
            await self._commit(study_instance_uid)
        await self._archive.journal.remove(self._request_id, self._journal)
        return list(self._outcomes.values())

    async def abandon(self) -> None:
        """Remove what is not committed. Where even that fails, the journal entry stays and maintenance does it."""
        if self._upload is not None:
            await self._upload.abandon()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._remove_blobs(list(self._uncommitted.values()))
            # A commit without an answer may have succeeded: what it would enter is left to maintenance.
            if not self._unanswered_commits:
                await self._archive.journal.remove(self._request_id, self._journal)
        except Exception:
            _logger.exception("Store request %s is left to maintenance: cleaning up failed.", self._request_id)

    async def _finish(self, upload: InstanceUpload, headers: Headers) -> None:
        try:
            failed = await self._make_ready(upload, headers)
        finally:
            self._in_flight.release()
        if failed is not None:
            self._outcomes[upload.version] = failed

    async def _make_ready(self, upload: InstanceUpload, headers: Headers) -> Failed | None:
        """Write a complete part's blobs and put it up for a commit, which is made once there is enough for one."""
        if (comment := _part_type_comment(headers)) is not None:
            await upload.abandon()
            return Failed(FailureReason.PROCESSING_FAILURE, (comment,))
        try:
            instance = await upload.finish()
        except DicomFileError as error:
            return Failed(FailureReason.PROCESSING_FAILURE, (str(error),))
        examined = self._examine(instance)
        if isinstance(examined, Failed):
            await upload.abandon()
            return examined
        self._outcomes[upload.version] = examined
        study_instance_uid = examined.identifiers.study_instance_uid
        new, metadata, frames = await asyncio.to_thread(_new_instance, examined.identifiers, instance, upload)
        record = new.record
        await self._note_in_journal(study_instance_uid)
        self._uncommitted[record.version] = record
        await upload.publish(keys.instance_blob(record.identifiers, record.version))
        if record.metadata is None:
            await self._archive.blobs.put(keys.metadata_blob(record.identifiers, record.version), metadata)
        if record.frames is None:
            await self._archive.blobs.put(keys.frames_blob(record.identifiers, record.version), frames)
        pending = self._pending.setdefault(study_instance_uid, [])
        pending.append(new)
        if fills_transaction([instance.record for instance in pending]):
            await self._commit(study_instance_uid)
        return None

    def _examine(self, instance: DicomInstance) -> Stored | Failed:
        """Whether the instance may be stored; `Stored` is what to answer once it is."""

        def failed(reason: FailureReason, *comments: str) -> Failed:
            return Failed(reason, comments, instance.sop_class_uid, instance.sop_instance_uid)

        findings = validate(instance.metadata, self._version)
        identifiers = instance.identifiers
        if findings.errors or identifiers is None:
            return failed(FailureReason.VALIDATION_FAILED, *(finding.comment for finding in findings.errors))
        if self._study_instance_uid not in (None, identifiers.study_instance_uid):
            return failed(FailureReason.STUDY_MISMATCH, "The instance belongs to another study than the request names.")
        if identifiers in self._seen:
            return failed(FailureReason.INSTANCE_EXISTS, "The request holds an instance of this UID twice.")
        self._seen.add(identifiers)
        return Stored(identifiers, instance.sop_class_uid, findings.warnings)

    async def _note_in_journal(self, study_instance_uid: str) -> None:
        """Return once the journal says that the request stores into this study."""
        resource = ResourceIdentifiers(study_instance_uid).path
        if resource not in self._journal:
            entry = JournalEntry(self._request_id, "store", self._started, resource)
            self._journal[resource] = asyncio.create_task(self._archive.journal.write(entry))
        await self._journal[resource]

    async def _commit(self, study_instance_uid: str) -> None:
        """Enter what is pending for a study, and settle the outcomes of what could not be."""
        instances = self._pending.pop(study_instance_uid)
        records = {instance.record.version: instance.record for instance in instances}
        self._unanswered_commits += 1
        for version in records:
            del self._uncommitted[version]
        try:
            failed = {
                version: _exists_comment(records[version], existing)
                for version, existing in (await commit_instances(self._archive, instances)).items()
            }
            reason = FailureReason.INSTANCE_EXISTS
        except StudyContended as error:
            failed = dict.fromkeys(records, str(error))
            reason = FailureReason.PROCESSING_FAILURE
        self._unanswered_commits -= 1
        for version, comment in failed.items():
            record = records[version]
            self._outcomes[version] = Failed(
                reason, (comment,), record.sop_class_uid, record.identifiers.sop_instance_uid
            )
        await self._remove_blobs([records[version] for version in failed])

    async def _remove_blobs(self, records: Sequence[InstanceRecord]) -> None:
        await self._archive.blobs.delete([name for record in records for name in keys.blobs_of(record)])


def _part_type_comment(headers: Headers) -> str | None:
    """What is wrong with a part's Content-Type; a part without one is taken for what the request says it is."""
    content_type = headers.get("Content-Type")
    if content_type is None:
        return None
    try:
        name = parse_media_type(content_type).name
    except BadRequest as error:
        return str(error)
    return None if name in _PART_TYPES else "The part's Content-Type is not application/dicom."


def _exists_comment(record: InstanceRecord, existing: InstanceRecord) -> str:
    if record.sha256 == existing.sha256:
        return "The instance is stored already, with identical content."
    return "An instance of this UID is stored already, with different content."


def _new_instance(
    identifiers: InstanceIdentifiers, instance: DicomInstance, upload: InstanceUpload
) -> tuple[NewInstance, bytes, bytes]:
    """What to enter of an instance, with its metadata and frame table in storage form. Takes a while."""
    # OHIF and cornerstone3D learn the stored syntax from the metadata (PS3.18 10.4.1.1.2 leaves it to the server).
    syntax = {TAG["AvailableTransferSyntaxUID"]: {"vr": "UI", "Value": [instance.transfer_syntax_uid]}}
    compressor = zlib.compressobj()
    texts = json_texts(dict(sorted({**instance.metadata, **syntax}.items())))
    metadata = b"".join([*map(compressor.compress, texts), compressor.flush()])
    frames = instance.frames.to_bytes() if instance.frames else b""
    record = InstanceRecord(
        identifiers,
        upload.version,
        instance.sop_class_uid,
        instance.transfer_syntax_uid,
        upload.size_bytes,
        instance.header_bytes,
        upload.sha256,
        datetime.now(UTC),
        metadata if len(metadata) <= MAX_ROW_VALUE_BYTES else None,
        frames if len(frames) <= MAX_ROW_VALUE_BYTES else None,
    )
    return NewInstance(record, *split_by_level(instance.metadata)), metadata, frames
