"""Whether a study's rows have of extended query tags what its instances' metadata have, and nothing else. Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from shared.archive.extended_tags import TagSet, TagStatus
from shared.archive.instance import DicomJson, InstanceFacts
from shared.archive.study import SeriesRecord, StudyRecord
from shared.archive.tag_values import TagValues, values_of_tags
from shared.dicom.attributes import Level
from shared.dicom.identifiers import ResourceIdentifiers, StudyKey


class TagDifference(NamedTuple):
    """A row and the name of a tag, of which it lacks values or has some that are left."""

    path: str
    name: str
    is_surplus: bool


class TagCheck:
    """What has been seen of a study: its instances one by one, then the rows above them."""

    def __init__(self, tags: TagSet, study: StudyKey) -> None:
        self.tags: Final = tags
        self._study: Final = study
        self._needed: dict[str | None, set[str]] = {None: set()}  # by series, None: of the study
        self._found: list[TagDifference] = []

    def look_at(self, row: InstanceFacts, values: TagValues) -> None:
        """Take an instance, and what its metadata have of all tags that are indexed."""
        level, series = values.by_level, row.identifiers.series_instance_uid
        self._needed[None].update(level[Level.STUDY])
        self._needed.setdefault(series, set()).update(level[Level.SERIES])
        self._found += self._of_row(row.identifiers.path, row.tags, level[Level.INSTANCE])

    def differences(self, study: StudyRecord | None, series: Mapping[str, SeriesRecord]) -> list[TagDifference]:
        """What differs in all of the study; a row that is not there is reported as such."""
        if study is not None:
            self._found += self._of_row(self._study.path, study.attributes, self._needed[None])
        for uid, record in series.items():
            path = ResourceIdentifiers(self._study, uid).path
            self._found += self._of_row(path, record.attributes, self._needed.get(uid, ()))
        return self._found

    def _of_row(self, path: str, attributes: DicomJson, needed: Collection[str]) -> Iterator[TagDifference]:
        has = values_of_tags(attributes)
        yield from (TagDifference(path, name, True) for name in sorted(has) if self.tags.is_leftover(name))
        lacking = ready_names(self.tags).intersection(needed) - has.keys()
        yield from (TagDifference(path, name, False) for name in sorted(lacking))


def ready_names(tags: TagSet) -> frozenset[str]:
    """The names of the tags that every instance is indexed by."""
    return frozenset(tag.name for tag in tags.indexed if tag.status is TagStatus.READY)
