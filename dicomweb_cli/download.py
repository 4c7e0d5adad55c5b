"""Downloads a study, series or instance (WADO-RS) as it is stored, into a folder or a ZIP archive."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final, TypeVar
from zipfile import ZIP_STORED, ZipFile

from rich.progress import MofNCompleteColumn

from dicomweb_cli.connection import CannotGoOn, Connection, Refused
from dicomweb_cli.incoming import BrokenOff, file_of, receive
from dicomweb_cli.resources import instances_of
from dicomweb_cli.terminal import OUT, plain, progress, size_text
from shared.dicom.identifiers import InstanceIdentifiers, ResourceIdentifiers

_ATTEMPTS: Final = 4
_SHOWN: Final = 20  # failures

Item = TypeVar("Item")


@dataclass(slots=True)
class Downloaded:
    """How many instances there are, were there before, and came, with their bytes; and why others did not, by path."""

    wanted: int = 0
    before: int = 0
    came: int = 0
    bytes: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def show(self) -> None:
        """Print it."""
        rest = self.wanted - self.before - self.came - len(self.failures)
        for label, count, comment in (
            ("Downloaded", self.came, size_text(self.bytes)),
            ("There before", self.before, ""),
            ("Failed", len(self.failures), ""),
            ("Not downloaded", max(rest, 0), ""),
        ):
            if count or label in ("Downloaded", "Failed"):
                OUT.print(f"{label:<16} {count:>7}  {comment}".rstrip())
        for path, why in list(self.failures.items())[:_SHOWN]:
            OUT.print(f"  {path}: {plain(why)}", soft_wrap=True)


async def download(
    connection: Connection, resource: ResourceIdentifiers, folder: Path, *, parallel: int, done: Downloaded
) -> None:
    """Write each instance to ``study/series/instance.dcm``, unless it is there already; `done` says how far it came.

    A series of which nothing is there yet is requested as a whole; everything else, including what such an answer
    leaves out, instance by instance. Raises Refused and CannotGoOn.
    """
    wanted = sorted([instance async for instance in instances_of(connection, resource)], key=_series_of)
    done.wanted, done.before = len(wanted), len(wanted) - len(_missing(folder, wanted))
    with progress("Downloading", len(wanted), MofNCompleteColumn()) as show:

        def on_whole(size: int) -> None:
            done.came += 1
            done.bytes += size
            show(done.before + done.came)

        async def fetch_series(path: str) -> None:
            try:
                await receive(connection, path, folder, on_whole)
            except (Refused, BrokenOff):
                return  # what is missing is requested again, separately, and then says why

        async def fetch_instance(instance: InstanceIdentifiers) -> None:
            why = await _attempted(lambda: receive(connection, instance.path, folder, on_whole))
            if not file_of(folder, instance).exists():
                done.failures[instance.path] = why or "The server lists it, but does not send it."

        by_series = [list(group) for _, group in groupby(wanted, _series_of)]
        untouched = [group for group in by_series if len(group) > 1 and _missing(folder, group) == group]
        await _in_parallel(parallel, fetch_series, [group[0].path.partition("/instances/")[0] for group in untouched])
        await _in_parallel(parallel, fetch_instance, _missing(folder, wanted))


async def download_zip(
    connection: Connection, resource: ResourceIdentifiers, folder: Path, *, parallel: int, done: Downloaded
) -> Path:
    """Download into a folder beside the archive ``<UID>.zip``, then make the archive from it; return its path.

    Failures stay in `done`; then the folder is left, and no archive is made. Raises Refused and CannotGoOn.
    """
    uid = resource.sop_instance_uid or resource.series_instance_uid or resource.study_instance_uid
    archive, unpacked = folder / f"{uid}.zip", folder / f"{uid}.unpacked"
    await download(connection, resource, unpacked, parallel=parallel, done=done)
    if not done.failures:
        await asyncio.to_thread(_pack, unpacked, archive)
        shutil.rmtree(unpacked)
    return archive


def _pack(folder: Path, archive: Path) -> None:
    """Make the archive, which appears under its name once it is whole. Raises CannotGoOn where it cannot be written."""
    unfinished = archive.with_suffix(".zip.part")
    try:
        with ZipFile(unfinished, "w", ZIP_STORED) as packed:
            for file in sorted(folder.rglob("*.dcm")):
                packed.write(file, file.relative_to(folder))
        unfinished.replace(archive)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CannotGoOn(f"{archive} cannot be written: {error.strerror}") from None


def _series_of(instance: InstanceIdentifiers) -> str:
    return instance.series_instance_uid


def _missing(folder: Path, instances: Sequence[InstanceIdentifiers]) -> list[InstanceIdentifiers]:
    return [instance for instance in instances if not file_of(folder, instance).exists()]


async def _attempted(fetch: Callable[[], Awaitable[None]]) -> str | None:
    """Fetch something, with retries that make sense; return why it could not be fetched, else None."""
    why = None
    for attempt in range(_ATTEMPTS):
        try:
            await fetch()
        except Refused as error:
            return str(error)
        except BrokenOff as error:
            why = str(error)
            await asyncio.sleep(attempt)
        else:
            return None
    return why


async def _in_parallel(count: int, work: Callable[[Item], Awaitable[None]], items: Sequence[Item]) -> None:
    """Do the work on each item, `count` at once. After an error no further item is started, and the error is raised."""
    remaining = iter(items)

    async def worker() -> None:
        for item in remaining:
            await work(item)

    tasks = [asyncio.create_task(worker()) for _ in range(count)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
