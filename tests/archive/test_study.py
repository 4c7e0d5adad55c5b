from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.archive.instance import InstanceFacts, NewInstance
from shared.archive.study import StudyRecord, split_by_level, with_instances, without_instances
from shared.archive.study_terms import terms_of, terms_of_instance
from shared.archive.terms import EVERY_STUDY, Term
from shared.dicom.attributes import TAG
from tests.support.default_partition import identifiers_of

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)


def new_instance(
    series: str, instance: str, *, modality: str = "CT", patient: str = "ID1", **facts: str
) -> NewInstance:
    known = InstanceFacts(
        identifiers_of("1", series, instance),
        blob_version=f"v{instance}",
        sop_class_uid=facts.get("sop_class_uid", "1.2.840.1"),
        transfer_syntax_uid=facts.get("transfer_syntax_uid", "1.2.840.10008.1.2.1"),
        size_bytes=1,
        header_bytes=1,
        sha256="",
        stored=FIRST,
        has_metadata_blob=False,
        has_frames_blob=False,
    )
    study = {TAG["PatientID"]: {"vr": "LO", "Value": [patient]}, TAG["StudyInstanceUID"]: {"vr": "UI", "Value": ["1"]}}
    attributes = {
        TAG["Modality"]: {"vr": "CS", "Value": [modality]},
        TAG["SeriesInstanceUID"]: {"vr": "UI", "Value": [series]},
    }
    return NewInstance(known, b"", b"", study, attributes)


def stored(*instances: NewInstance) -> StudyRecord:
    return with_instances(None, instances, FIRST)


def test_storing_counts_instances_by_series_and_keeps_the_time_of_the_first_store() -> None:
    study = stored(new_instance("2", "1"), new_instance("2", "2"))
    study = with_instances(study, [new_instance("3", "3", modality="MR", sop_class_uid="9.9")], LATER)
    assert study.created == FIRST
    assert study.instance_count == 3
    assert {uid: series.instance_count for uid, series in study.series.items()} == {"2": 2, "3": 1}
    assert study.modalities == ["CT", "MR"]
    assert study.sop_classes == ["1.2.840.1", "9.9"]


def test_the_latest_store_wins() -> None:
    study = stored(new_instance("2", "1", patient="old"), new_instance("2", "2", patient="new"))
    assert study.attributes[TAG["PatientID"]]["Value"] == ["new"]


def test_a_series_and_a_study_go_with_their_last_instance() -> None:
    instances = [new_instance("2", "1"), new_instance("2", "2"), new_instance("3", "3", modality="MR")]
    study = without_instances(stored(*instances), [instances[0].facts, instances[2].facts])
    assert study is not None
    assert {uid: series.instance_count for uid, series in study.series.items()} == {"2": 1}
    assert study.modalities == ["CT"]
    assert without_instances(study, [instances[1].facts]) is None


def test_what_is_not_there_cannot_be_removed_and_nothing_makes_no_study() -> None:
    study = stored(new_instance("2", "1"))
    with pytest.raises(KeyError):
        without_instances(study, [new_instance("3", "1").facts])
    with pytest.raises(ValueError, match="begins with an instance"):
        stored()
    assert with_instances(study, [], LATER) == study


def test_removing_what_was_added_restores_the_record() -> None:
    before = stored(new_instance("2", "1"))
    added = [new_instance("3", "2", modality="MR"), new_instance("2", "3", transfer_syntax_uid="1.2.840.10008.1.2.5")]
    after = without_instances(with_instances(before, added, LATER), [instance.facts for instance in added])
    assert after is not None
    assert after.series == before.series


def test_terms_cover_every_level_except_single_instances() -> None:
    study = stored(new_instance("2", "1"), new_instance("3", "2", modality="MR"))
    assert terms_of(study) == {
        EVERY_STUDY,
        Term("PatientID", "id1"),
        Term("SeriesInstanceUID", "2"),
        Term("SeriesInstanceUID", "3"),
        Term("Modality", "ct"),
        Term("Modality", "mr"),
        Term("SOPClassUID", "1.2.840.1"),
    }
    assert terms_of_instance(identifiers_of("1", "2", "3")) == {Term("SOPInstanceUID", "3", "2")}


def test_terms_do_not_depend_on_what_was_posted() -> None:
    study = stored(new_instance("2", "1"))
    assert terms_of(replace(study, posted=frozenset({Term("PatientID", "gone")}))) == terms_of(study)


def test_attributes_go_to_the_level_they_belong_to() -> None:
    metadata: dict[str, Any] = {
        TAG["PatientName"]: {"vr": "PN", "Value": [{"Alphabetic": "A"}]},
        TAG["Modality"]: {"vr": "CS", "Value": ["CT"]},
        TAG["Rows"]: {"vr": "US", "Value": [1]},
        "00091001": {"vr": "LO", "Value": ["private"]},
    }
    study, series = split_by_level(metadata)
    assert set(study) == {TAG["PatientName"]}
    assert set(series) == {TAG["Modality"]}


@pytest.mark.parametrize("text", ["BulkDataURI", '"BulkDataURI":"bulkdata/1"', '\\"BulkDataURI\\":'])
@pytest.mark.parametrize(
    ("keyword", "attribute_of"),
    [
        ("PatientID", lambda text: {"vr": "LO", "Value": [text]}),
        ("PatientName", lambda text: {"vr": "PN", "Value": [{"Alphabetic": text}]}),
        ("OtherPatientIDsSequence", lambda text: {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": [text]}}]}),
    ],
)
def test_a_value_that_reads_like_a_bulk_reference_is_a_value(
    text: str, keyword: str, attribute_of: Callable[[str], dict[str, Any]]
) -> None:
    attribute = attribute_of(text)
    assert split_by_level({TAG[keyword]: attribute})[0] == {TAG[keyword]: attribute}


@pytest.mark.parametrize(
    "attribute",
    [
        {"vr": "SQ", "Value": [{"00091001": {"vr": "UN", "BulkDataURI": "bulkdata/00101002/1/00091001"}}]},
        {"vr": "SQ", "Value": [{"00100020": {"vr": "LO", "Value": ["x" * 5000]}}]},
    ],
)
def test_bulk_references_and_oversized_attributes_stay_with_the_instance(attribute: dict[str, Any]) -> None:
    assert split_by_level({TAG["OtherPatientIDsSequence"]: attribute}) == ({}, {})
