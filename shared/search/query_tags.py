"""The extended query tags that a query names: which it may match, and which it returns. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from shared.archive.extended_tags import ExtendedTag, QueryStatus, TagSet, TagStatus
from shared.dicom.attributes import BY_TAG, KEY_BY_PATH, Level, MatchingKey
from shared.errors import BadRequest

PRIVATE_CREATOR: Final = "privateCreator"
"""The parameter that chooses among tags of one path."""


class TagNotReady(BadRequest):
    """A search across the archive asks for a `tag` whose values are not all known yet; `name`: what it calls it."""

    def __init__(self, name: str, tag: ExtendedTag) -> None:
        super().__init__(f"The extended query tag {name} is being added.")
        self.name = name
        self.tag = tag


def named_tags(
    names: Iterable[tuple[str, tuple[str, ...]]], tags: TagSet, private_creator: str | None
) -> dict[tuple[str, ...], ExtendedTag]:
    """The tags that a query names, by path; `names` are its attributes' names, each with its path.

    Raises BadRequest where there are tags of several private creators and `private_creator` chooses none, and where it
    is given without need.
    """
    found: dict[tuple[str, ...], ExtendedTag] = {}
    for name, path in names:
        if path in KEY_BY_PATH:  # every search matches it, without values of a tag
            continue
        of_path = tags.at(path)
        if private_creator is not None:
            of_path = [tag for tag in of_path if tag.private_creator in ("", private_creator)]
        if len(of_path) > 1:
            creators = ", ".join(tag.private_creator for tag in of_path)
            raise BadRequest(f"The parameter {name} is ambiguous: {PRIVATE_CREATOR} has to be one of {creators}.")
        if of_path:
            found[path] = of_path[0]
    if private_creator is not None and not any(tag.private_creator for tag in found.values()):
        raise BadRequest(
            f"The parameter {PRIVATE_CREATOR} chooses among extended query tags, and none that the query names has it."
        )
    return found


def key_of_tag(name: str, tag: ExtendedTag, level: Level, *, is_within_study: bool) -> MatchingKey | None:
    """The key that matches a tag's values, which the query calls `name`, in a search for resources of `level`.

    None where a search within a study has to match the attribute itself. Raises BadRequest where one across the archive
    cannot match it, or not for now.
    """
    if tag.level <= level and is_usable(tag):
        return MatchingKey(name, (tag.name, *tag.path[1:]), tag.vr, tag.level)
    if is_within_study:
        return None
    if tag.level > level:
        word = tag.level.word.capitalize()
        raise BadRequest(f"The parameter {name} is not searchable here: it is an extended query tag of level {word}.")
    if tag.status is not TagStatus.READY:
        raise TagNotReady(name, tag)
    raise BadRequest(
        f"Query is disabled on specified attribute {name}: somebody disabled it, or it could not index all instances."
    )


def is_usable(tag: ExtendedTag) -> bool:
    """Whether searches may match a tag's values."""
    return tag.status is TagStatus.READY and tag.query_status is QueryStatus.ENABLED


def returned_as(tags: Iterable[ExtendedTag], level: Level, *, has_metadata: bool) -> Mapping[str, str]:
    """Under which attributes' tags the results of a level hold values of these extended query tags, by their names.

    With `has_metadata` they have all private attributes already, with their creators.
    """
    return {
        tag.name: tag.path[0]
        for tag in tags
        if tag.level <= level and tag.status is TagStatus.READY and not (has_metadata and is_private(tag.path[0]))
    }


def searchable(tags: TagSet, level: Level) -> list[str]:
    """What a search for resources of `level` calls the tags that it can match, for a message."""
    return [".".join(map(_called, tag.path)) for tag in tags.indexed if tag.level <= level and is_usable(tag)]


def _called(tag: str) -> str:
    from shared.dicom.data_dictionary import keyword_of  # pydicom, only needed for what is refused

    return BY_TAG[tag].keyword if tag in BY_TAG else keyword_of(tag) or tag


def is_private(tag: str) -> bool:
    """Whether an attribute's tag is a private one (PS3.5 7.8)."""
    return int(tag[3], 16) % 2 == 1
