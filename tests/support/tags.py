"""Extended query tags as requests add and remove them, and what the archive has of them against what it should have."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pydicom.datadict import tag_for_keyword

from shared.archive.extended_tags import ExtendedTag, TagSet, TagStatus
from shared.archive.instance import DicomJson, InstanceFacts
from shared.archive.operation import Operation, OperationType, new_operation_id
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.tag_values import values_of_tags
from shared.archive.terms import is_of_tag
from shared.dicom.attributes import Level
from shared.dicom.identifiers import StudyKey
from shared.errors import NotFound
from shared.services.operations.engine import start
from shared.services.retrieve.stored_metadata import stored_metadata
from shared.storage.archive import Archive
from shared.storage.posting_keys import key_of
from tests.support.served_instances import dataset, numbered_uids, part10


def tag(keyword: str, vr: str, level: Level) -> ExtendedTag:
    """A tag to be added, which is ready at once where nothing is stored yet."""
    return ExtendedTag(0, (f"{tag_for_keyword(keyword):08X}",), vr, "", level, TagStatus.READY)


INSTITUTION: Final = tag("InstitutionName", "LO", Level.STUDY)
BODY_PART: Final = tag("BodyPartExamined", "CS", Level.SERIES)
ACQUISITION: Final = tag("AcquisitionNumber", "IS", Level.INSTANCE)
PROTOCOL: Final = tag("ProtocolName", "LO", Level.INSTANCE)
OF_EACH_LEVEL: Final = (INSTITUTION, BODY_PART, ACQUISITION)


def _now() -> datetime:
    return datetime.now(UTC)


def with_values(study: str, series: str, values: Sequence[object], **attributes: object) -> list[bytes]:
    """Instances of a series, in the order of their rows, with a value of each of OF_EACH_LEVEL for each of `values`."""
    return [
        part10(
            dataset(
                StudyInstanceUID=study,
                SeriesInstanceUID=series,
                SOPInstanceUID=uid,
                InstitutionName=f"Hospital {value}",
                BodyPartExamined=f"PART {value}",
                AcquisitionNumber=number,
                **attributes,
            )
        )
        for number, (uid, value) in enumerate(zip(sorted(numbered_uids(len(values))), values, strict=True))
    ]


async def put_tags(archive: Archive, *tags: ExtendedTag) -> TagSet:
    """Have tags that are ready in the place of all others: nothing may be stored that has values of these."""
    before = await archive.tags.read()
    return (await archive.tags.replace(before, replace(before.tags, tags=(), removed=()).with_added(tags))).tags


async def add_tags(
    archive: Archive, *tags: ExtendedTag, after_seconds: int = 0, now: Callable[[], datetime] = _now
) -> Operation:
    """Add tags, and start to index by them."""
    operation_id = new_operation_id(now())
    added = [replace(one, status=TagStatus.ADDING, operation_id=operation_id) for one in tags]
    after = await archive.tags.change(lambda before: before.with_added(added))
    numbers = [one.number for one in after.tags if one.operation_id == operation_id]
    return await start(
        archive,
        OperationType.REINDEX,
        {"generation": after.generation, "numbers": numbers},
        operation_id=operation_id,
        visible_after_seconds=after_seconds,
    )


async def remove_tag(
    archive: Archive, number: int, *, after_seconds: int = 0, now: Callable[[], datetime] = _now
) -> Operation:
    """Remove a tag, and start to clean up after it. Raises NotFound."""
    operation_id = new_operation_id(now())
    after = await archive.tags.change(lambda before: before.without(number, operation_id))
    removed = next((one for one in after.removed if one.operation_id == operation_id), None)
    if removed is None:
        raise NotFound("There is no such tag.")
    return await start(
        archive,
        OperationType.DATA_CLEANUP,
        {"generation": removed.generation, "name": removed.name, "number": number},
        operation_id=operation_id,
        visible_after_seconds=after_seconds,
    )


async def check_tags(archive: Archive, *, is_latest: bool = False) -> None:
    """Check that rows and index have of each tag what metadata have, of attributes that stand in no sequence.

    `is_latest`: nothing was deleted, so study and series have the values of the latest instances that have any.
    """
    tags = (await archive.tags.read()).tags
    expected: set[tuple[str, str]] = set()
    async for rows in archive.catalog.read_study_rows():
        study = await archive.catalog.read_study(rows.study) if rows.is_there else None
        if study is None:
            continue
        record = study.record
        instances = [one async for one in _instances(archive, rows.study)]
        for one in tags.indexed:
            if one.status is TagStatus.READY:
                _check_rows(one, record.attributes, {u: s.attributes for u, s in record.series.items()}, instances,
                            is_latest=is_latest)  # fmt: skip
        terms = terms_of(record).union(*(terms_of_instance(row.identifiers, row.tags) for row, _ in instances))
        expected |= {key_of(record.created, rows.study, term) for term in terms if is_of_tag(term.keyword)}
        of_rows = [
            record.attributes,
            *(s.attributes for s in record.series.values()),
            *(row.tags for row, _ in instances),
        ]
        assert {name for row in of_rows for name in values_of_tags(row)} <= tags.kept_names
    every_term = archive.postings.read_every_term(tags=tags.kept_names)
    actual = {posting.key async for term, posting in every_term if is_of_tag(term.keyword)}
    assert actual == expected, f"missing: {sorted(expected - actual)}, surplus: {sorted(actual - expected)}"


def _check_rows(
    one: ExtendedTag,
    study: DicomJson,
    series: Mapping[str, DicomJson],
    instances: Sequence[tuple[InstanceFacts, DicomJson]],
    *,
    is_latest: bool,
) -> None:
    """Check what the rows of a study have of a tag; `instances` are with their metadata."""
    values = [(row, metadata.get(one.path[0], {}).get("Value")) for row, metadata in instances]
    if one.level is Level.INSTANCE:
        for row, value in values:
            assert row.tags.get(one.name, {}).get("Value") == value, (row.identifiers, one)
        return
    above = {uid: series[uid] for uid in series} if one.level is Level.SERIES else {"": study}
    for uid, attributes in above.items():
        given = [(row.stored, value) for row, value in values
                 if value and uid in ("", row.identifiers.series_instance_uid)]  # fmt: skip
        has = attributes.get(one.name, {}).get("Value")
        assert not given or has, (uid, one)
        if is_latest:
            assert has == (max(given)[1] if given else None), (uid, one, given)


async def _instances(archive: Archive, study: StudyKey) -> AsyncIterator[tuple[InstanceFacts, DicomJson]]:
    async for row, record in archive.catalog.read_instances_and_metadata(study):
        text = await stored_metadata(archive, record, "")
        yield row, json.loads(b"".join(text.pieces()))
