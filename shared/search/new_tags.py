"""Which attributes can be extended query tags."""

from typing import Final

from shared.archive.extended_tags import TAG_VRS, ExtendedTag, TagStatus
from shared.dicom.attributes import BY_TAG, Level, is_private, is_private_creator
from shared.dicom.validation import broken_rule
from shared.errors import BadRequest
from shared.search.query_names import name_in_its_case, path_of

_FIRST_PRIVATE: Final = "1000"
_NO_PRIVATE_GROUPS: Final = ("0001", "0003", "0005", "0007", "FFFF")  # PS3.5 7.8
_OUTSIDE: Final = ("0000", "0002", "0004")  # of messages, file meta information and directories
_MAX_SHOWN: Final = 100


def path_of_tag(name: str) -> tuple[str, ...]:
    """The path of a tag that is named by keywords or tags, joined by dots. Raises BadRequest where it is none."""
    path = path_of(name)
    if path is None:
        meant = name_in_its_case(name)
        raise BadRequest(
            f"The path {_shown(name)} is not valid: it must be keywords, or tags of 8 hexadecimal digits, joined by "
            f"dots.{f' Did you mean {meant}?' if meant else ''}"
        )
    return path


def new_tag(name: str, vr: str, private_creator: str, level: Level) -> ExtendedTag:
    """The tag that somebody asks for, as yet without number and operation; `vr` and `private_creator` may be "".

    Raises BadRequest, which says why the attribute cannot be one.
    """
    path, shown = path_of_tag(name), _shown(name)
    if len(path) == 1 and path[0] in BY_TAG and BY_TAG[path[0]].is_validated:
        raise BadRequest(f"The tag {shown} is already supported: every search can match it.")
    for tag in path:
        _check_place(tag, shown)
    for tag in path[:-1]:
        if not _is_in_block(tag) and _vrs_of(tag) != ["SQ"]:
            raise BadRequest(
                f"The tag {shown} is not valid: only the last part of its path may be other than a sequence."
            )
    has_creator = any(map(_is_in_block, path))
    if has_creator and not private_creator:
        raise BadRequest(f"The tag {shown} is private: it needs a privateCreator.")
    if private_creator and not has_creator:
        raise BadRequest(f"The tag {shown} has no private attribute: it must have no privateCreator.")
    if (rule := broken_rule("LO", private_creator)) or "\\" in private_creator:
        raise BadRequest(f"The privateCreator of {shown} {rule or 'must hold no backslash'}.")
    return ExtendedTag(0, path, _vr(path[-1], vr, shown), private_creator, level, TagStatus.ADDING)


def _check_place(tag: str, shown: str) -> None:
    """Raises BadRequest for a tag that no attribute of a data set has."""
    group, element = tag[:4], tag[4:]
    is_misplaced = group in _OUTSIDE
    if is_private(tag):
        is_misplaced = group in _NO_PRIVATE_GROUPS or (element < _FIRST_PRIVATE and not is_private_creator(tag))
    if is_misplaced:
        raise BadRequest(f"The tag {shown} is not valid: no attribute of an instance's data set has it.")


def _vr(tag: str, asked: str, shown: str) -> str:
    """The VR that is asked for, or else the dictionary's."""
    known = _vrs_of(tag)
    if _is_in_block(tag):
        if not asked:
            raise BadRequest(f"The tag {shown} is private: it needs a vr.")
    elif not known:
        raise BadRequest(f"The tag {shown} is not valid: the data dictionary has no such attribute.")
    elif asked and asked not in known:
        raise BadRequest(f"The vr of {shown} must be {' or '.join(known)}.")
    vr = asked or known[0]
    if vr not in TAG_VRS:
        raise BadRequest(f"The VR of {shown} is not supported: it must be one of {', '.join(sorted(TAG_VRS))}.")
    return vr


def _vrs_of(tag: str) -> list[str]:
    from shared.dicom.data_dictionary import vrs_of  # pydicom, only needed where tags are added

    return ["LO"] if is_private_creator(tag) else vrs_of(tag)


def _is_in_block(tag: str) -> bool:
    """Whether it is a private attribute in the block of a private creator (PS3.5 7.8.1)."""
    return is_private(tag) and not is_private_creator(tag)


def _shown(name: str) -> str:
    return name if len(name) <= _MAX_SHOWN and name.isascii() and name.isprintable() else "that is given"
