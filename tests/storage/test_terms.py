from datetime import UTC, datetime, timedelta

from shared.records import EVERY_STUDY, Term
from shared.storage.archive import Archive
from tests.storage.instances import new_uid

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


async def found(archive: Archive, *terms: Term) -> list[str]:
    return [posting.study_instance_uid async for posting in archive.terms.read(terms)]


async def test_postings_come_newest_first_and_each_study_once(archive: Archive) -> None:
    value, other = new_uid(), new_uid()
    for age in (2, 0, 1):
        created = CREATED - timedelta(days=age)
        await archive.terms.add(f"1.{age}", created, [Term("PatientID", value)])
        await archive.terms.add(f"1.{age}", created, [Term("PatientID", other), Term("PatientID", value)])
    assert await found(archive, Term("PatientID", value)) == ["1.0", "1.1", "1.2"]
    assert await found(archive, Term("PatientID", value), Term("PatientID", other)) == ["1.0", "1.1", "1.2"]


async def test_values_that_a_key_may_not_hold(archive: Archive) -> None:
    for value in (
        f"a/b\\c#d?e!%2F\n{new_uid()}",
        f"{new_uid()}'; drop --",
        f"山田^太郎 {new_uid()}",
        "x" * 5000 + new_uid(),
    ):
        await archive.terms.add("1.1", CREATED, [Term("PatientID", value)])
        assert await found(archive, Term("PatientID", value)) == ["1.1"]


async def test_the_posting_of_an_instance_names_its_series(archive: Archive) -> None:
    uid = new_uid()
    await archive.terms.add("1.1", CREATED, [Term("SOPInstanceUID", uid, "2.2")])
    postings = [posting async for posting in archive.terms.read([Term("SOPInstanceUID", uid)])]
    assert [(posting.study_instance_uid, posting.series_instance_uid) for posting in postings] == [("1.1", "2.2")]


async def test_a_range_of_dates_is_read_newest_first(archive: Archive) -> None:
    keyword = f"Date{new_uid()}"
    for number, date in enumerate(("20200101", "20200131", "20191231", "20200201")):
        await archive.terms.add(f"1.{number}", CREATED + timedelta(days=number), [Term(keyword, date)])

    async def in_range(first: str, last: str) -> list[str]:
        return [posting.study_instance_uid async for posting in archive.terms.read_range(keyword, first, last)]

    assert await in_range("20200101", "20200131") == ["1.1", "1.0"]
    assert await in_range("20200131", "") == ["1.3", "1.1"]
    assert await in_range("", "20191231") == ["1.2"]
    assert await in_range("", "") == ["1.3", "1.2", "1.1", "1.0"]


async def test_a_marked_posting_goes_unless_it_was_written_anew(archive: Archive) -> None:
    study = new_uid()
    kept, gone, never = Term("PatientID", new_uid()), Term("PatientID", new_uid()), Term("PatientID", new_uid())
    await archive.terms.add(study, CREATED, [kept, gone])
    marks = await archive.terms.mark(study, CREATED, [kept, gone, never])
    assert {mark.term for mark in marks} == {kept, gone}
    await archive.terms.add(study, CREATED, [kept])
    await archive.terms.remove_marked(study, CREATED, marks)
    assert await found(archive, kept) == [study]
    assert await found(archive, gone) == []


async def test_removing_touches_only_the_study_as_it_was_created(archive: Archive) -> None:
    study, term = new_uid(), Term("PatientID", new_uid())
    await archive.terms.add(study, CREATED, [term])
    await archive.terms.add(study, CREATED + timedelta(days=1), [term])
    await archive.terms.remove(study, CREATED, [term, Term("PatientID", new_uid())])
    postings = [posting async for posting in archive.terms.read([term])]
    assert len(postings) == 1


async def test_every_study_is_listed(archive: Archive) -> None:
    study = new_uid()
    await archive.terms.add(study, datetime.now(UTC), [EVERY_STUDY])
    assert study in [posting.study_instance_uid async for posting in archive.terms.read_all()]
