"""The samples in an archive: stored without a warning, and plain to see."""

import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dicomweb_cli.samples import write_samples
from local.azurite import ROOT
from tests.conftest import Server, serving
from tests.support import patient_values
from tests.support.messages import MULTIPART_DICOM, multipart

MODALITIES = ("CT", "MR", "US", "CR", "SR", "DOC")
LEVELS = 256
FLAT, CLIPPED = 0.9, 0.2  # the most of a picture that may be of one level; that may be white


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    patient_values.remember(
        *(f"SYNTHETIC-{name}" for name in MODALITIES), *(f"Synthetic^{name}" for name in MODALITIES)
    )
    with serving(tmp_path_factory.mktemp("samples") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def service(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the service, in which a store of the samples was answered with 200: without a warning."""
    folder = tmp_path_factory.mktemp("files")
    list(write_samples(folder))
    files = [path.read_bytes() for path in folder.rglob("*.dcm")]
    with httpx.Client(base_url=f"{server.base_url}/v2", timeout=60) as client:
        answer = client.post("/studies", content=multipart(files), headers={"Content-Type": MULTIPART_DICOM})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["00081199"]["Value"]) == len(files) == 104
        assert "00081198" not in answer.json()
        yield client


def study(service: httpx.Client, modality: str) -> str:
    """The path of the study of a modality."""
    found = service.get("/studies", params={"PatientID": f"SYNTHETIC-{modality}"}).json()
    return f"/studies/{found[0]['0020000D']['Value'][0]}"


def picture(service: httpx.Client, path: str) -> NDArray[Any]:
    """The levels of a rendered picture, of all colours together."""
    answer = service.get(f"{path}/rendered", headers={"Accept": "image/png"})
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(BytesIO(answer.content)))


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "CR"])
def test_a_picture_is_neither_flat_nor_clipped(service: httpx.Client, modality: str) -> None:
    shown = picture(service, study(service, modality))
    levels = np.bincount(shown.ravel(), minlength=LEVELS) / shown.size
    assert levels.max() < FLAT
    assert levels[-1] < CLIPPED
    assert np.count_nonzero(levels > 1e-4) > LEVELS / 4


def test_a_clip_is_drawn_frame_by_frame_in_colours(service: httpx.Client) -> None:
    (instance,) = service.get(f"{study(service, 'US')}/instances").json()
    path = f"{study(service, 'US')}/series/{instance['0020000E']['Value'][0]}"
    path += f"/instances/{instance['00080018']['Value'][0]}"
    first, later = (picture(service, f"{path}/frames/{number}").astype(int) for number in (1, 15))
    assert np.mean(first[..., 0] - first[..., 2] > 100) > 0.01  # red
    assert np.mean(np.abs(first - later)) > 1


def test_a_document_is_sent_as_it_is(service: httpx.Client) -> None:
    answer = service.get(f"{study(service, 'DOC')}/rendered", headers={"Accept": "application/pdf"})
    assert answer.status_code == 200
    assert answer.content.startswith(b"%PDF-")


@pytest.mark.long
def test_make_stores_them_beside_those_that_are_there(service: httpx.Client) -> None:
    command = ["make", "-o", "setup", "samples", f"PORT={service.base_url.port}"]  # nothing is installed
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Stored               104" in done.stdout
    folder = Path(done.stdout.splitlines()[0].split()[1])
    assert not folder.parent.exists()
    assert len(service.get("/studies", params={"PatientName": "Synthetic*"}).json()) == 2 * len(MODALITIES)
