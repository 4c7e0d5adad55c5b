"""What a search by extended query tags makes of postings that are out of date, and of metadata too long to be held."""

import json
from datetime import timedelta
from typing import Any

from shared.archive.terms import Term
from shared.dicom.attributes import Level
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.search.query import parse_search
from shared.services.search.results import json_array
from shared.services.search.search import search
from tests.support.answers import answer_work
from tests.support.default_partition import study_key
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import dataset, long_content, new_uid, part10
from tests.support.stored_instances import studies_posted
from tests.support.stores import store
from tests.support.tag_sets import set_of, tag_of

DIAGNOSIS = tag_of("00081080", "LO", Level.STUDY, number=1)
PROCESSING = tag_of("00181400", "LO", Level.INSTANCE, number=2)
PRIVATE = tag_of("00091001", "LO", Level.INSTANCE, number=3, private_creator="ACME")
TAGS = set_of(DIAGNOSIS, PROCESSING, PRIVATE)


async def stored(raw: RawArchive, **attributes: Any) -> tuple[str, str, str]:
    """The UIDs of an instance that is indexed by the tags."""
    await raw.archive.tags.replace(await raw.archive.tags.read(), TAGS)
    image = dataset(AdmittingDiagnosesDescription="Headache", **attributes)
    image.AcquisitionDeviceProcessingDescription = "Sharp"
    image.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "ours")
    await store(raw.stores, part10(image))
    return image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID


async def found(raw: RawArchive, query: str, level: Level = Level.INSTANCE) -> list[dict[str, Any]]:
    parsed, work = parse_search(query, level, raw.settings, tags=TAGS), answer_work()
    results = await search(raw.archive, DEFAULT_PARTITION, parsed, None, "http://host/v2", raw.settings, work)
    text = b"".join([piece async for piece in json_array(raw.archive, results, parsed, "http://host/v2", work)])
    data_sets: list[dict[str, Any]] = json.loads(text)
    return data_sets


async def test_a_posting_of_a_value_that_a_study_lacks_is_removed(raw: RawArchive) -> None:
    study, *_ = await stored(raw)
    stale, needed = Term(DIAGNOSIS.name, "cough"), Term(DIAGNOSIS.name, "headache")
    await raw.posting(stale, study, await raw.created(study))
    assert await found(raw, "AdmittingDiagnosesDescription=cough", Level.STUDY) == []
    assert await studies_posted(raw.archive, stale) == []
    assert await found(raw, "AdmittingDiagnosesDescription=Headache&PatientID=nobody", Level.STUDY) == []
    assert await studies_posted(raw.archive, needed) == [study]
    assert await raw.differences() == []


async def test_a_posting_of_an_instance_is_removed_with_its_study_only(raw: RawArchive) -> None:
    """A study's row cannot say what its instances have: maintenance looks."""
    study, series, instance = await stored(raw)
    needed, other = Term(PROCESSING.name, "sharp", series, instance), Term(PROCESSING.name, "sharp", series, new_uid())
    created = await raw.created(study)
    await raw.posting(other, study, created)
    for query in ("Sharp&Modality=XX", "Sh*&00091001=theirs"):
        assert await found(raw, f"AcquisitionDeviceProcessingDescription={query}") == []
    assert len(await found(raw, "AcquisitionDeviceProcessingDescription=Sharp")) == 1
    assert await raw.archive.postings.existing(study_key(study), created, [needed, other]) == {needed, other}
    for uid, time in ((study, created - timedelta(days=1)), (new_uid(), created)):
        await raw.posting(needed, uid, time)
        assert len(await found(raw, "AcquisitionDeviceProcessingDescription=Sharp")) == 1
        assert await raw.archive.postings.existing(study_key(uid), time, [needed]) == set()
    assert await raw.archive.postings.existing(study_key(study), created, [needed]) == {needed}


async def test_an_instance_in_two_lists_and_of_two_values_is_found_once(raw: RawArchive) -> None:
    _, _, instance = await stored(raw)
    two = ["Shade", "Shadow"]
    image = dataset(AcquisitionDeviceProcessingDescription=two)
    await store(raw.stores, part10(image))
    results = await found(raw, "AcquisitionDeviceProcessingDescription=Sha*")
    assert [one["00080018"]["Value"][0] for one in results] == [image.SOPInstanceUID, instance]
    assert results[0]["00181400"]["Value"] == two


async def test_metadata_too_long_to_be_held_are_matched_and_answered(raw: RawArchive) -> None:
    _, _, instance = await stored(raw, ContentSequence=long_content(400_000))
    for query in ("AcquisitionDeviceProcessingDescription=sharp", "00091001=ours&AdmittingDiagnosesDescription=Head*"):
        (result,) = await found(raw, query)
        assert result["00080018"]["Value"] == [instance]
        assert not [name for name in result if name.startswith("~")]
    assert result["00091001"] == {"vr": "LO", "Value": ["ours"]}
    assert result["00081080"]["Value"] == ["Headache"]
    assert await found(raw, "00091001=theirs") == []
