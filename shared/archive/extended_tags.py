"""Extended query tags: attributes that searches can match because somebody asked for it. Pure.

All tags of an archive are one set, whose generation rises whenever a tag comes or goes. Whoever writes values of tags,
or postings of them, does so under a journal entry that carries the generation of the set it goes by.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from shared.archive.terms import TAG_MARK
from shared.dicom.attributes import KEY_BY_PATH, Level

MAX_TAGS: Final = 128
"""How many tags there may be, as in Microsoft's service."""

TAG_VRS: Final = frozenset(
    {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "PN", "SH"}
    | {"SL", "SS", "SV", "TM", "UI", "UL", "US", "UV"}
)
"""The VRs of attributes that can be tags: Microsoft's, and AT, DS, SV and UV."""


class TagStatus(StrEnum):
    """How far a tag is, in Microsoft's words."""

    ADDING = "Adding"
    READY = "Ready"


class QueryStatus(StrEnum):
    """Whether searches may use a tag, in Microsoft's words."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class ExtendedTag:
    """A tag. `path` are the tags of the sequences around an attribute, and its own, eight upper-case digits each.

    `number` is never given again. `private_creator` is that of the private elements in the path, "" where there are
    none. `operation_id` is the operation that makes it ready, "" once it is. `error_count`: in how many instances it
    could not be indexed.
    """

    number: int
    path: tuple[str, ...]
    vr: str
    private_creator: str
    level: Level
    status: TagStatus
    query_status: QueryStatus = QueryStatus.ENABLED
    operation_id: str = ""
    error_count: int = 0

    @property
    def name(self) -> str:
        """Under which rows keep its values, and the index its postings."""
        return f"{TAG_MARK}{self.vr}{self.number}"

    @property
    def key(self) -> tuple[tuple[str, ...], str]:
        """What there is one tag of: path and private creator."""
        return self.path, self.private_creator

    @property
    def is_indexed(self) -> bool:
        """Whether values are kept for it; searches match the other ones anyway (PS3.18 Table 10.6.1-5)."""
        return self.path not in KEY_BY_PATH


@dataclass(frozen=True, slots=True)
class RemovedTag:
    """A tag that there is no more, and of which rows and index may still have values.

    `generation` is that of the first set without it; `operation_id` is the operation that cleans up after it, "" where
    none has been started.
    """

    number: int
    name: str
    generation: int
    operation_id: str = ""


@dataclass(frozen=True, slots=True)
class TagSet:
    """All tags, in the order in which they were added, and those that were `removed` until nothing of them is left."""

    generation: int = 0
    next_number: int = 1
    tags: tuple[ExtendedTag, ...] = ()
    removed: tuple[RemovedTag, ...] = ()

    @property
    def indexed(self) -> tuple[ExtendedTag, ...]:
        """Those of which values are kept."""
        return tuple(tag for tag in self.tags if tag.is_indexed)

    def at(self, path: tuple[str, ...], private_creator: str | None = None) -> list[ExtendedTag]:
        """The tags of a path: several where private creators differ, and `private_creator` does not choose."""
        return [tag for tag in self.tags if tag.path == path and private_creator in (None, tag.private_creator)]

    @property
    def names(self) -> frozenset[str]:
        """The names of the tags of which values are kept."""
        return frozenset(tag.name for tag in self.indexed)

    @property
    def kept_names(self) -> frozenset[str]:
        """The names of the tags of which rows or index may have values."""
        return self.names.union(tag.name for tag in self.removed)

    def is_leftover(self, name: str) -> bool:
        """Whether a name is that of a tag of which nothing should be left, since the clean-up after it has ended."""
        return name not in self.kept_names and number_of(name) < self.next_number

    def with_added(self, added: Iterable[ExtendedTag]) -> "TagSet":
        """The next generation, with new tags at its end, which get their numbers; they replace those of their keys."""
        new = [replace(tag, number=self.next_number + index) for index, tag in enumerate(added)]
        keys = {tag.key for tag in new}
        after = self._without([tag for tag in self.tags if tag.key in keys])
        return replace(after, next_number=self.next_number + len(new), tags=(*after.tags, *new))

    def without(self, number: int, operation_id: str) -> "TagSet":
        """The next generation, without a tag, after which an operation cleans up."""
        return self._without([tag for tag in self.tags if tag.number == number], operation_id)

    def _without(self, gone: Sequence[ExtendedTag], operation_id: str = "") -> "TagSet":
        generation, tags = self.generation + 1, tuple(tag for tag in self.tags if tag not in gone)
        left = [RemovedTag(tag.number, tag.name, generation, operation_id) for tag in gone if tag.is_indexed]
        return replace(self, generation=generation, tags=tags, removed=(*self.removed, *left))

    def with_clean_up(self, number: int, operation_id: str) -> "TagSet":
        """The same generation, in which another operation cleans up after a removed tag."""
        removed = (replace(tag, operation_id=operation_id) if tag.number == number else tag for tag in self.removed)
        return replace(self, removed=tuple(removed))

    def cleaned_up(self, number: int) -> "TagSet":
        """The same generation, once nothing of a removed tag is left."""
        return replace(self, removed=tuple(tag for tag in self.removed if tag.number != number))

    def with_ready(self, operation_id: str) -> "TagSet":
        """The same generation, in which the tags of an operation are ready."""
        tags = (
            replace(tag, status=TagStatus.READY, operation_id="") if tag.operation_id == operation_id else tag
            for tag in self.tags
        )
        return replace(self, tags=tuple(tags))

    def with_changed(self, changed: ExtendedTag) -> "TagSet":
        """The same generation, in which a tag is as given; unchanged where it has gone."""
        return replace(self, tags=tuple(changed if tag.number == changed.number else tag for tag in self.tags))


NO_TAGS: Final = TagSet()


def number_of(name: str) -> int:
    """The number of the tag that has a name."""
    return int(name[len(TAG_MARK) + 2 :])
