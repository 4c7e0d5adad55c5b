import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicom.identifiers import DEFAULT_PARTITION, StudyKey
from shared.storage import keys
from tests.support.default_partition import PARTITIONS

FORBIDDEN = set(":/\\#?") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}


@pytest.mark.property
@given(st.text())
def test_escaping_is_reversible_and_leaves_nothing_forbidden(text: str) -> None:
    escaped = keys.escape(text)
    assert not FORBIDDEN & set(escaped)
    assert "%" not in set(escaped) - set(text)
    assert keys.unescape(escaped) == text


@pytest.mark.property
@given(st.text(), st.text())
def test_an_escaped_prefix_is_a_prefix_of_the_escaped_text(prefix: str, rest: str) -> None:
    assert keys.escape(prefix + rest).startswith(keys.escape(prefix))


def test_instance_rows_of_a_series_exclude_series_whose_uid_begins_alike() -> None:
    first, end = keys.instance_rows("1.2")
    inside = keys.instance_row("1.2", "5")
    assert first <= inside < end
    for other in ("1.20", "1.2.3", "1.1", "1"):
        assert not first <= keys.instance_row(other, "5") < end
    assert keys.uids_of_instance_row(inside) == ("1.2", "5")


def test_summary_rows_are_the_series_and_the_study_but_no_instance() -> None:
    first, end = keys.summary_rows()
    assert first <= keys.series_row("1") < keys.STUDY_ROW < end
    assert not first <= keys.instance_row("9", "9") < end
    assert keys.series_of_row(keys.series_row("1.2")) == "1.2"


def test_journal_shards_spread_requests() -> None:
    assert len({keys.journal_shard(f"{number:08x}{'0' * 24}") for number in range(64)}) == 16


def test_the_default_partition_adds_nothing_to_a_key() -> None:
    assert keys.study_partition(StudyKey(DEFAULT_PARTITION, "1.2.3")) == "1.2.3"
    assert keys.study_partition(StudyKey("hospital-1", "1.2.3")) == "hospital-1:1.2.3"


@pytest.mark.property
@given(PARTITIONS, st.text())
def test_the_study_of_a_table_partition_is_read_back(partition: str, study: str) -> None:
    key = StudyKey(partition, study)
    assert keys.study_of_partition(keys.study_partition(key)) == key


@pytest.mark.property
@given(st.tuples(PARTITIONS, st.text()), st.tuples(PARTITIONS, st.text()))
def test_two_studies_never_share_a_table_partition(one: tuple[str, str], other: tuple[str, str]) -> None:
    first, second = (keys.study_partition(StudyKey(*of)) for of in (one, other))
    assert (first == second) == (one == other)


def test_entries_for_one_study_in_two_partitions_are_two_rows() -> None:
    paths = [StudyKey(partition, "1.2").path for partition in (DEFAULT_PARTITION, "hospital-1")]
    rows = [keys.journal_row("0" * 32, path) for path in paths]
    assert rows == [f"{'0' * 32}:studies!002f1.2", f"{'0' * 32}:partitions!002fhospital-1!002fstudies!002f1.2"]
    assert [keys.entry_of_journal_row(row)[1] for row in rows] == paths
