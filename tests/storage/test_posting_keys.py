from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.archive.study_terms import instance_of
from shared.archive.terms import Span, Term
from shared.dicom.attributes import SEARCHABLE
from shared.dicom.identifiers import DEFAULT_PARTITION, StudyKey
from shared.storage.posting_keys import in_index, key_of, posting_of, rows_of, rows_of_list, rows_of_span, term_of
from tests.support.default_partition import PARTITIONS, study_key

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = f"{10**17 - 1 - 1_767_225_600_000_000:017d}"
LONGEST_UID = "1" * 64
KEYWORDS = st.sampled_from([key.keyword for key in SEARCHABLE])
CHARACTERS = st.characters(exclude_categories=[])
VALUES = st.text(CHARACTERS, max_size=300) | st.text(st.sampled_from("/ a^"), max_size=300)


@pytest.mark.property
@given(VALUES, KEYWORDS)
def test_the_rows_of_a_term_fit_a_batch_and_have_valid_keys(value: str, keyword: str) -> None:
    partition_key, row_keys = rows_of(CREATED, study_key(LONGEST_UID), Term(keyword, value))
    assert len(row_keys) == len(set(row_keys)) <= 100
    assert row_keys[0] == key_of(CREATED, study_key(LONGEST_UID), Term(keyword, value))[1]
    for key in (partition_key, *row_keys):
        assert len(key.encode("utf-16-le")) <= 1024
        assert not set("/\\#?") & set(key)


@pytest.mark.property
@given(VALUES, KEYWORDS)
def test_a_posting_tells_its_term(value: str, keyword: str) -> None:
    term = Term(keyword, value)
    partition_key, row_keys = rows_of(CREATED, study_key("1.2"), term)
    for row_key in row_keys:
        posting = posting_of(partition_key, row_key)
        assert (posting.study.study_instance_uid, posting.series_instance_uid, posting.created) == ("1.2", "", CREATED)
        assert posting.value in (None, value)
    found = term_of(posting_of(partition_key, row_keys[0]))
    assert found is not None
    assert in_index([found]) == in_index([term])
    assert len(value) > 64 or found == term
    assert [term_of(posting_of(partition_key, row_key)) for row_key in row_keys[1:]] == [None] * (len(row_keys) - 1)


@pytest.mark.property
@given(VALUES, st.sampled_from(["~LO1", "~PN12", "~DT3", "~IS4", "~AS5"]), st.booleans(), st.booleans())
def test_a_posting_of_a_tag_tells_its_term(value: str, name: str, is_single: bool, is_named: bool) -> None:
    term = Term(name, value, *((LONGEST_UID, "2" * 64) if is_single else ()))
    study = StudyKey("tenant" if is_named else DEFAULT_PARTITION, "3" * 64)
    partition_key, row_keys = rows_of(CREATED, study, term)
    assert len(row_keys) == len(set(row_keys)) <= 100
    for row_key in row_keys:
        assert len(row_key.encode("utf-16-le")) <= 1024
        posting = posting_of(partition_key, row_key)
        assert (posting.study, posting.created, posting.keyword) == (study, CREATED, name)
        assert (posting.series_instance_uid, posting.sop_instance_uid) == (
            term.series_instance_uid,
            term.sop_instance_uid,
        )
        assert posting.value in (None, value)
    found = term_of(posting_of(partition_key, row_keys[0]))
    assert found is not None
    assert in_index([found]) == in_index([term])
    assert instance_of(study, found) == instance_of(study, term)


@pytest.mark.property
@given(VALUES, VALUES, KEYWORDS)
def test_different_terms_have_different_postings(one: str, other: str, keyword: str) -> None:
    assert (in_index([Term(keyword, one)]) == in_index([Term(keyword, other)])) == (one == other)


@pytest.mark.property
@given(VALUES, VALUES)
@example("\U0010ffff", "")
def test_a_span_includes_all_values_that_begin_with_its_last(beginning: str, rest: str) -> None:
    partition_key, first, end = rows_of_span(DEFAULT_PARTITION, "PatientID", Span(beginning, beginning))
    found = key_of(CREATED, study_key("1.2"), Term("PatientID", beginning + rest))
    assert partition_key == found[0]
    assert first.encode("utf-16-be") <= found[1].encode("utf-16-be") < end.encode("utf-16-be")


def test_a_list_holds_its_rows_and_no_others() -> None:
    partition_key, first, end = rows_of_list(DEFAULT_PARTITION, "PatientID", "^ab")
    for value, is_inside in (("ab", True), ("abc", True), ("a", False), ("ac", False)):
        rows = rows_of(CREATED, study_key("1.2"), Term("PatientID", value))
        assert rows[0] == partition_key
        assert any(first <= row < end for row in rows[1]) is is_inside
    partition_key, first, end = rows_of_list(DEFAULT_PARTITION, "SOPInstanceUID", "=1.2")
    assert (partition_key, True) == (
        key_of(CREATED, study_key("1"), Term("SOPInstanceUID", "1.2", "3"))[0],
        first <= key_of(CREATED, study_key("1"), Term("SOPInstanceUID", "1.2", "3"))[1] < end,
    )


@pytest.mark.parametrize(
    ("uid", "partition", "number"),
    [
        ("1.2.3.7", "1.2.3.", "7"),
        ("1.2.3.42", "1.2.3.", "42"),
        ("1.2.3.999", "1.2.3.", "999"),
        ("1.2.3.1000", "1.2.3.1", "000"),
        ("2.25.340282366920938463463374607431768211455", "2.25.340282366920938463463374607431768211", "455"),
    ],
)
def test_uids_that_differ_in_their_last_digits_share_a_partition(uid: str, partition: str, number: str) -> None:
    term = Term("SOPInstanceUID", uid, "1.2.3")
    assert key_of(CREATED, study_key("1"), term) == (f"SOPInstanceUID={partition}", f"{number}:{ORDER}:1:1.2.3")
    assert term_of(posting_of(*key_of(CREATED, study_key("1"), term))) == term
    assert key_of(CREATED, study_key("1"), Term("SOPClassUID", uid)) == (f"SOPClassUID={uid}", f"{ORDER}:1")


@pytest.mark.property
@given(st.integers(0, 1200), st.integers(0, 1200), st.sampled_from(["1.2.", "1.2.9", "1.2.99"]))
def test_the_list_of_a_uid_excludes_others_in_its_partition(one: int, other: int, beginning: str) -> None:
    partition_key, first, end = rows_of_list(DEFAULT_PARTITION, "SOPInstanceUID", f"={beginning}{one}")
    found = key_of(CREATED, study_key("1"), Term("SOPInstanceUID", f"1.2.{other}", "1.2"))
    is_in_list = found[0] == partition_key and first <= found[1] < end
    assert is_in_list == (f"{beginning}{one}" == f"1.2.{other}")


@pytest.mark.property
@given(st.datetimes(datetime(1970, 1, 1), datetime(2500, 1, 1)), st.integers(1, 10**12))
def test_later_studies_come_first_among_postings(created: datetime, later_microseconds: int) -> None:
    first = created.replace(tzinfo=UTC)
    second = first + timedelta(microseconds=later_microseconds)
    of_study, of_instance = Term("PatientID", "1"), Term("SOPInstanceUID", "1.1.1.1", "1.1.1")
    assert key_of(second, study_key("9.9"), of_study) < key_of(first, study_key("1.1"), of_study)
    posting = posting_of(*key_of(first, study_key("1.1"), of_instance))
    assert (posting.study.study_instance_uid, posting.series_instance_uid, posting.created) == ("1.1", "1.1.1", first)
    assert posting.order > posting_of(*key_of(second, study_key("9.9"), of_study)).order


@pytest.mark.property
@given(PARTITIONS, VALUES, KEYWORDS)
def test_a_posting_tells_its_study_and_term_in_any_partition(partition: str, value: str, keyword: str) -> None:
    study, term = StudyKey(partition, "1.2"), Term(keyword, value)
    partition_key, row_keys = rows_of(CREATED, study, term)
    assert len(partition_key.encode("utf-16-le")) <= 1024
    postings = [posting_of(partition_key, row_key) for row_key in row_keys]
    assert {(posting.study, posting.keyword) for posting in postings} == {(study, keyword)}
    found = term_of(postings[0])
    assert found is not None
    assert in_index([found]) == in_index([term])


@pytest.mark.property
@given(PARTITIONS, PARTITIONS, VALUES, VALUES, KEYWORDS, KEYWORDS)
def test_two_partitions_never_share_a_table_partition(
    one: str, other: str, value: str, other_value: str, keyword: str, other_keyword: str
) -> None:
    first, _ = rows_of(CREATED, StudyKey(one, "1.2"), Term(keyword, value))
    second, _ = rows_of(CREATED, StudyKey(other, "1.2"), Term(other_keyword, other_value))
    assert one == other or first != second


def test_lists_and_spans_of_a_partition_are_its_own() -> None:
    for keyword, listed in (("PatientID", "=1"), ("PatientID", "^1"), ("SOPInstanceUID", "=1.2"), ("Modality", "=ct")):
        default, *rows = rows_of_list(DEFAULT_PARTITION, keyword, listed)
        assert rows_of_list("hospital-1", keyword, listed) == (f"hospital-1:{default}", *rows)
    default, *rows = rows_of_span(DEFAULT_PARTITION, "StudyDate", Span("2026", "2027"))
    assert rows_of_span("hospital-1", "StudyDate", Span("2026", "2027")) == (f"hospital-1:{default}", *rows)
