"""What the functions of one process share: settings, authority, archive and store service, made when first needed.

The storage SDKs and pydicom are imported then too, so that a process starts, and answers what needs neither, quickly.
"""

import asyncio
import os
from functools import cache
from typing import TYPE_CHECKING

from shared.settings import Settings

if TYPE_CHECKING:
    from shared.services.retrieve.pixel_work import PixelWork
    from shared.services.sign_in.authority import Authority
    from shared.services.write.store import StoreService
    from shared.storage.archive import Archive

_opening = asyncio.Lock()
_archive: "Archive | None" = None
_store: "StoreService | None" = None
_pixel_work: "PixelWork | None" = None


@cache
def settings() -> Settings:
    """The settings, read from the environment once. Raises SettingsError."""
    return Settings.from_environment(os.environ)


@cache
def authority() -> "Authority":
    """The authority whose tokens are accepted, with the keys that the process holds of it. Raises SettingsError."""
    from shared.services.sign_in.authority import Authority

    return Authority(settings().authority)


async def archive() -> "Archive":
    """The process' archive; raises SettingsError when none is configured."""
    from shared.storage.archive import Archive

    global _archive
    async with _opening:
        if _archive is None:
            _archive = await Archive.open(settings())
    return _archive


async def close() -> None:
    """End the connections of the process' archive, for a server that knows when it ends; Azure's worker does not."""
    global _archive
    opened, _archive = _archive, None
    if opened is not None:
        await opened.close()


def pixel_work() -> "PixelWork":
    """The process' bounds of decoding, encoding and rendering."""
    from shared.services.retrieve.pixel_work import PixelWork

    global _pixel_work
    if _pixel_work is None:
        _pixel_work = PixelWork(settings().max_decoded_bytes)
    return _pixel_work


async def store_service() -> "StoreService":
    """The process' store service."""
    from shared.services.write.store import StoreService

    global _store
    opened = await archive()
    if _store is None:
        _store = StoreService(opened, settings())
    return _store
