"""One file through the service whole, and all that differs from what other programs make of it."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
from pydicom.dataset import Dataset

from tests.foreign.frames import frame_differences
from tests.foreign.metadata import metadata_differences
from tests.foreign.pictures import picture_differences
from tests.foreign.pydicom_attributes import dataset_of
from tests.foreign.transactions import bytes_differences, deletion_differences, search_differences

Check = tuple[str, Callable[[], Iterator[str]]]


def findings(service: httpx.Client, url: str, path: Path) -> Iterator[tuple[str, str]]:
    """What differs of the instance at `url`, which was made of a file: by which check, and in what. Deletes it.

    A check that cannot be carried out is a finding, too.
    """
    for name, check in _checks(service, url, path):
        try:
            for difference in check():
                yield name, difference
        except Exception as error:  # noqa: BLE001 -- one file does not keep others from being checked
            yield name, f"cannot be checked: {type(error).__name__}"


def _checks(service: httpx.Client, url: str, path: Path) -> Iterator[Check]:
    try:
        dataset = dataset_of(path)
    except Exception as error:  # noqa: BLE001 -- pydicom has no error of its own for most of what it does not read
        dataset = Dataset()
        yield "metadata", partial(iter, (f"pydicom does not read the file: {type(error).__name__}",))
    yield "bytes", partial(bytes_differences, service, url, path)
    if dataset:
        yield "metadata", partial(metadata_differences, service, url, path)
    yield "search", partial(search_differences, service, url, dataset)
    if "PixelData" in dataset:
        yield "frames", partial(frame_differences, service, url, dataset)
        yield "pictures", partial(picture_differences, service, url, path, dataset)
    yield "deletion", partial(deletion_differences, service, url)
