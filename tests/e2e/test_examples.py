"""The examples, run as a user runs them: the tutorial in three languages, and the notebook."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from zipfile import ZipFile

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image

from local.azurite import ROOT
from local.sample_instances import sample_instances
from tests.conftest import Server
from tests.e2e.powershell import to_bash

RED = pydicom.dcmread(BytesIO(sample_instances()["red-triangle"]))
STUDY = RED.StudyInstanceUID
NOTEBOOK = ROOT / "examples/store_search_frames.ipynb"
TUTORIALS = ("tutorial.py", "tutorial.sh", "tutorial.ps1")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def service(server: Server) -> Iterator[httpx.Client]:
    """A client of an archive without the tutorial's study."""
    with httpx.Client(base_url=f"{server.base_url}/v2", timeout=60) as client:
        client.delete(f"/studies/{STUDY}")
        yield client
        client.delete(f"/studies/{STUDY}")


def run(command: list[str | Path], url: object, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in the checkout, on the service at `url`; its temporary files go to `folder`."""
    places = {name: str(folder) for name in ("TMPDIR", "TEMP", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    return subprocess.run(  # noqa: S603
        command,
        cwd=ROOT,
        env={**os.environ, **places, "DICOMWEB_URL": str(url).rstrip("/"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def tutorial(name: str, url: object, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the tutorial in one of its languages; the one for PowerShell, translated to bash."""
    if name == "tutorial.py":
        return run([sys.executable, "-m", "examples.tutorial"], url, folder, **environment)
    script = ROOT / "examples" / name
    if script.suffix == ".ps1":
        script = folder / "translated.sh"
        script.write_text(to_bash((ROOT / "examples" / name).read_text()))
    files = folder / "the files"
    subprocess.run([sys.executable, "-m", "local.sample_instances", files], cwd=ROOT, check=True)  # noqa: S603
    return run(["bash", script, files], url, folder, **environment)


def is_gone(service: httpx.Client) -> bool:
    return service.get("/studies", params={"StudyInstanceUID": STUDY}).status_code == 204


def test_the_tutorial_with_dicomweb_client(service: httpx.Client, tmp_path: Path) -> None:
    done = tutorial("tutorial.py", service.base_url, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines()[:-1])
    assert said.pop("Stored").endswith(f"/instances/{RED.SOPInstanceUID}")
    with Image.open(said.pop("Picture")) as picture:
        assert (np.asarray(picture) == RED.pixel_array).all()
    assert said == {
        "Stored into the study": "2",
        "Instances of the study": "3",
        "Instances of the series": "2",
        "The instance is the file that was stored": "True",
        "Metadata of the study": "3",
        "Metadata of the series": "2",
        "Size": "256 x 256",
        "Bytes of the frame": str(256 * 256 * 3),
        "Instances by the search": "3",
        "Studies of 2020 of a patient with such a name": "1",
        "Series found": "1",
        "Series of the study": "2",
        "Instances found": "1",
        "Left of the study": "2",
    }
    assert done.stdout.endswith("\nLeft of the study: 0\n")
    assert is_gone(service)


@needs_curl
@pytest.mark.parametrize("name", ["tutorial.sh", "tutorial.ps1"])
def test_the_tutorial_with_curl(service: httpx.Client, tmp_path: Path, name: str) -> None:
    done = tutorial(name, service.base_url, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    statuses = [line[:3] for line in lines if line[4:].startswith(str(service.base_url).rstrip("/"))]
    assert statuses == ["200"] * 17 + ["204"] * 3
    found = [len(json.loads(line)) for line in lines if line.startswith("[")]
    assert found == [1, 1, 2, 1, 1, 2]
    assert is_gone(service)

    out = Path(last.partition(" is in ")[2])
    assert out.is_relative_to(tmp_path)
    stored = [bytes(128) + file[128:] for file in sample_instances().values()]
    assert all((out / "study.multipart").read_bytes().count(file) == 1 for file in stored)
    with ZipFile(out / "series.zip") as archive:
        assert len(archive.namelist()) == 2
    assert (out / "instance.dcm").read_bytes() in stored
    assert pydicom.dcmread(out / "instance.dcm") == RED
    assert (out / "frame.raw").read_bytes() == RED.PixelData
    with Image.open(out / "picture.png") as picture:
        assert (np.asarray(picture) == RED.pixel_array).all()
    counts = [len(json.loads((out / f"{level}.json").read_text())) for level in ("study", "series", "instance")]
    assert counts == [3, 2, 1]


@needs_curl
@pytest.mark.parametrize("name", TUTORIALS)
def test_the_tutorial_leaves_a_study_alone_that_is_already_there(
    service: httpx.Client, tmp_path: Path, name: str
) -> None:
    headers = {"Content-Type": "application/dicom"}
    assert service.post("/studies", content=sample_instances()["blue-circle"], headers=headers).status_code == 200
    done = tutorial(name, service.base_url, tmp_path)
    assert done.returncode == 1
    assert "is already there" in done.stderr
    assert len(service.get(f"/studies/{STUDY}/instances").json()) == 1


class Refusing(BaseHTTPRequestHandler):
    """Answers 401, and notes the Authorization of each request."""

    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers["Authorization"])
        self.send_error(401)

    def log_message(self, format: str, *args: Any) -> None: ...


@needs_curl
@pytest.mark.parametrize("name", TUTORIALS)
def test_the_tutorial_signs_in_and_ends_where_it_is_refused(tmp_path: Path, name: str) -> None:
    Refusing.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v2"
        done = tutorial(name, url, tmp_path, DICOMWEB_TOKEN="not.a.token")  # noqa: S106
        server.shutdown()
    assert done.returncode == 1
    assert "401" in done.stderr
    assert Refusing.seen == ["Bearer not.a.token"]
    assert not list(tmp_path.rglob("options"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("curl.exe \"$Url/studies", "error"),
        ("curl \"$Url/studies\"", "No known form"),  # another command in 5.1
        ("curl.exe -H 'type=\"application/dicom\"' \"$Url\"", "No known form"),  # 5.1 removes the quotes
        ("curl.exe \"$Url?limit=1\"", "No known form"),  # the variable Url?
        ("curl.exe -o \"C:\\\" \"$Url\"", "No known form"),  # in 5.1 the backslash escapes the quote
        ("curl.exe `\n-o 'a.json'", "No known form"),
        ("# “quoted”", "byte order mark"),
    ],
)  # fmt: skip
def test_what_powershell_reads_differently_is_found(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        to_bash(f"{line}\n")


def outputs(notebook: dict[str, Any]) -> tuple[list[str], list[bytes]]:
    """What the cells of a notebook said, and the pictures that they showed; none failed."""
    said, pictures = [], []
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        assert output["output_type"] in {"stream", "display_data"}, output
        if output["output_type"] == "stream":
            assert output["name"] == "stdout"
            said.append("".join(output["text"]))
        else:
            pictures.append(base64.b64decode(output["data"]["image/png"]))
    return said, pictures


def test_the_notebook(service: httpx.Client, tmp_path: Path) -> None:
    copy = shutil.copy(NOTEBOOK, tmp_path)
    done = run([Path(sys.executable).with_name("jupyter"), "execute", "--inplace", copy], service.base_url, tmp_path)
    assert done.returncode == 0, done.stderr
    said, (picture,) = outputs(json.loads(Path(copy).read_text()))

    # Each half shows an image with many grays, dark and bright.
    shown = np.asarray(Image.open(BytesIO(picture)).convert("L")).astype(float)
    assert len(np.unique(shown)) > 100
    left, right = (half[shown.shape[0] // 4 :, 20:120] for half in np.array_split(shown, 2, axis=1))
    assert left.std() > 50
    assert right.std() > 50

    # What is committed is small, and what it says and shows today.
    committed, (committed_picture,) = outputs(json.loads(NOTEBOOK.read_text()))
    assert committed == said
    assert Image.open(BytesIO(committed_picture)).size == Image.open(BytesIO(picture)).size
    assert NOTEBOOK.stat().st_size < 100_000
