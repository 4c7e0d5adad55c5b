"""The results of a search, and how they are sent: short ones are held, long ones made again from what is stored."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.dicom.dicom_json_reader import read_attributes
from shared.dicom.dicom_json_text import json_texts
from shared.dicom.identifiers import InstanceIdentifiers
from shared.errors import NotFound
from shared.search.query import SearchQuery
from shared.search.search_response import instance_result
from shared.services.answer_work import AnswerWork
from shared.services.pieces import made_in_thread
from shared.services.retrieve.metadata import xml_document
from shared.services.retrieve.stored_metadata import stored_metadata
from shared.storage.archive import Archive
from shared.web.content import Content


@dataclass(frozen=True, slots=True)
class ShortResult:
    """A result as the text of a JSON object, and the path of its resource below the service's URL."""

    path: str
    text: bytes

    @property
    def size_bytes(self) -> int:
        """How much memory it takes."""
        return len(self.text)


@dataclass(frozen=True, slots=True)
class LongResult:
    """An instance whose metadata is too long to be held, and all attributes of its series."""

    identifiers: InstanceIdentifiers
    of_series: Mapping[str, Any]

    @property
    def path(self) -> str:
        """The path of the instance below the service's URL."""
        return self.identifiers.path

    @property
    def size_bytes(self) -> int:
        """How much memory it takes besides the series' attributes, which its other instances share: next to none."""
        return 0


@dataclass(frozen=True, slots=True)
class SearchResults:
    """A page of results, the tags that they return, and whether there are more after it.

    `is_cut`: the search ended at a limit of the settings, so there may be more that it did not reach.
    """

    results: Sequence[ShortResult | LongResult]
    returned: frozenset[str]
    has_more: bool
    is_cut: bool

    @property
    def text(self) -> bytes | None:
        """The results as a JSON array; None where some are long."""
        texts = [result.text for result in self.results if isinstance(result, ShortResult)]
        return b"[%b]" % b",".join(texts) if len(texts) == len(self.results) else None


async def json_array(
    archive: Archive, found: SearchResults, query: SearchQuery, service_url: str, work: AnswerWork
) -> AsyncIterator[bytes]:
    """The results as the text of a JSON array. One that has been deleted meanwhile is left out."""
    separator = b"["
    async for result, texts in _texts(archive, found, query, service_url, work):
        yield separator
        separator = b","
        if isinstance(result, ShortResult):
            yield result.text
        else:
            async for piece in made_in_thread(texts, work):
                yield piece
    yield b"]" if separator == b"," else b"[]"


async def xml_documents(
    archive: Archive, found: SearchResults, query: SearchQuery, service_url: str, work: AnswerWork
) -> AsyncIterator[Content]:
    """An XML document for each result (PS3.18 10.6.3.2)."""
    async for result, texts in _texts(archive, found, query, service_url, work):
        yield xml_document(result.path, texts, work)


async def _texts(
    archive: Archive, found: SearchResults, query: SearchQuery, service_url: str, work: AnswerWork
) -> AsyncIterator[tuple[ShortResult | LongResult, Iterator[bytes]]]:
    """The results, each with its text in pieces."""
    for result in found.results:
        if isinstance(result, ShortResult):
            yield result, iter([result.text])
            continue
        record = await archive.catalog.read_instance_metadata(result.identifiers)
        if record is None:
            continue
        reading = work.part()
        try:
            stored = await stored_metadata(archive, record, service_url, reading)
        except NotFound:
            continue
        uid, metadata = result.identifiers.sop_instance_uid, read_attributes(stored.pieces())
        yield result, json_texts(instance_result(result.of_series, uid, record.tags, metadata, query, found.returned))
        reading.end()
