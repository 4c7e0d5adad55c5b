"""How far the indexing of a study by extended query tags has come, and which instances give it what. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

from shared.archive.instance import DicomJson, InstanceFacts
from shared.dicom.identifiers import InstanceIdentifiers, StudyKey


class Source(NamedTuple):
    """The value of a tag, and the instance that gives it to its study or series: of those that have one the latest."""

    stored: str
    series_instance_uid: str
    sop_instance_uid: str
    blob_version: str
    attribute: Any

    def identifiers(self, study: StudyKey) -> InstanceIdentifiers:
        """The instance."""
        return InstanceIdentifiers(study, self.series_instance_uid, self.sop_instance_uid)


Sources = Mapping[str, Source]
"""Where the values of tags come from, by the tags' names."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place among the instances of a study, in the order of their rows: after the one whose row key is `after`.

    `of_study` is what those before it give to the study, `of_series` what those of the series of the last one give to
    that.
    """

    after: str = ""
    series_instance_uid: str = ""
    of_study: Sources = field(default_factory=dict)
    of_series: Sources = field(default_factory=dict)

    @classmethod
    def of_json(cls, found: Sequence[Any]) -> Self:
        """The place that `json` wrote."""
        after, series, *sources = found
        return cls(after, series, *({name: Source(*one) for name, one in some.items()} for some in sources))

    @property
    def json(self) -> list[Any]:
        """The place as JSON."""
        return [self.after, self.series_instance_uid, dict(self.of_study), dict(self.of_series)]

    @property
    def sources(self) -> Iterable[Source]:
        """Every source, for a look whether it is still there."""
        return [*self.of_study.values(), *self.of_series.values()]

    def past(self, row_key: str, row: InstanceFacts, of_study: DicomJson, of_series: DicomJson) -> "Place":
        """The place after an instance of the same series, or the first one of the next series."""
        series = row.identifiers.series_instance_uid
        before = self.of_series if series == self.series_instance_uid else {}
        return Place(row_key, series, _latest(self.of_study, row, of_study), _latest(before, row, of_series))


def attributes_of(sources: Sources) -> dict[str, Any]:
    """The values, by the tags' names."""
    return {name: source.attribute for name, source in sources.items()}


def _latest(before: Sources, row: InstanceFacts, values: DicomJson) -> Sources:
    stored, uids = _sortable(row.stored), row.identifiers
    given = {
        name: Source(stored, uids.series_instance_uid, uids.sop_instance_uid, row.blob_version, attribute)
        for name, attribute in values.items()
        if name not in before or before[name].stored < stored
    }
    return {**before, **given}


def _sortable(moment: datetime) -> str:
    return f"{moment.timestamp():020.6f}"
