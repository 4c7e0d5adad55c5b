r"""The keys of postings in the table of terms. Pure.

Most attributes have a table partition for each value, whose rows are studies. Series and instance UIDs, of which a
study has many, share a partition where they differ only in their last digits: UIDs that a device numbers in sequence
are written in one batch, and no partition has more than 1,110 UIDs. An attribute whose values also stand in lists of
beginnings (`shared/archive/terms.py`) has a single partition, in which the rows of a list follow each other; so all
rows of a value change in one batch. Within a list, the newest study comes first.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.archive.terms import Span, Term, has_beginnings, is_of_tag, lists_of
from shared.dicom.attributes import SEARCHABLE
from shared.dicom.comparable_values import MAX_NAME_LENGTH
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, StudyKey
from shared.storage.keys import escape, split_table_partition, table_partition, unescape

_NUMBERED: Final = frozenset({"SeriesInstanceUID", "SOPInstanceUID"})
_NUMBER: Final = re.compile("(.*?)([0-9]{0,3})", re.DOTALL)

_CUT: Final = "!!"  # never occurs in escaped text
# With the longest beginning, UIDs of study, series and instance, and the time: no more than the 512 of a key.
_MAX_ESCAPED_TAG_VALUE: Final = 195
_CUT_VALUE: Final = re.compile("(.*)\ufffe([0-9a-f]{16})", re.DOTALL)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
AGE_LENGTH: Final = 17
"""How many digits the age of a posting has."""

_LAST_MICROSECOND: Final = 10**AGE_LENGTH - 1  # the year 5138
_LAST_CODE_BEFORE_SURROGATES: Final = 0xD7FF
_NO_STUDY: Final = StudyKey(DEFAULT_PARTITION, "")


PostingKey = tuple[str, str]
"""Partition key and row key of a posting."""

_WITH_BEGINNINGS: Final = frozenset(key.keyword for key in SEARCHABLE if has_beginnings(key.keyword))
_BEGINNINGS: Final = "^"
"""Sorts after the rows of whole values, and before all others."""


@dataclass(frozen=True, slots=True)
class PostingRange:
    """Postings of whole values that a query reads without looking at others: those whose keys are in between.

    With `partition_key` those of a table partition with row keys greater than `after`, and less than `before` or at
    most `up_to`; without, those of the table partitions whose keys are.
    """

    partition_key: str | None
    after: str
    before: str | None = None
    up_to: str | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """A study proposed by the index; `order` sorts the newest study first.

    `value` is the term's, in comparable form; None where it is too long for a key. The posting of a single instance
    names its series, and one of a tag of it the instance, too.
    """

    partition_key: str
    row_key: str
    order: str
    study: StudyKey
    series_instance_uid: str
    value: str | None
    sop_instance_uid: str = ""

    @property
    def key(self) -> PostingKey:
        """Its place in the table."""
        return self.partition_key, self.row_key

    @property
    def age(self) -> str:
        """When the study was first stored, counted backwards: digits that sort the newest first."""
        return self.order[:AGE_LENGTH]

    @property
    def place(self) -> str:
        """The place of its study in a list: places sort as the studies do, but for some of one age."""
        return f"{self.order}:"

    @property
    def place_after(self) -> str:
        """Where the rows of its study end in a list, if each names an instance."""
        return f"{self.order};"

    @property
    def created(self) -> datetime:
        """When the study was first stored."""
        return _EPOCH + timedelta(microseconds=_LAST_MICROSECOND - int(self.age))

    @property
    def keyword(self) -> str:
        """The keyword of the term."""
        return split_table_partition(self.partition_key)[1].partition("=")[0]

    @property
    def term(self) -> Term | None:
        """The term, whichever of its lists the posting stands in; None where its value is too long for a key."""
        if self.value is None:
            return None
        return Term(self.keyword, self.value, self.series_instance_uid, self.sop_instance_uid)

    @property
    def instance(self) -> InstanceIdentifiers | None:
        """The single instance that it names; None where it names none."""
        if not self.series_instance_uid:
            return None
        return InstanceIdentifiers(self.study, self.series_instance_uid, self.sop_instance_uid or self.value or "")


def key_of(created: datetime, study: StudyKey, term: Term) -> tuple[str, str]:
    """Partition and row key of a study's posting of a term: its first row, without which it has no others."""
    partition_key, (row_key, *_) = rows_of(created, study, term)
    return partition_key, row_key


def order_of(created: datetime, study: StudyKey) -> str:
    """What sorts a study among others of its data partition, the newest first, as the `order` of its postings does."""
    microseconds = (created - _EPOCH) // timedelta(microseconds=1)
    return f"{_LAST_MICROSECOND - microseconds:0{AGE_LENGTH}d}:{study.study_instance_uid}"


def rows_of(created: datetime, study: StudyKey, term: Term) -> tuple[str, list[str]]:
    """Partition key and row keys of a study's posting of a term, at most 100: one in every list where it stands.

    A single instance's posting names the series, so that two instances with one UID have two postings.
    """
    listed = order_of(created, study)
    single = "".join(f":{uid}" for uid in (term.series_instance_uid, term.sop_instance_uid) if uid)
    bounded = _bounded(term.keyword, term.value)
    if not has_beginnings(term.keyword):
        partition_key, number = _partition_of(term.keyword, bounded)
        return table_partition(study.partition, partition_key), [f"{number}{listed}{single}"]
    _, *beginnings = lists_of(term._replace(value=_kept(term.keyword, term.value)[0]))
    row_keys = [
        f"={bounded}:{listed}{single}",
        *(f"{escape(name)}:{listed}:{bounded}{single}" for name in beginnings),
    ]
    return table_partition(study.partition, term.keyword), row_keys


def posting_of(partition_key: str, row_key: str) -> Posting:
    """The posting that a row belongs to, whichever list it stands in."""
    partition, key = split_table_partition(partition_key)
    keyword, is_plain, value = key.partition("=")
    if is_plain:
        number, studied = _number_of(keyword, row_key)
        inverted, uid, *single = studied.split(":")
        value += number
    else:
        name, inverted, uid, *single = row_key.split(":")
        value = name[1:] if name.startswith("=") else single.pop(0)
    known = None if _CUT in value else unescape(value)
    series, instance, *_ = *single, "", ""
    return Posting(partition_key, row_key, f"{inverted}:{uid}", StudyKey(partition, uid), series, known, instance)


def term_of(posting: Posting) -> Term | None:
    """The term of a posting; None where the row stands in a list of beginnings.

    A long value is cut: `in_index` tells whether two terms are the same.
    """
    _, key = split_table_partition(posting.partition_key)
    keyword, is_plain, value = key.partition("=")
    if not is_plain:
        if not posting.row_key.startswith("="):
            return None
        value = posting.row_key[1:].partition(":")[0]
    else:
        value += _number_of(keyword, posting.row_key)[0]
    text, is_cut, digest = value.partition(_CUT)
    known = unescape(text) + (f"\ufffe{digest}" if is_cut else "")
    return Term(keyword, known, posting.series_instance_uid, posting.sop_instance_uid)


def rows_of_list(partition: str, keyword: str, name: str) -> tuple[str, str, str]:
    """Partition key of a list in a data partition, its first row key and the first one past its end.

    The list goes on from an age, or another place, at the first row key with that appended.
    """
    if not has_beginnings(keyword):
        partition_key, number = _partition_of(keyword, _bounded(keyword, name[1:]))
        end = f"{number[:-1]};" if number else ":"  # what follows begins with digits
        return table_partition(partition, partition_key), number, end
    listed = f"={_bounded(keyword, name[1:])}" if name.startswith("=") else escape(name)
    return table_partition(partition, keyword), f"{listed}:", f"{listed};"


def rows_of_span(partition: str, keyword: str, span: Span) -> tuple[str, str, str]:
    """Partition key of a data partition's whole values in a span, first row key and the first one past the last."""
    first, last = (f"={escape(_kept(keyword, value)[0])}" for value in (span.first, span.last))
    code = ord(last[-1]) + 1
    if code == _LAST_CODE_BEFORE_SURROGATES + 1:
        code = 0xE000
    end = f"{last[:-1]}{chr(code)}" if span.last and code <= sys.maxunicode else ">"
    return table_partition(partition, keyword), first, end


def bounds_of_tag(name: str) -> tuple[PostingKey, PostingKey]:
    """The keys before and after all postings of whole values of the tag of a name, in the default data partition."""
    if has_beginnings(name):
        return (name, ""), (name, _BEGINNINGS)
    return (f"{name}=", ""), (f"{name}>", "")


def ranges_of(after: PostingKey | None, up_to: PostingKey | None, tags: Iterable[str] = ()) -> Iterator[PostingRange]:
    """All postings after one key and up to another, in order of the keys; None: from the beginning, to the end.

    `tags` are names of extended query tags: lists of beginnings of others are among the postings.
    """
    with_beginnings = sorted({*_WITH_BEGINNINGS, *(name for name in tags if has_beginnings(name))})
    partition_key, row_key = after or ("", "")
    last_partition, last_row = up_to or (None, "")
    if partition_key == last_partition:
        yield PostingRange(partition_key, row_key, up_to=last_row)
        return
    if after is not None:
        yield PostingRange(partition_key, row_key, before=_BEGINNINGS)
    for key in with_beginnings:
        if key > partition_key and (last_partition is None or key < last_partition):
            yield PostingRange(None, partition_key, before=key)
            yield PostingRange(key, "", before=_BEGINNINGS)
            partition_key = key
    yield PostingRange(None, partition_key, before=last_partition)
    if last_partition is not None:
        yield PostingRange(last_partition, "", up_to=last_row)


def in_index(terms: Iterable[Term]) -> frozenset[tuple[str, str]]:
    """Keys that tell the terms of one study apart, even those read from the index, whose values may be cut."""
    return frozenset(key_of(_EPOCH, _NO_STUDY, term) for term in terms)


def _partition_of(keyword: str, bounded: str) -> tuple[str, str]:
    """Partition key of a whole value, and how its row keys begin there."""
    if keyword not in _NUMBERED:
        return f"{keyword}={bounded}", ""
    beginning, number = _NUMBER.fullmatch(bounded).groups()  # type: ignore[union-attr] # every text matches
    return f"{keyword}={beginning}", f"{number}:"


def _number_of(keyword: str, row_key: str) -> tuple[str, str]:
    """The part of a whole value that its row key holds, and the rest of the key."""
    if keyword not in _NUMBERED:
        return "", row_key
    number, _, rest = row_key.partition(":")
    return number, rest


def _kept(keyword: str, value: str) -> tuple[str, str]:
    """What a key holds of a value: its beginning, and a hash of the whole value if that is longer."""
    if found := _CUT_VALUE.fullmatch(value):  # it was read from the index
        return found[1], found[2]
    kept = value[:MAX_NAME_LENGTH]
    if is_of_tag(keyword):
        while len(escape(kept)) > _MAX_ESCAPED_TAG_VALUE:
            kept = kept[:-1]
    if kept == value:
        return value, ""
    return kept, hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()[:16]


def _bounded(keyword: str, value: str) -> str:
    """A value as keys hold it: escaped, and cut if it is long."""
    kept, digest = _kept(keyword, value)
    return f"{escape(kept)}{_CUT}{digest}" if digest else escape(kept)
