"""Filling the feed of an archive with what it held before there was one, once.

Each study of an older release is announced: its instances are noted as created, by a commit of its own, and drained
like any change. Whoever needs the feed begins, or goes on with, this; several at once do no harm.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from shared.dicom.identifiers import StudyKey
from shared.errors import Unavailable
from shared.failures import described
from shared.services.write.announce import announce
from shared.storage.archive import Archive
from shared.storage.availability import is_unavailable
from shared.storage.feed import HeadMoved
from shared.storage.feed_rows import UNREADABLE
from shared.storage.parallel import in_parallel

_AT_ONCE: Final = 4

_logger = logging.getLogger(__name__)


async def prepare(archive: Archive, *, seconds: float) -> bool:
    """See that all of the archive is announced; whether it is.

    It is not where `seconds` did not suffice, or storage did not answer: whoever asks next goes on. A study whose rows
    cannot be read is left out, and logged.
    """
    try:
        async with asyncio.timeout(seconds), archive.filling_lock:
            await _prepare(archive)
    except Exception as error:
        if not (is_unavailable(error) or isinstance(error, Unavailable)):
            raise
        _logger.warning("The change feed is not filled yet: %s", described(error))
        return False
    return True


async def _prepare(archive: Archive) -> None:
    if (await archive.feed.read_open_head()).is_whole:
        return
    cursor = await archive.feed.read_cursor()
    if not cursor:
        await archive.journal.give_marks()
    following: str | None = cursor
    while following is not None:
        studies, following = await archive.catalog.read_unannounced_page(following)
        await in_parallel((_announce(archive, study) for study in studies), at_once=_AT_ONCE)
        if following is not None:
            await archive.feed.write_cursor(following)
    while not (head := await archive.feed.read_open_head()).is_whole:
        with suppress(HeadMoved):
            await archive.feed.note_whole(head)
    await archive.feed.remove_cursor()


async def _announce(archive: Archive, study: StudyKey) -> None:
    try:
        await announce(archive, study)
    except UNREADABLE as error:
        _logger.error("Study %s is missing from the change feed: %s", study.study_instance_uid, described(error))
