from datetime import UTC, datetime, timedelta

import pytest

from shared.archive.terms import EVERY_STUDY, Span, Term
from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.posting_keys import Posting, in_index
from shared.storage.posting_lists import PostingLists
from tests.support.default_partition import study_key
from tests.support.instance_rows import new_uid
from tests.support.served_instances import numbered_uids
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


async def found(archive: Archive, term: Term) -> list[str]:
    return [posting.study.study_instance_uid async for posting in archive.postings.read_term(DEFAULT_PARTITION, term)]


async def studies(archive: Archive, keyword: str, *lists: str, page_rows: int = 2) -> list[str]:
    postings = archive.postings.lists(DEFAULT_PARTITION, keyword, lists, page_rows=page_rows)
    return [posting.study.study_instance_uid for posting in await left(postings)]


async def left(postings: PostingLists, place: str = "") -> list[Posting]:
    """All that are left from a place on."""
    found = []
    while (posting := await postings.first(place)) is not None:
        postings.take()
        found.append(posting)
    return found


async def test_postings_of_one_list_and_of_several_come_newest_first(archive: Archive) -> None:
    value, other = new_uid(), new_uid()
    for age in (2, 0, 4, 3, 1):
        terms = [Term("PatientID", value)] if age % 2 else [Term("PatientID", other), Term("PatientID", value)]
        for _ in range(2):
            await archive.postings.add(study_key(f"1.{age}"), CREATED - timedelta(days=age), terms)
    assert await found(archive, Term("PatientID", value)) == ["1.0", "1.1", "1.2", "1.3", "1.4"]
    assert await studies(archive, "PatientID", f"={value}", f"={other}") == [f"1.{n}" for n in (0, 0, 1, 2, 2, 3, 4, 4)]
    assert await studies(archive, "PatientID", f"={new_uid()}") == []


async def test_a_reader_of_lists_moves_on_without_reading_what_lies_between(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, other, counting = new_uid(), new_uid(), Counting()
    async with archive_through(counting, monkeypatch, settings) as archive:
        for age in range(20):
            terms = [Term("PatientID", value if age % 2 else other), Term("StudyID", f"{value}/{age % 3}")]
            await archive.postings.add(study_key(f"1.{age}"), CREATED - timedelta(seconds=age), terms)
        both = [f"={value}", f"={other}"]
        for keyword, lists in (("PatientID", both), ("StudyID", ["^"]), ("StudyID", [f"^{value[:16]}"])):
            everything = [
                one for one in await left(archive.postings.lists(DEFAULT_PARTITION, keyword, lists)) if is_of(one)
            ]
            assert [one.study.study_instance_uid for one in everything] == [f"1.{age}" for age in range(20)]
            for wanted in (everything[0], everything[11], everything[19]):
                postings = archive.postings.lists(DEFAULT_PARTITION, keyword, lists, page_rows=3)
                counting.operations.clear()
                assert await postings.first(wanted.age) == wanted
                assert counting.operations == {"GET terms": len(lists)}
                assert [one for one in await left(postings) if is_of(one)] == everything[everything.index(wanted) :]
        postings = archive.postings.lists(DEFAULT_PARTITION, "PatientID", both, page_rows=3)
        assert await postings.first() == everything[0] or postings.left
        counting.operations.clear()
        found = await postings.first(f"{int(everything[19].age) + 1:0>17}")
        assert (found, postings.passed, postings.has_all) == (None, 6, True)
        assert counting.operations == {"GET terms": 2}


def is_of(posting: Posting) -> bool:
    """Whether it is one of the studies above, not of another test's."""
    return timedelta(0) <= CREATED - posting.created < timedelta(seconds=20)


async def test_values_are_found_by_how_they_begin(archive: Archive) -> None:
    beginning = new_uid()[-3:]
    for number, value in enumerate(["7", "8/x", "8:x", "9"]):
        await archive.postings.add(study_key(f"1.{number}"), CREATED, [Term("StudyID", f"x{beginning}{value}")])
    assert await studies(archive, "StudyID", f"^x{beginning}") == ["1.0", "1.1", "1.2", "1.3"]
    postings = await left(archive.postings.lists(DEFAULT_PARTITION, "StudyID", [f"^x{beginning}"]))
    assert [posting.value for posting in postings] == [f"x{beginning}{value}" for value in ("7", "8/x", "8:x", "9")]
    assert {posting.created for posting in postings} == {CREATED}

    async def within(first: str, last: str, most: int = 5) -> list[str] | None:
        span = Span(f"x{beginning}{first}", f"x{beginning}{last}")
        found = await archive.postings.read_spans(DEFAULT_PARTITION, "StudyID", [span], most)
        return None if found is None else [posting.study.study_instance_uid for posting in found]

    assert await within("8", "8") == ["1.1", "1.2"]
    assert await within("8/", "9") == ["1.1", "1.2", "1.3"]
    assert await within("", "", most=4) == ["1.0", "1.1", "1.2", "1.3"]
    assert await within("", "", most=3) is None


async def test_names_are_found_by_how_their_words_begin(archive: Archive) -> None:
    study, word = new_uid(), f"q{new_uid()[-5:]}"
    await archive.postings.add(study_key(study), CREATED, [Term("PatientName", f"smith-{word}^john")])
    assert study in await studies(archive, "PatientName", f"^{word}")
    assert study in await studies(archive, "PatientName", "^smit")
    assert study in await studies(archive, "PatientName", "^joh")
    assert study not in await studies(archive, "PatientName", "^mith")
    await archive.postings.remove(study_key(study), CREATED, [Term("PatientName", f"smith-{word}^john")])
    assert study not in await studies(archive, "PatientName", "^")


async def test_long_values_that_begin_alike_are_distinguished(archive: Archive) -> None:
    one, other = (Term("PatientName", "/" * 40 + "long " * 100 + new_uid()) for _ in range(2))
    study, next_study = new_uid(), new_uid()
    await archive.postings.add(study_key(study), CREATED, [one])
    await archive.postings.add(study_key(next_study), CREATED, [other])
    assert (await found(archive, one), await found(archive, other)) == ([study], [next_study])
    read = {posting.study.study_instance_uid: term async for term, posting in archive.postings.read_every_term()}
    assert in_index([read[study]]) == in_index([one])
    await archive.postings.remove(study_key(study), CREATED, [read[study]])
    assert (await found(archive, one), await found(archive, other)) == ([], [next_study])


async def test_values_that_a_key_may_not_hold_are_found(archive: Archive) -> None:
    for value in (
        f"a/b\\c#d?e!%2F\n{new_uid()}",
        f"{new_uid()}'; drop --",
        f"山田^太郎 {new_uid()}",
        "x" * 5000 + new_uid(),
    ):
        await archive.postings.add(study_key("1.1"), CREATED, [Term("PatientID", value)])
        assert await found(archive, Term("PatientID", value)) == ["1.1"]


async def test_the_posting_of_an_instance_names_its_series(archive: Archive) -> None:
    uid = new_uid()
    await archive.postings.add(study_key("1.1"), CREATED, [Term("SOPInstanceUID", uid, "2.2")])
    postings = [posting async for posting in archive.postings.read_term(DEFAULT_PARTITION, Term("SOPInstanceUID", uid))]
    assert [(posting.study.study_instance_uid, posting.series_instance_uid) for posting in postings] == [("1.1", "2.2")]


async def test_a_marked_posting_goes_unless_it_was_written_again(archive: Archive) -> None:
    study = new_uid()
    kept, gone, never = Term("PatientID", new_uid()), Term("PatientID", new_uid()), Term("PatientID", new_uid())
    await archive.postings.add(study_key(study), CREATED, [kept, gone])
    marks = await archive.postings.mark(study_key(study), CREATED, [kept, gone, never])
    assert {mark.term for mark in marks} == {kept, gone}
    await archive.postings.add(study_key(study), CREATED, [kept])
    await archive.postings.remove_marked(study_key(study), CREATED, marks)
    assert await found(archive, kept) == [study]
    assert await found(archive, gone) == []


async def test_removing_spares_postings_with_another_creation_time(archive: Archive) -> None:
    study, term = new_uid(), Term("PatientID", new_uid())
    await archive.postings.add(study_key(study), CREATED, [term])
    await archive.postings.add(study_key(study), CREATED + timedelta(days=1), [term])
    await archive.postings.remove(study_key(study), CREATED, [term, Term("PatientID", new_uid())])
    postings = [posting async for posting in archive.postings.read_term(DEFAULT_PARTITION, term)]
    assert len(postings) == 1


def numbered(count: int) -> list[Term]:
    """The terms of instances that a device has numbered in sequence."""
    return [Term("SOPInstanceUID", uid, "1.1.1") for uid in numbered_uids(count)]


async def test_uids_numbered_in_sequence_are_written_and_removed_together(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting()
    study, terms = new_uid(), numbered(150)
    async with archive_through(counting, monkeypatch, settings) as archive:
        await archive.postings.add(study_key(study), CREATED, [*terms, *terms])
        assert counting.operations == {"POST terms": 2}
        assert await found(archive, terms[41]) == [study]
        assert await archive.postings.existing(study_key(study), CREATED, terms) == frozenset(terms)
        counting.operations.clear()
        await archive.postings.remove(study_key(study), CREATED, terms)
        assert counting.operations == {"POST terms": 2}
        assert await archive.postings.existing(study_key(study), CREATED, terms) == frozenset()


async def test_a_posting_that_is_gone_or_changed_does_not_keep_the_others(archive: Archive) -> None:
    study, terms = new_uid(), numbered(5)
    gone, kept = terms[:2]
    await archive.postings.add(study_key(study), CREATED, terms)
    marks = await archive.postings.mark(study_key(study), CREATED, terms)
    await archive.postings.remove(study_key(study), CREATED, [gone])
    await archive.postings.add(study_key(study), CREATED, [kept])
    assert await archive.postings.remove_marked(study_key(study), CREATED, marks) == {kept}
    assert await archive.postings.existing(study_key(study), CREATED, terms) == {kept}
    await archive.postings.remove(study_key(study), CREATED, terms)
    assert await archive.postings.existing(study_key(study), CREATED, terms) == frozenset()


async def test_a_term_and_its_cut_form_from_the_index_are_one_posting(archive: Archive) -> None:
    study, term = new_uid(), Term("PatientName", "long " * 100 + new_uid())
    await archive.postings.add(study_key(study), CREATED, [term])
    (read,) = [term async for term, one in archive.postings.read_every_term() if one.study.study_instance_uid == study]
    assert read != term
    await archive.postings.add(study_key(study), CREATED, [term, read])
    await archive.postings.remove(study_key(study), CREATED, [term, read])
    assert await found(archive, term) == []


async def test_every_study_is_listed(archive: Archive) -> None:
    study = new_uid()
    await archive.postings.add(study_key(study), datetime.now(UTC), [EVERY_STUDY])
    assert study in await found(archive, EVERY_STUDY)
