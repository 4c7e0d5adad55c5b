"""What tests store through the service: files of a study as events of parts, and the outcomes of storing them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta

from shared.dicom.identifiers import DEFAULT_PARTITION
from shared.multipart import Event, Headers, MessageEnd, MultipartTruncated, PartBegin, PartData, PartEnd
from shared.services.write.store import StoreService
from shared.web.store_response import Outcome
from tests.support.answers import answer_work
from tests.support.served_instances import dataset, new_uid, numbered_uids, part10

Pause = Callable[[], Awaitable[None]]

LATER = timedelta(hours=2)  # when maintenance takes a request of now for dead


async def _no_pause() -> None:
    pass


async def events(
    files: Iterable[bytes], *, chunk_bytes: int = 65536, fails: bool = False, pause: Pause = _no_pause
) -> AsyncIterator[Event]:
    for file in files:
        await pause()
        yield PartBegin(Headers({"Content-Type": "application/dicom"}))
        for start in range(0, len(file), chunk_bytes):
            yield PartData(file[start : start + chunk_bytes])
        yield PartEnd()
    if fails:
        yield PartBegin(Headers())
        yield PartData(next(iter(files))[:200])
        raise MultipartTruncated("cut", 0)
    yield MessageEnd()


async def store(stores: StoreService, *files: bytes, pause: Pause = _no_pause) -> list[Outcome]:
    """Store files by one request; `pause` comes before each of them."""
    return await stores.store(
        events(files, pause=pause),
        answer_work(),
        partition=DEFAULT_PARTITION,
        study_instance_uid=None,
        api_version="v2",
    )


def files_of(study: str, count: int, *, series: str | None = None) -> list[bytes]:
    """Instances numbered in sequence, as devices number them."""
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series or new_uid()}
    return [part10(dataset(**uids, SOPInstanceUID=uid)) for uid in numbered_uids(count)]
