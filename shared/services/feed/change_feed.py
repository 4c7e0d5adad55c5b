"""The change feed as Microsoft's service answers it: what happened to instances, in order, and the latest of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from shared.services.answer_work import CHUNK_BYTES, AnswerWork, Purpose
from shared.services.feed.entries import HELD_BYTES, json_array, json_objects
from shared.services.feed.read import read_latest, read_page
from shared.storage.archive import Archive
from shared.storage.feed_rows import FeedEntry
from shared.web.change_feed_query import ChangeFeedQuery, following_query
from shared.web.content import Representations, Stream
from shared.web.content_negotiation import Offer
from shared.web.offers import CHANGES


@dataclass(frozen=True, slots=True)
class FoundChanges:
    """What changes can be sent as.

    `following` is the query string that asks for those after them; empty where none are known, or in v1. Unless it
    `is_complete`, changes may be missing that were ready when the request began.
    """

    representations: Representations
    following: str
    is_complete: bool


async def retrieve_page(archive: Archive, query: ChangeFeedQuery, service_url: str, work: AnswerWork) -> FoundChanges:
    """The changes that a query asks for, as a JSON array. Raises Unavailable while the feed is first filled.

    BulkDataURIs are absolute, under `service_url`, ``scheme://host/version``.
    """
    await work.hold_chunk(CHUNK_BYTES)
    page = await read_page(archive, query)
    work.hold_only(Purpose.CHUNK, HELD_BYTES)
    text = json_array(archive, page.entries, service_url, query.has_metadata, work)
    following = "" if page.after is None or query.is_of_numbers else following_query(query, page.after)
    return FoundChanges(_representations(text), following, page.is_complete)


async def retrieve_latest(archive: Archive, has_metadata: bool, service_url: str, work: AnswerWork) -> FoundChanges:
    """The latest change, as a JSON object, or null; see `retrieve_page`."""
    await work.hold_chunk(HELD_BYTES)
    latest, is_complete = await read_latest(archive)
    text = _text(archive, [latest] if latest else [], service_url, has_metadata, work)
    return FoundChanges(_representations(text), "", is_complete)


async def _text(
    archive: Archive, entries: Sequence[FeedEntry], service_url: str, has_metadata: bool, work: AnswerWork
) -> AsyncIterator[bytes]:
    async with aclosing(json_objects(archive, entries, service_url, has_metadata, work)) as objects:
        async for pieces in objects:
            for piece in pieces:
                yield piece
    if not entries:
        yield b"null"


def _representations(text: AsyncIterator[bytes]) -> Representations:
    async def open_text(offer: Offer) -> Stream:
        return Stream(offer.media_type, text, is_text=True)

    return Representations(version=None, offers=CHANGES, open=open_text, is_text=True)
