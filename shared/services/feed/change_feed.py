"""The change feed as Microsoft's service answers it: what happened to instances, in order, and the latest of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from shared.services.answer_work import CHUNK_BYTES, AnswerWork, Purpose
from shared.services.feed.entries import HELD_BYTES, json_array, json_objects
from shared.services.feed.read import read_latest, read_page
from shared.storage.archive import Archive
from shared.storage.feed_rows import FeedEntry
from shared.web.change_feed_query import ChangeFeedQuery, LatestQuery, following_query
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


async def retrieve_changes(
    archive: Archive, query: ChangeFeedQuery | LatestQuery, service_url: str, work: AnswerWork
) -> FoundChanges:
    """The changes that a query asks for, as a JSON array; the latest as an object, or null.

    BulkDataURIs are absolute, under `service_url`, ``scheme://host/version``. Raises Unavailable until the feed has all
    that the archive held before there was one.
    """
    await work.hold_chunk(CHUNK_BYTES)
    following = ""
    if isinstance(query, LatestQuery):
        latest, is_complete = await read_latest(archive)
        text = _text(archive, [latest] if latest else [], service_url, query.has_metadata, work)
    else:
        page = await read_page(archive, query)
        is_complete = page.is_complete
        if page.after is not None and not query.is_of_numbers:
            following = following_query(query, page.after)
        text = json_array(archive, page.entries, service_url, query.has_metadata, work)
    work.hold_only(Purpose.CHUNK, HELD_BYTES)

    async def open_text(offer: Offer) -> Stream:
        return Stream(offer.media_type, text, is_text=True)

    return FoundChanges(
        Representations(version=None, offers=CHANGES, open=open_text, is_text=True), following, is_complete
    )


async def _text(
    archive: Archive, entries: Sequence[FeedEntry], service_url: str, has_metadata: bool, work: AnswerWork
) -> AsyncIterator[bytes]:
    """The only change, or null."""
    async with aclosing(json_objects(archive, entries, service_url, has_metadata, work)) as objects:
        async for pieces in objects:
            for piece in pieces:
                yield piece
    if not entries:
        yield b"null"
