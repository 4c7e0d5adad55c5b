"""The comparison with other programs finds what differs, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from tests.conftest import Server
from tests.foreign.__main__ import compared
from tests.foreign.frames import frame_differences
from tests.foreign.pictures import picture_differences
from tests.support.frame_encoders import color_samples, jpeg_rgb
from tests.support.image_matrix import LOSSY_JPEG, RGB, MatrixImage
from tests.support.served_instances import stored


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server.base_url}/v2", timeout=60) as client:
        yield client


IMAGE = MatrixImage("", LOSSY_JPEG[0], RGB, jpeg_rgb(color_samples()), color_samples())
OTHER = MatrixImage("", LOSSY_JPEG[0], RGB, jpeg_rgb(color_samples()[::-1].copy()), color_samples())


def test_a_file_that_is_read_alike_everywhere(service: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(IMAGE.part10())
    assert list(compared(service, path)) == []


def test_what_differs_is_told(service: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "other.dcm"
    path.write_bytes(OTHER.part10())
    url = stored(service, IMAGE.part10())
    assert list(frame_differences(service, url, dcmread(path))) == ["frame 1 is not what another decoder reads"]
    (difference,) = picture_differences(service, url, path, dcmread(path))
    assert difference.startswith("the picture differs in ")


def test_a_file_that_is_refused_is_told(service: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(IMAGE.part10()[:-20])
    (difference,) = compared(service, path)
    assert difference.startswith("not stored: 409")
