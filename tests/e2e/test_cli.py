"""The command line against a served app: what it says, what it leaves in the archive, and how it handles failures."""

import csv
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pydicom
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from typer.testing import Result

from local.azurite import ROOT
from local.sample_instances import sample_instances
from tests.e2e.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.command_line import SIGNED_IN, Cli, by_uid, run, uploaded
from tests.support.served_instances import dataset, new_uid, part10
from tests.support.token_issuer import OWNER, READER, token
from tests.support.watched_server import WatchedServer, watched_with_sign_in

DATA = Path(pydicom.__file__).parent / "data/test_files"
BUNDLED = ("CT_small", "examples_jpeg2k", "examples_palette", "image_dfl", "test-SR", "waveform_ecg")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    with watched_with_sign_in(tmp_path_factory.mktemp("cli") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def url(server: WatchedServer) -> str:
    return f"{server.base_url}/v2"


@pytest.fixture
def proxy(server: WatchedServer) -> Iterator[FaultyProxy]:
    with faulty_proxy(server.base_url) as running:
        yield running


@pytest.fixture
def cli(url: str) -> Cli:
    return lambda *arguments, **options: run(*arguments, url=url, **options)


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["stored"], report["already_there"], len(report["failures"]), report["skipped"]


def test_missing_requirements_are_reported() -> None:
    done = subprocess.run([sys.executable, "-S", "-m", "dicomweb_cli"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("No module named 'typer'. Run `. .venv/bin/activate` first, or `pip install .`.")


@pytest.fixture
def study(tmp_path: Path) -> tuple[str, Path]:
    """A study of 2 series with 4 and 8 small instances, new each time: its UID, and the folder of its files."""
    folder, study_uid = tmp_path / "study", new_uid()
    for count in (4, 8):
        uids = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": new_uid(), "StudyDescription": "Twelve"}
        series = folder / str(count)
        series.mkdir(parents=True)
        for number in range(count):
            (series / f"IM{number}").write_bytes(part10(dataset(**uids, InstanceNumber=number)))
    return study_uid, folder


def stored_in(server: WatchedServer, study_uid: str) -> int:
    """How many instances of a study the archive has, which is consistent."""
    return server.check().get(study_uid, 0)


def test_a_folder_of_all_sorts_is_uploaded_once(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "all sorts"
    (folder / "a/b").mkdir(parents=True)
    (folder / "empty").mkdir()
    for name in BUNDLED:
        shutil.copy(DATA / f"{name}.dcm", folder / "a/b" / name)
    shutil.copy(DATA / "dicomdirtests/DICOMDIR", folder)
    (folder / "notes.txt").write_text("no image")
    (folder / "nothing").touch()
    samples = sample_instances()
    with ZipFile(folder / "a/samples.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("readme", "still none")
        archive.writestr("sub/red", samples["red-triangle"])
        archive.writestr("sub/blue", samples["blue-circle"][132:])  # without preamble and prefix
    (folder / "again.dcm").write_bytes(samples["red-triangle"])
    (folder / "broken.zip").write_bytes((folder / "a/samples.zip").read_bytes()[:-30])

    first = uploaded(cli, folder, code=1)
    assert counts(first) == (len(BUNDLED) + 2, 1, 1, 4)  # both reds are the same
    assert first["failures"][0]["comments"] == ["File is not a zip file"]
    assert (first["files"], first["examined"], first["not_sent"], first["stopped"]) == (14, 14, 0, None)
    assert first["bytes"] > 100_000
    (folder / "broken.zip").unlink()
    assert counts(uploaded(cli, folder)) == (0, len(BUNDLED) + 3, 0, 4)
    assert counts(uploaded(cli, folder, "--all")) == (0, len(BUNDLED) + 3, 0, 4)


def test_what_is_held_is_not_sent_again(proxy: FaultyProxy, study: tuple[str, Path]) -> None:
    def cli(*arguments: object, code: int) -> Result:
        return run(*arguments, url=proxy.url, code=code)

    _, folder = study
    assert counts(uploaded(cli, folder, "--batch-files", 5, "--parallel", 1)) == (12, 0, 0, 0)
    assert len(proxy.stores) == 3
    (folder / "new").write_bytes(part10(dataset()))
    assert counts(uploaded(cli, folder)) == (1, 12, 0, 0)
    assert len(proxy.stores) == 4
    assert proxy.stores[-1] < 2000


def test_failures_are_reported_with_the_servers_reasons(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    twin = {"StudyInstanceUID": new_uid(), "SeriesInstanceUID": new_uid(), "SOPInstanceUID": new_uid()}
    (folder / "1 twin").write_bytes(part10(dataset(**twin)))
    (folder / "2 twin").write_bytes(part10(dataset(**twin, Rows=2, Columns=8)))
    (folder / "cut").write_bytes(part10(dataset())[:-8])
    (folder / "cut, too").write_bytes(part10(dataset())[:-8])
    (folder / "no id").write_bytes(part10(dataset(PatientID=None)))
    (folder / "no uids").write_bytes(part10(dataset(StudyInstanceUID=None)))
    (folder / "whole").write_bytes(part10(dataset()))

    report = uploaded(cli, folder, "--parallel", 1, code=1)
    failures = {Path(failure["file"]).name: failure for failure in report["failures"]}
    assert {name: failure["reason"] for name, failure in failures.items()} == {
        "2 twin": 45070,
        "cut": 272,
        "cut, too": 272,
        "no id": 43264,
        "no uids": 43264,
    }
    assert counts(report) == (2, 0, 5, 0)
    assert failures["2 twin"]["instance"] == twin["SOPInstanceUID"]
    assert "different content" in failures["2 twin"]["comments"][0]
    assert failures["cut"]["comments"] == ["The file is cut short in its Pixel Data."]
    assert "PatientID is required" in failures["no id"]["comments"][0]
    output = cli("upload", folder / "cut", code=1).stdout
    assert f"  {folder}/cut\n    272 processing failure\n    The file is cut short in its Pixel Data.\n" in output


def test_warnings_are_counted(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    with pytest.warns(UserWarning, match="Invalid value"):
        (folder / "odd").write_bytes(part10(dataset(StudyDate="yesterday")))
    report = uploaded(cli, folder)
    assert counts(report) == (1, 0, 0, 0)
    assert [warning["reason"] for warning in report["warnings"]] == [1]


def test_a_request_that_is_too_large_is_divided(proxy: FaultyProxy, study: tuple[str, Path]) -> None:
    proxy.max_bytes = 2500
    (study[1] / "large").write_bytes(part10(dataset(PixelData=bytes(4000))))
    report = uploaded(lambda *arguments, **options: run(*arguments, url=proxy.url, **options), study[1], code=1)
    assert counts(report) == (12, 0, 1, 0)
    assert report["failures"][0]["comments"] == ["413 too much"]
    assert max(proxy.stores) > proxy.max_bytes


def test_a_busy_server_and_lost_answers_are_overcome(proxy: FaultyProxy, study: tuple[str, Path]) -> None:
    proxy.faults.extend(["busy", "busy", "lost"])
    report = uploaded(
        lambda *arguments, **options: run(*arguments, url=proxy.url, **options), study[1], "--parallel", 1
    )
    assert counts(report) == (0, 12, 0, 0)  # the answer that reported their store was lost
    assert len(proxy.stores) == 4


def interrupted(folder: Path, proxy: FaultyProxy, *, stores: int, times: int) -> tuple[dict[str, Any], str]:
    """The report and the output of an upload that gets SIGINT `times` times once `stores` requests have come."""
    report = folder.parent / "interrupted.json"
    command = [sys.executable, "-m", "dicomweb_cli", "upload", folder, "--report", report, "--url", proxy.url]
    process = subprocess.Popen(  # noqa: S603 -- our own arguments
        [*map(str, command), "--batch-files", "1", "--parallel", "2"],
        cwd=ROOT,
        env={**os.environ, **SIGNED_IN},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while len(proxy.stores) < stores:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stdout
        lines = [process.stdout.readline()]
        for _ in range(1, times):
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, output
    return json.loads(report.read_text()), lines[0] + output


def test_ctrl_c_stops_and_reports_all(
    server: WatchedServer, cli: Cli, proxy: FaultyProxy, study: tuple[str, Path]
) -> None:
    study_uid, folder = study
    proxy.seconds = 0.4
    report, output = interrupted(folder, proxy, stores=3, times=1)
    assert "waiting for the requests under way" in output
    assert "Run the same command again" in output
    assert report["is_interrupted"]
    assert counts(report) == (len(proxy.stores), 0, 0, 0)
    assert 3 <= report["stored"] < 12
    assert report["stored"] + report["not_sent"] + report["files"] - report["examined"] == 12
    assert stored_in(server, study_uid) == report["stored"]
    assert counts(uploaded(cli, folder)) == (12 - report["stored"], report["stored"], 0, 0)


def test_ctrl_c_twice_aborts_and_says_what_is_not_known(proxy: FaultyProxy, study: tuple[str, Path]) -> None:
    proxy.seconds = 1.5
    report, _ = interrupted(study[1], proxy, stores=2, times=2)
    assert report["stored"] == 0
    assert [failure["comments"] for failure in report["failures"]] == [
        ["The request was interrupted: whether it is stored is not known."]
    ] * 2


def test_download_gives_back_what_was_uploaded(cli: Cli, study: tuple[str, Path], tmp_path: Path) -> None:
    study_uid, folder = study
    uploaded(cli, folder)
    to = tmp_path / "to"
    assert "Downloaded            12" in cli("download", study_uid, "--to", to).stdout
    assert by_uid(to) == by_uid(folder)
    series, files = to / study_uid, sorted(to.rglob("*.dcm"))
    assert len(list(series.iterdir())) == 2
    files[0].unlink()
    files[-1].unlink()
    again = cli("download", study_uid, "--to", to).stdout
    assert "Downloaded             2" in again
    assert "There before          10" in again
    assert by_uid(to) == by_uid(folder)
    assert not [path for path in to.rglob("*") if path.is_file() and path.suffix != ".dcm"]

    one = pydicom.dcmread(files[0])
    part = tmp_path / "part"
    cli("download", study_uid, "--series", one.SeriesInstanceUID, "--instance", one.SOPInstanceUID, "--to", part)
    assert list(by_uid(part)) == [one.SOPInstanceUID]
    cli("download", study_uid, "--series", one.SeriesInstanceUID, "--to", part)
    assert len(by_uid(part)) in (4, 8)
    cli("download", study_uid, "--instance", one.SOPInstanceUID, "--to", part, code=2)
    assert "no such study" in cli("download", new_uid(), "--to", part, code=1).stderr


def test_download_of_bundled_files_is_bit_for_bit(cli: Cli, tmp_path: Path) -> None:
    files = [DATA / f"{name}.dcm" for name in BUNDLED]
    cli("upload", *files)
    for file in files:
        study_uid = pydicom.dcmread(file, specific_tags=["StudyInstanceUID"]).StudyInstanceUID
        cli("download", study_uid, "--to", tmp_path)
    assert sorted(by_uid(tmp_path).values()) == sorted(file.read_bytes()[128:] for file in files)


def test_download_as_zip(cli: Cli, study: tuple[str, Path], tmp_path: Path) -> None:
    study_uid, folder = study
    uploaded(cli, folder)
    output = cli("download", study_uid, "--zip", "--to", tmp_path / "to").stdout
    archive = tmp_path / "to" / f"{study_uid}.zip"
    assert str(archive) in output
    assert list((tmp_path / "to").iterdir()) == [archive]
    with ZipFile(archive) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    assert {pydicom.dcmread(BytesIO(file)).SOPInstanceUID: file[128:] for file in files.values()} == by_uid(folder)
    assert all(name.startswith(f"{study_uid}/") for name in files)


def test_download_goes_on_after_a_cut_answer(proxy: FaultyProxy, study: tuple[str, Path], tmp_path: Path) -> None:
    study_uid, folder = study

    def cli(*arguments: object, code: int = 0) -> Result:
        return run(*arguments, url=proxy.url, code=code)

    uploaded(cli, folder)
    proxy.faults.extend(["cut", "busy", "cut"])
    assert "Downloaded            12" in cli("download", study_uid, "--to", tmp_path / "to").stdout
    assert by_uid(tmp_path / "to") == by_uid(folder)


def test_search_shows_tables_csv_and_json(cli: Cli, study: tuple[str, Path]) -> None:
    study_uid, folder = study
    uploaded(cli, folder)
    key = f"StudyInstanceUID={study_uid}"
    table = cli("search", key).stdout.splitlines()
    assert [line.split() for line in table if study_uid in line] == [
        ["ID", "Test^Case", "20260101", "OT", "Twelve", "2", "12", study_uid]
    ]
    rows = list(csv.DictReader(StringIO(cli("search", "series", key, "--csv").stdout)))
    assert sorted(row["NumberOfSeriesRelatedInstances"] for row in rows) == ["4", "8"]
    found = json.loads(cli("search", "instances", key, "--json", "--limit", 3).stdout)
    assert len(found) == 3
    assert found[0]["0020000D"]["Value"] == [study_uid]
    assert json.loads(cli("search", "StudyInstanceUID=1.2.3.4.5", "--json").stdout) == []


def test_search_pages_through_and_shows_warnings(
    cli: Cli, study: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    study_uid, folder = study
    uploaded(cli, folder)
    monkeypatch.setattr("dicomweb_cli.results._PAGE", 5)
    for options, expected in ((("--all",), 12), (("--limit", 7), 7), (("--limit", 12), 12)):
        result = cli("search", "instances", f"StudyInstanceUID={study_uid}", "--csv", *options)
        assert len({row["SOPInstanceUID"] for row in csv.DictReader(StringIO(result.stdout))}) == expected
        assert ("299" in result.stderr) == (expected == 7), result.stderr
    assert "KEY=VALUE, after" in cli("search", "instances", "PatientName", code=2).stderr
    assert "400" in cli("search", "StudyDate=soon", code=1).stderr


def test_delete_shows_and_asks(cli: Cli, study: tuple[str, Path]) -> None:
    study_uid, folder = study
    uploaded(cli, folder)
    series = pydicom.dcmread(next((folder / "4").iterdir())).SeriesInstanceUID
    refused = cli("delete", study_uid, input="n\n", code=1).output
    assert "Twelve, 20260101\n2 series, 12 instances" in refused
    assert "Nothing was deleted." in refused
    assert "1 series, 4 instances" in cli("delete", study_uid, "--series", series, input="y\n").output
    assert "1 series, 8 instances" in cli("delete", study_uid, "--yes").output
    assert "404" in cli("delete", study_uid, "--yes", code=1).output


def test_sign_in(cli: Cli, study: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Credential:
        def get_token(self, *scopes: str, **_: object) -> AccessToken:
            assert scopes == ("api://dicom/.default",)
            return AccessToken(token(**OWNER), int(time.time()) + 3600)

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Credential)
    study_uid, folder = study
    may_not = cli("upload", folder, "--token", token(**READER), code=2).stdout
    assert "Stopped: The signed-in user may not do this: " in may_not
    assert "Not sent              12" in may_not
    assert counts(uploaded(cli, folder, "--token", token(**OWNER))) == (12, 0, 0, 0)
    assert "Results: 1" in cli("search", f"StudyInstanceUID={study_uid}", "--token", token(**READER)).stderr
    assert "not both" in cli("search", "--scope", "api://dicom/.default", code=2).stderr
    monkeypatch.setattr("tests.support.command_line.SIGNED_IN", {})
    assert "requires a sign-in. Run `az login`, then give --scope " in cli("search", code=2).stderr
    assert cli("upload", folder, code=2).output.count("az login") == 1
    assert "Deleted." in cli("delete", study_uid, "--yes", "--scope", "api://dicom/.default").stdout


def test_no_azure_sign_in_is_said_once(
    url: str, study: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Credential:
        def get_token(self, *_: str, **__: object) -> AccessToken:
            logging.getLogger("azure.identity._chain").warning("It failed.")
            raise ClientAuthenticationError("None works.\n\tAzureCliCredential: Please run 'az login'.\nSee elsewhere.")

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Credential)
    monkeypatch.setattr("tests.support.command_line.SIGNED_IN", {})
    output = run("upload", study[1], "--scope", "api://dicom/.default", url=url, code=2).output
    said = "no sign-in for api://dicom/.default: Please run 'az login'. Run `az login --scope api://dicom/.default`."
    assert output.count(said) == output.count("sign-in") == 1
    assert "It failed." not in capfd.readouterr().err


def test_what_cannot_be_done_is_said(url: str, study: tuple[str, Path]) -> None:
    assert "does not exist" in run("upload", study[1] / "no", url=url, code=2).stderr
    assert "is not like" in run("search", url="dicom.example.org", code=2).stderr
    nowhere = run("upload", study[1], url="http://127.0.0.1:1/v2", code=2).stdout
    assert "Stopped: The connection" in nowhere
    assert "Not sent" in nowhere
    wrong = run("upload", study[1], "--all", url=url.replace("v2", "v9"), code=2).stdout
    assert "does not store: 404" in wrong
