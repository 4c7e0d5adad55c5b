"""Instances that a test knows in full, and checks that the archive has one wholly or not at all."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from azure.storage.blob.aio import ContainerClient

from shared.archive.terms import Term
from shared.dicom.attributes import Level
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, ResourceIdentifiers
from shared.errors import NotFound
from shared.search.query import parse_search
from shared.services.retrieve.instances import as_stored
from shared.services.retrieve.stored_instances import find_instance
from shared.services.search.results import SearchResults
from shared.services.search.search import search
from shared.settings import Settings
from shared.storage import blob_names
from shared.storage.archive import Archive
from tests.support.answers import answer_work
from tests.support.default_partition import identifiers_of, resource_of
from tests.support.served_instances import dataset, long_content, new_uid, numbered_uids, part10


@dataclass(frozen=True)
class KnownInstance:
    """An instance and the bytes of its file. All of a study have one Patient ID, which no other study has."""

    identifiers: InstanceIdentifiers
    patient_id: str
    file: bytes

    @property
    def resource(self) -> ResourceIdentifiers:
        uids = self.identifiers
        return resource_of(uids.study_instance_uid, uids.series_instance_uid, uids.sop_instance_uid)


def known_instance(study: str, series: str, instance: str, **attributes: object) -> KnownInstance:
    uids = identifiers_of(study, series, instance)
    image = dataset(
        StudyInstanceUID=study,
        SeriesInstanceUID=series,
        SOPInstanceUID=uids.sop_instance_uid,
        PatientID=study[-16:],
        **attributes,
    )
    return KnownInstance(uids, study[-16:], part10(image))


def known_instances(study: str, series: str, count: int, **attributes: object) -> list[KnownInstance]:
    """Instances numbered one after another, so that one batch enters them into the index."""
    return [known_instance(study, series, uid, **attributes) for uid in numbered_uids(count)]


def large_instance(study: str, block_bytes: int) -> KnownInstance:
    """An instance of two blocks, whose metadata does not fit a row."""
    random = Random(1)
    content = long_content(400_000)
    return known_instance(
        study, new_uid(), new_uid(), ContentSequence=content, PixelData=random.randbytes(block_bytes + 2)
    )


async def retrieved(archive: Archive, identifiers: InstanceIdentifiers) -> bytes:
    """The file as a client retrieves it; raises NotFound."""
    content = await as_stored(archive, await find_instance(archive, identifiers), answer_work())
    return b"".join([chunk async for chunk in content.all()])


async def found(archive: Archive, settings: Settings, level: Level, query: str) -> list[Any]:
    """The UIDs that a search at a level finds."""
    results = await search(
        archive,
        DEFAULT_PARTITION,
        parse_search(query, level, settings),
        None,
        "http://host/v2",
        settings,
        answer_work(),
    )
    return [result.path.rpartition("/")[2] for result in results.results]


async def studies_posted(archive: Archive, term: Term) -> list[str]:
    """The UIDs of the studies that the index lists under a term."""
    return [posting.study.study_instance_uid async for posting in archive.postings.read_term(DEFAULT_PARTITION, term)]


def data_sets(found: SearchResults) -> list[dict[str, Any]]:
    """The data sets of results that are short."""
    assert found.text is not None
    data_sets: list[dict[str, Any]] = json.loads(found.text)
    return data_sets


async def is_there(archive: Archive, settings: Settings, instance: KnownInstance) -> bool:
    """Whether the archive has an instance: row, bytes and searches agree on it."""
    uids = instance.identifiers
    hits = await found(archive, settings, Level.INSTANCE, f"SOPInstanceUID={uids.sop_instance_uid}")
    try:
        file = await retrieved(archive, uids)
    except NotFound:
        assert hits == []
        return False
    assert file == instance.file
    assert hits == [uids.sop_instance_uid]
    studies = await found(archive, settings, Level.STUDY, f"PatientID={instance.patient_id}")
    assert studies == [uids.study_instance_uid]
    return True


async def is_wholly_there(
    archive: Archive, settings: Settings, container: ContainerClient, instance: KnownInstance
) -> bool:
    """The same, once nothing is left to be cleaned up: then row and blobs also agree."""
    row = await archive.catalog.read_instance(instance.identifiers)
    prefix = blob_names.blob_prefix(instance.resource)
    blobs = {name async for name in container.list_blob_names(name_starts_with=prefix)}
    assert blobs == set(blob_names.blobs_of(row) if row else ())
    there = await is_there(archive, settings, instance)
    assert there == (row is not None)
    return there
