"""The command line against Orthanc, where it is installed (Debian: orthanc, orthanc-dicomweb)."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from local.ports import free_ports
from tests.support.command_line import by_uid, run, uploaded
from tests.support.served_instances import dataset, new_uid, part10

ORTHANC = shutil.which("Orthanc")
PASSWORD = "open-sesame"  # noqa: S105 -- of the server that runs for this test
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

pytestmark = pytest.mark.skipif(
    not (ORTHANC and PLUGIN.exists()), reason="Orthanc and its DICOMweb plugin are not installed"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("orthanc"), free_ports(1)
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"me": PASSWORD},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen(  # noqa: S603 -- our own arguments
        [str(ORTHANC), str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_until_it_answers(process, f"http://me:{PASSWORD}@localhost:{port}/system")
        yield f"http://me:{PASSWORD}@localhost:{port}/dicom-web"
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_it_answers(process: "subprocess.Popen[bytes]", url: str) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            httpx.get(url).raise_for_status()
        except httpx.TransportError:
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.1)
        else:
            return


def test_upload_search_download_and_delete(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.command_line.SIGNED_IN", {})

    def cli(*arguments: object, code: int = 0) -> Result:
        result = run(*arguments, url=url, code=code)
        assert PASSWORD not in result.output
        return result

    folder, study_uid = tmp_path / "study", new_uid()
    folder.mkdir()
    uids = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": new_uid()}
    for number in range(12):
        (folder / str(number)).write_bytes(part10(dataset(**uids, InstanceNumber=number)))
    whole = by_uid(folder)
    # Orthanc refuses the whole request because of this file.
    (folder / "cut").write_bytes(part10(dataset(**uids))[:200])

    report = uploaded(cli, folder, code=1)
    assert (report["stored"] + report["already_there"], len(report["failures"])) == (12, 1)
    assert report["url"] == url.replace(f"me:{PASSWORD}@", "")
    again = uploaded(cli, folder, code=1)
    assert (again["stored"], again["already_there"]) == (0, 12)

    assert study_uid in cli("search", f"StudyInstanceUID={study_uid}", "--limit", 1).stdout
    found = cli("search", "instances", f"StudyInstanceUID={study_uid}", "--all", "--csv").stdout
    assert found.count(study_uid) == 12
    cli("download", study_uid, "--to", tmp_path / "to")
    assert by_uid(tmp_path / "to") == whole
    assert "12 instances" in cli("delete", study_uid, "--yes", code=2).output  # shows them, then says that it cannot
