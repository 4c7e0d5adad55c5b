"""The Store transaction (PS3.18 10.5, STOW-RS): from the parts as they arrive to instances that are durable and found.

A part's bytes go to storage while the rest of it arrives, and several parts are under way at once. Nothing is visible
before the catalog's batch makes it so; a request that fails removes what it has not committed.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from shared.archive.extended_tags import TagSet
from shared.archive.instance import InstanceFacts, NewInstance
from shared.archive.study import with_instances
from shared.archive.study_terms import terms_of
from shared.dicom.dicom_file import DicomFileError, DicomFileLimits, DicomInstance
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers, StudyKey
from shared.dicom.validation import Findings, Rules
from shared.errors import BadRequest, Unavailable, UnsupportedMediaType
from shared.failures import described
from shared.multipart import Event, Headers, PartBegin, PartData, PartEnd
from shared.services.answer_work import AnswerWork
from shared.services.turns import Turns
from shared.services.write.back_pressure import BackPressure
from shared.services.write.commit import StudyCommits
from shared.services.write.contention import StudyContended
from shared.services.write.duplicates import comment_on, compared
from shared.services.write.head_start import HeadStart
from shared.services.write.intent import Intent
from shared.services.write.ready_instance import ReadyInstance, ready_instance
from shared.services.write.upload import InstanceUpload
from shared.settings import Settings
from shared.storage import blob_names
from shared.storage.archive import Archive
from shared.storage.catalog_batches import fills_batch
from shared.storage.parallel import in_parallel
from shared.web.api_versions import ApiVersion
from shared.web.failure_reasons import Duplicate, FailureReason
from shared.web.media_types import parse_media_type
from shared.web.store_response import Failed, Outcome, Stored

# Scripts send the second for files that are DICOM all the same.
_PART_TYPES: Final = ("application/dicom", "application/octet-stream")

_MAX_ELEMENTS_AT_ONCE: Final = 100_000  # of a file, 90 MiB: a report of 8,000 content items within one has as many
_OTHER_TYPE: Final = "The part's Content-Type is not application/dicom."

_logger = logging.getLogger(__name__)


class StoreService:
    """Stores instances. One for each process: it bounds what all requests together have under way."""

    def __init__(self, archive: Archive, settings: Settings) -> None:
        self.archive = archive
        self.limits = DicomFileLimits(
            max_header_bytes=settings.max_header_bytes,
            max_inflated_bytes=settings.max_inflated_bytes,
            max_elements_at_once=_MAX_ELEMENTS_AT_ONCE,
        )
        self.takes_no_patient_id = settings.store_without_patient_id
        self.max_request_seconds = settings.max_request_seconds
        self.pressure = BackPressure()
        self.commits = StudyCommits(archive, self.pressure)

    async def store(
        self,
        events: AsyncIterator[Event],
        work: AnswerWork,
        *,
        partition: str,
        study_instance_uid: str | None,
        api_version: ApiVersion,
    ) -> list[Outcome]:
        """Store a request's instances, given as the events of its parts, in a data partition.

        The outcomes are in the parts' order.

        `study_instance_uid` is the study that the request names, if any. Raises what `events` raises, when instances
        that are not committed are removed, and UnsupportedMediaType where no part is an instance by its Content-Type.
        """
        request = _StoreRequest(self, work, partition, study_instance_uid, api_version)
        try:
            # Maintenance relies on no request being at work for longer.
            async with asyncio.timeout(self.max_request_seconds):
                turns = Turns()
                async for event in events:  # a chunk may hold thousands
                    await request.receive(event)
                    await turns.next()
                return await request.complete()
        except TimeoutError:
            await request.abandon()
            raise Unavailable(f"The request took longer than {self.max_request_seconds} seconds.") from None
        except BaseException:
            await request.abandon()
            raise


class _StoreRequest:
    """A request: its parts under way, its intents, what waits for a commit, and the outcome of each part."""

    def __init__(
        self,
        service: StoreService,
        work: AnswerWork,
        partition: str,
        study_instance_uid: str | None,
        api_version: ApiVersion,
    ) -> None:
        self._service = service
        self._work = work
        self._archive = service.archive
        self._pressure = service.pressure
        self._partition = partition
        self._study_instance_uid = study_instance_uid
        self._rules = Rules(is_strict=api_version == "v1", takes_no_patient_id=service.takes_no_patient_id)
        self._request_id = secrets.token_hex(16)
        self._upload: InstanceUpload | None = None
        self._headers = Headers()
        self._tasks = set[asyncio.Task[None]]()
        self._intents: dict[StudyKey, Intent] = {}
        self._head_starts: dict[StudyKey, HeadStart] = {}
        self._unfinished: Counter[StudyKey] = Counter()
        self._seen: set[InstanceIdentifiers] = set()
        self._uncommitted: dict[str, InstanceFacts] = {}
        self._pending: dict[StudyKey, list[NewInstance]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._other_types = 0  # parts that are none of _PART_TYPES

    async def receive(self, event: Event) -> None:
        match event:
            case PartBegin(headers=headers):
                blob_version = f"{self._request_id}{len(self._outcomes):06x}"
                self._outcomes[blob_version] = Failed(
                    FailureReason.PROCESSING_FAILURE, ("The part was not processed.",)
                )
                self._headers = headers
                self._upload = InstanceUpload(
                    self._archive.blobs, self._pressure, self._service.limits, self._partition, blob_version
                )
            case PartData(data=data) if self._upload is not None:
                await self._upload.receive(data)
            case PartEnd() if self._upload is not None:
                taken = await self._pressure.received.take(self._upload.held_bytes)
                upload, self._upload = self._upload, None
                finishing = asyncio.create_task(self._finish(upload, self._headers))
                finishing.add_done_callback(lambda _: self._pressure.received.give_back(taken))
                self._tasks.add(finishing)
                done = {task for task in self._tasks if task.done()}
                self._tasks -= done
                while done:
                    done.pop().result()

    async def complete(self) -> list[Outcome]:
        """Wait for the parts under way and commit what is pending; return the outcome of each part, in their order.

        Raises UnsupportedMediaType where no part is an instance by its Content-Type.
        """
        await asyncio.gather(*self._tasks)
        async with self._work.at_work():
            await in_parallel(map(self._commit, list(self._pending)))
            await self._finish_intents()
        if self._outcomes and self._other_types == len(self._outcomes):
            raise UnsupportedMediaType(_OTHER_TYPE)
        return list(self._outcomes.values())

    async def abandon(self) -> None:
        """Remove what is not committed. Where even that fails, the entry stays open and maintenance removes it."""
        self._forget_head_starts()  # also where this is cancelled
        if self._upload is not None:
            await self._upload.abandon()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()  # their errors would keep this request, and be kept by it
        await self._remove_blobs(list(self._uncommitted.values()))
        try:
            await self._finish_intents()
        except Exception as error:  # noqa: BLE001 -- it is logged, without its message
            _logger.error("Store %s is left to maintenance, its entry stays: %s", self._request_id, described(error))

    async def _finish_intents(self) -> None:
        """Note in the journal that nothing is left to be done, or, where something may be, what can be drained."""
        self._forget_head_starts()
        # A batch that may still be carried out may need the postings of the others.
        await in_parallel(self._take_back(study) for study in list(self._head_starts) if not self._unfinished[study])
        await in_parallel(
            intent.go_on() if self._unfinished[study] else intent.finish() for study, intent in self._intents.items()
        )

    def _forget_head_starts(self) -> None:
        for head_start in self._head_starts.values():
            self._service.commits.forget(head_start)

    async def _take_back(self, study_key: StudyKey) -> None:
        if not await self._head_starts.pop(study_key).take_back():
            self._unfinished[study_key] += 1

    async def _finish(self, upload: InstanceUpload, headers: Headers) -> None:
        async with self._work.at_work():
            failed = await self._make_ready(upload, headers)
        if failed is not None:
            self._outcomes[upload.blob_version] = failed

    async def _make_ready(self, upload: InstanceUpload, headers: Headers) -> Failed | None:
        """Write a complete part's blobs and queue it for a commit, which is made once there is enough for one."""
        if (comment := _part_type_comment(headers)) is not None:
            self._other_types += comment is _OTHER_TYPE
            await upload.abandon()
            return Failed(FailureReason.PROCESSING_FAILURE, (comment,))
        try:
            instance, findings = await upload.finish(self._rules)
        except DicomFileError as error:
            return Failed(FailureReason.PROCESSING_FAILURE, (str(error),))
        examined = self._examine(instance, findings)
        if isinstance(examined, Failed):
            await upload.abandon()
            return examined
        self._outcomes[upload.blob_version] = examined
        ready = await self._indexed(examined.identifiers, instance, upload)
        new, metadata, frames = ready.new, ready.metadata, ready.frames
        if self._rules.is_strict and ready.errors:
            await upload.abandon()
            comments = tuple(error.comment for error in ready.errors)
            return Failed(FailureReason.VALIDATION_FAILED, comments, instance.sop_class_uid, instance.sop_instance_uid)
        findings_of_tags = (*ready.errors, *ready.warnings)
        self._outcomes[upload.blob_version] = replace(examined, findings=(*examined.findings, *findings_of_tags))
        facts = new.facts
        self._uncommitted[facts.blob_version] = facts
        study_key = facts.identifiers.study
        head_start = self._head_starts.get(study_key)
        plan = head_start.plan(new) if head_start else None
        if head_start and plan:
            head_start.write(plan)
        await upload.publish(blob_names.instance_blob(facts.identifiers, facts.blob_version))
        if facts.has_metadata_blob:
            await self._archive.blobs.put(blob_names.metadata_blob(facts.identifiers, facts.blob_version), metadata)
        if facts.has_frames_blob:
            await self._archive.blobs.put(blob_names.frames_blob(facts.identifiers, facts.blob_version), frames)
        if head_start and plan:
            await head_start.finish()
        pending = self._pending.setdefault(study_key, [])
        pending.append(new)
        if fills_batch(pending):
            await self._commit(study_key)
        return None

    def _examine(self, instance: DicomInstance, findings: Findings) -> Stored | Failed:
        """Whether the instance may be stored; `Stored` is its outcome once it is."""

        def failed(reason: FailureReason, *comments: str) -> Failed:
            return Failed(reason, comments, instance.sop_class_uid, instance.sop_instance_uid)

        identifiers = instance.identifiers_in(self._partition)
        if findings.errors or identifiers is None:
            return failed(FailureReason.VALIDATION_FAILED, *(finding.comment for finding in findings.errors))
        if self._study_instance_uid not in (None, identifiers.study_instance_uid):
            return failed(FailureReason.STUDY_MISMATCH, "The instance belongs to another study than the request names.")
        if identifiers in self._seen:
            return failed(FailureReason.INSTANCE_EXISTS, "The request holds an instance of this UID twice.")
        self._seen.add(identifiers)
        return Stored(identifiers, instance.sop_class_uid, findings.warnings, instance.assumptions)

    async def _indexed(
        self, identifiers: InstanceIdentifiers, instance: DicomInstance, upload: InstanceUpload
    ) -> ReadyInstance:
        """What to enter for an instance, indexed by the tags that the request's entry for its study stands for."""
        study_key = identifiers.study
        intent = self._intents.get(study_key)
        tags = intent.tags if intent else await self._archive.tags.recent()
        head_start = self._head_start(study_key)
        while True:
            ready = await asyncio.to_thread(ready_instance, identifiers, instance, upload, tags.indexed)
            if head_start is not None:
                await head_start.read()
            going_by = await self._declare(ready.new, tags)
            if going_by.generation == tags.generation:
                return ready
            tags = going_by

    def _head_start(self, study_key: StudyKey) -> HeadStart | None:
        """The request's head start on a study, which begins with the first instance."""
        if study_key not in self._intents and study_key not in self._head_starts:
            made = self._service.commits.head_start(study_key)
            if made is not None:
                self._head_starts[study_key] = made
        return self._head_starts.get(study_key)

    async def _declare(self, new: NewInstance, tags: TagSet) -> TagSet:
        """Return once the journal says that the request stores into this study: the tags by which it indexes there."""
        study_key = new.facts.identifiers.study
        intent = self._intents.get(study_key)
        if intent is None:
            resource = ResourceIdentifiers(study_key)
            intent = Intent.new(self._archive, self._request_id, "store", resource, tags=tags)
            self._intents[study_key] = intent
            head_start = self._head_starts.get(study_key)
            if head_start is not None and head_start.is_read:
                await head_start.declare(new, intent)
            else:
                # The terms of a study of this instance alone; the commit declares those that others add.
                await intent.declare(terms_of(with_instances(None, [new], intent.started)))
        await intent.declare()
        return intent.tags

    async def _commit(self, study_key: StudyKey) -> None:
        """Enter what is pending for a study, and settle the outcomes of instances that could not be entered."""
        instances = self._pending.pop(study_key)
        head_start = self._head_starts.get(study_key)
        if head_start and head_start.created is None:  # it began after these instances, and has no plan yet
            head_start = None
        if head_start:
            await head_start.finish()
        ours = {instance.facts.blob_version: instance.facts for instance in instances}
        # Without an answer, the commit may have succeeded, and may have left postings: maintenance will see.
        self._unfinished[study_key] += 1
        for blob_version in ours:
            del self._uncommitted[blob_version]
        if head_start and any(map(head_start.plan, instances)):
            del self._head_starts[study_key]
        try:
            existing = await self._service.commits.commit(instances, self._intents[study_key], head_start)
        except StudyContended as error:
            for facts in ours.values():
                self._fail(facts, FailureReason.PROCESSING_FAILURE, str(error))
            return
        for blob_version, there in existing.items():
            duplicate = compared(ours[blob_version], there)
            self._fail(ours[blob_version], FailureReason.INSTANCE_EXISTS, comment_on(duplicate), duplicate)
        await self._remove_blobs([ours[blob_version] for blob_version in existing])
        self._unfinished[study_key] -= 1  # not before: where this request is cancelled here, maintenance removes them

    def _fail(
        self, facts: InstanceFacts, reason: FailureReason, comment: str, duplicate: Duplicate | None = None
    ) -> None:
        self._outcomes[facts.blob_version] = Failed(
            reason, (comment,), facts.sop_class_uid, facts.identifiers.sop_instance_uid, duplicate
        )

    async def _remove_blobs(self, instances: Sequence[InstanceFacts]) -> None:
        """Remove blobs that no row names; where that fails, maintenance does it."""
        try:
            await self._archive.blobs.delete([name for facts in instances for name in blob_names.blobs_of(facts)])
        except Exception as error:  # noqa: BLE001 -- it is logged, without its message
            self._unfinished.update(facts.identifiers.study for facts in instances)
            _logger.error("Store %s leaves blobs to maintenance: %s", self._request_id, described(error))


def _part_type_comment(headers: Headers) -> str | None:
    """What is wrong with a part's Content-Type, if anything; a part without one is what the request says it is."""
    content_type = headers.get("Content-Type")
    if content_type is None:
        return None
    try:
        name = parse_media_type(content_type).name
    except BadRequest as error:
        return str(error)
    return None if name in _PART_TYPES else _OTHER_TYPE
