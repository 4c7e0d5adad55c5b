"""Whether the changes that commits have noted explain what an archive holds."""

from collections.abc import Mapping, Sequence

from shared.archive.change import Action, StudyChanges
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey
from shared.storage import keys
from shared.storage.archive import Archive

Changes = Mapping[StudyKey, Sequence[StudyChanges]]
"""The changes of each study, in the order in which its commits made them."""


async def changes_in_outbox(archive: Archive) -> dict[StudyKey, list[StudyChanges]]:
    """The changes that wait for the feed."""
    return {
        rows.study: [changes async for changes in archive.outbox.read(rows.study)]
        async for rows in archive.catalog.read_study_rows()
        if rows.changes
    }


async def changes_in_feed(archive: Archive) -> dict[StudyKey, list[StudyChanges]]:
    """The changes that are in the feed."""
    head, found = await archive.feed.read_head(), dict[StudyKey, list[StudyChanges]]()
    async for block in archive.feed.read_blocks(0, head.last if head else 0, 1000):
        for commit in block.commits:
            found.setdefault(commit.study, []).append(commit)
    return found


async def check_changes(archive: Archive, changes: Changes) -> None:
    """Check that these changes, all that there ever were, say of each study what it holds now.

    The revisions of a study rise, up to its own; each of its instances was created and deleted in turn, under the same
    blob version, and what was created last is there.
    """
    studies = {rows.study async for rows in archive.catalog.read_study_rows()}
    assert set(changes) <= studies
    for study in studies:
        before = await archive.catalog.read_before(study)
        assert before is not None, study
        of_study = changes.get(study, [])
        revisions = [one.revision for one in of_study]
        assert revisions == sorted(set(revisions)), study
        assert before.revision is not None, study
        assert not revisions or revisions[-1] <= before.revision, study
        rows = {row.identifiers: row.blob_version async for row in archive.catalog.read_instances(study)}
        assert explained(of_study) == rows, study


def explained(of_study: Sequence[StudyChanges]) -> dict[InstanceIdentifiers, str]:
    """The blob versions of the instances that a study holds after these changes."""
    there: dict[InstanceIdentifiers, str] = {}
    for change in (change for commit in of_study for change in commit.changes):
        if change.action is Action.CREATE:
            assert change.identifiers not in there, change
            there[change.identifiers] = change.blob_version
        else:
            assert there.pop(change.identifiers, None) == change.blob_version, change
    return there


async def drop_changes(archive: Archive) -> None:
    """Do what draining does, except that there is no feed, and forget the studies that have gone."""
    entries = [entry async for entry in archive.journal.read_ready()]
    catalog = archive._account.tables.table("catalog")
    for rows in [rows async for rows in archive.catalog.read_study_rows()]:
        await archive.outbox.remove(rows.study, rows.changes)
        if not rows.is_there:
            await catalog.delete_entity(keys.study_partition(rows.study), keys.STUDY_ROW)
    await archive.journal.remove(entry for entry in entries if entry.is_done)
