"""Both listings come in one order, whatever studies and partitions are called."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicom.identifiers import DEFAULT_PARTITION, StudyKey
from shared.services.backup.study_pairs import study_pairs
from shared.storage import backup_container, keys
from shared.storage.backup_container import Snapshot
from tests.support.default_partition import PARTITIONS

STUDIES = st.builds(
    StudyKey,
    st.just(DEFAULT_PARTITION) | PARTITIONS,
    st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,3}", fullmatch=True),
)


def as_listed(studies: list[StudyKey]) -> tuple[Any, Any]:
    """An archive and a backup that have these studies, and list them as storage does."""

    async def revisions() -> AsyncIterator[tuple[StudyKey, str]]:
        for study in sorted(set(studies), key=keys.study_partition):
            yield study, "etag"

    async def snapshots() -> AsyncIterator[list[Snapshot]]:
        for snapshot in sorted((Snapshot(study, 1, "ab") for study in set(studies)), key=backup_container._name):
            yield [snapshot]

    return SimpleNamespace(catalog=SimpleNamespace(read_revisions=revisions)), SimpleNamespace(snapshots=snapshots)


@pytest.mark.property
@given(st.lists(STUDIES), st.lists(STUDIES))
async def test_each_study_is_met_once_on_both_sides(in_archive: list[StudyKey], in_backup: list[StudyKey]) -> None:
    archive, backup = as_listed(in_archive)[0], as_listed(in_backup)[1]
    pairs = [pair async for pair in study_pairs(archive, backup)]
    assert {pair.study for pair in pairs} == {*in_archive, *in_backup}
    assert len(pairs) == len({*in_archive, *in_backup})
    assert {pair.study for pair in pairs if pair.etag is not None} == set(in_archive)
    assert {pair.study for pair in pairs if pair.snapshots} == set(in_backup)


@given(STUDIES, st.integers(0, 10**9), st.sampled_from(["", "0f" * 16]))
def test_a_snapshot_is_known_by_its_name(study: StudyKey, number: int, revision: str) -> None:
    snapshot = Snapshot(study, number, revision)
    assert backup_container._snapshot(backup_container._name(snapshot), snapshot.taken) == snapshot


async def test_another_order_is_an_error_and_no_delete() -> None:
    async def revisions() -> AsyncIterator[tuple[StudyKey, str]]:
        for uid in ("1.2", "1.1"):
            yield StudyKey(DEFAULT_PARTITION, uid), "etag"

    _, backup = as_listed([])
    archive: Any = SimpleNamespace(catalog=SimpleNamespace(read_revisions=revisions))
    with pytest.raises(AssertionError, match="in the order of keys"):
        assert [pair async for pair in study_pairs(archive, backup)]
