"""Backs the archive of this service up, and restores it: past the service, straight between storage accounts."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

from rich.progress import DownloadColumn, TransferSpeedColumn

from dicomweb_cli.connection import CannotGoOn
from dicomweb_cli.storage_errors import explained
from dicomweb_cli.terminal import OUT, progress, size_text
from shared.dicom.identifiers import StudyKey
from shared.services.backup.backup import BackedUp, back_up
from shared.services.backup.restore import Restored, restore, restore_study
from shared.services.repair.consistency import examine
from shared.services.repair.differences import Difference
from shared.settings import Settings, SettingsError
from shared.storage.archive import Archive
from shared.storage.backup_container import BackupContainer

_SHOWN: Final = 20  # failures
_SHOWN_SECONDS: Final = 0.2


def settings_of(options: Mapping[str, str]) -> Settings:
    """The settings of the environment, but for the variables in `options` that are not empty. Raises CannotGoOn."""
    values = {**os.environ, **{name: value for name, value in options.items() if value}}
    blob_endpoint = values.get("STORAGE_BLOB_ENDPOINT", "")
    is_another = blob_endpoint != os.environ.get("STORAGE_BLOB_ENDPOINT", "")
    if blob_endpoint and (is_another or not values.get("STORAGE_TABLE_ENDPOINT")):
        values["STORAGE_TABLE_ENDPOINT"] = blob_endpoint.replace(".blob.", ".table.", 1)
    try:
        return Settings.from_environment(values)
    except SettingsError as error:
        raise CannotGoOn(str(error)) from None


async def run_backup(settings: Settings, erased: Collection[StudyKey]) -> bool:
    """Back up, print what was done, and return whether nothing failed. Raises CannotGoOn."""
    done = BackedUp()
    try:
        async with _opened(settings) as (archive, backup), _shown("Backing up", done):
            await back_up(archive, backup, settings, done, erased=erased)
    except BaseException:
        if done.studies:
            _show_backup(done, settings.backup_retention_days)
        raise
    _show_backup(done, settings.backup_retention_days)
    return not done.failures


async def run_restore(settings: Settings, study: StudyKey | None, at: datetime | None, merges: bool) -> bool:
    """Restore, check a whole archive, print what was done and found; return whether all is well. Raises CannotGoOn."""
    done, differences = Restored(), list[Difference]()
    try:
        async with _opened(replace(settings, create_storage=True)) as (archive, backup), _shown("Restoring", done):
            if study is not None:
                await restore_study(archive, backup, settings, study, done, at=at)
            else:
                await restore(archive, backup, settings, done, at=at, merges=merges)
                differences = [one async for one in examine(archive, settings)]
    except BaseException:
        if done.studies:
            _show_restore(done)
        raise
    _show_restore(done)
    for difference in differences:
        OUT.print(f"{difference.kind}: {difference.concerns}: {difference.sentence}", soft_wrap=True)
    if study is None:
        OUT.print(f"{len(differences)} differences in the archive.")
    return not done.failures and not differences


def _show_backup(done: BackedUp, retention_days: int) -> None:
    for label, count, comment in (
        ("Studies", done.studies, ""),
        ("Backed up", done.taken, f"{done.blobs} files, {size_text(done.bytes)}" if done.taken else ""),
        ("Gone", done.gone, f"kept for {retention_days} days" if done.gone else ""),
        ("Removed", done.removed, "older snapshots" if done.removed else ""),
    ):
        OUT.print(f"{label:<16} {count:>7}  {comment}".rstrip())
    _show_failures([(study.path, why) for study, why in done.failures])


def _show_restore(done: Restored) -> None:
    for label, count, comment in (
        ("Studies", done.studies, ""),
        ("Restored", done.entered, f"instances, {size_text(done.bytes)}" if done.entered else ""),
        ("There before", done.there, f"{done.different} differ from the backup, and stay" if done.different else ""),
    ):
        OUT.print(f"{label:<16} {count:>7}  {comment}".rstrip())
    _show_failures(done.failures)


def _show_failures(failures: list[tuple[str, str]]) -> None:
    OUT.print(f"{'Failed':<16} {len(failures):>7}")
    for path, why in failures[:_SHOWN]:
        OUT.print(f"  {path}: {why}", soft_wrap=True)
    if len(failures) > _SHOWN:
        OUT.print(f"  and {len(failures) - _SHOWN} more")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Archive, BackupContainer]]:
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # it would repeat each error
    with explained(settings):
        async with AsyncExitStack() as opened:
            backup = await BackupContainer.open(settings)
            opened.push_async_callback(backup.close)
            archive = await Archive.open(settings)
            opened.push_async_callback(archive.close)
            yield archive, backup


@asynccontextmanager
async def _shown(title: str, done: BackedUp | Restored) -> AsyncIterator[None]:
    """Show how many bytes have been copied, while they are."""
    with progress(title, None, DownloadColumn(), TransferSpeedColumn()) as show:

        async def watch() -> None:
            while True:
                show(done.bytes)
                await asyncio.sleep(_SHOWN_SECONDS)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
