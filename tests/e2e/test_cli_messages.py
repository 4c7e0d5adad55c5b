"""What the command line says of mistakes: a wrong URL, a misspelt key, an empty folder, a full disk."""

from pathlib import Path

import pydicom
import pytest

from tests.conftest import Server
from tests.support.command_line import Cli, by_uid, run
from tests.support.served_instances import dataset, new_uid, part10

FULL = Path("/dev/full")  # each write to it fails as on a full disk


@pytest.fixture
def cli(server: Server) -> Cli:
    return lambda *arguments, **options: run(*arguments, url=f"{server.base_url}/v2", **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one study of 2 instances of one series."""
    made, uids = tmp_path / "study", {"StudyInstanceUID": new_uid(), "SeriesInstanceUID": new_uid()}
    made.mkdir()
    for number in range(2):
        (made / f"IM{number}").write_bytes(part10(dataset(**uids, InstanceNumber=number)))
    return made


def test_nothing_to_upload_is_a_failure(cli: Cli, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    said = f"There is nothing to upload: no DICOM files in {empty}."
    assert said in cli("upload", empty, code=1).stderr
    (empty / "notes.txt").write_text("no image")
    result = cli("upload", empty, code=1)
    assert said in result.stderr
    assert "Skipped                1  not DICOM instances" in result.stdout


@pytest.mark.parametrize("end", ["/v9", "/dicom", "/v2/v2", "/v2/studies"])
def test_the_url_that_is_meant_is_suggested(server: Server, folder: Path, tmp_path: Path, end: str) -> None:
    url, suggestion = f"{server.base_url}{end}", f"Did you mean {server.base_url}/v2?"
    assert suggestion in run("search", url=url, code=2).stderr
    assert suggestion in run("download", "1.2", "--to", tmp_path / "to", url=url, code=2).stderr
    assert suggestion in run("delete", "1.2", "--yes", url=url, code=2).stderr
    assert suggestion in run("upload", folder, url=url, code=2).output


def test_no_other_url_is_suggested_where_the_url_is_right(cli: Cli, tmp_path: Path) -> None:
    assert "Did you mean" not in cli("download", "1.2", "--to", tmp_path / "to", code=1).stderr
    assert "Did you mean" not in cli("search", "StudyDate=soon", code=1).stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("PatientNam=x",), "PatientName"),
        (("patientname=x",), "PatientName"),
        (("instances", "StudyDat=2026", "fuzymatching=true"), "StudyDate and fuzzymatching"),
    ],
)
def test_the_key_that_is_meant_is_suggested(cli: Cli, words: tuple[str, ...], meant: str) -> None:
    said = cli("search", *words, code=1).stderr
    assert "is not searchable here." in said
    assert said.count(f"Did you mean {meant}?") == said.count("Did you mean") == 1


def test_a_key_that_is_right_but_not_searchable_has_no_suggestion(cli: Cli) -> None:
    assert "Did you mean" not in cli("search", "SliceThickness=1", code=1).stderr


def test_the_level_that_is_meant_is_suggested(cli: Cli) -> None:
    assert "Did you mean studies?" in cli("search", "Study", "PatientID=1", code=2).stderr
    assert "Did you mean" not in cli("search", "everything", code=2).stderr


def test_small_sizes_are_not_zero(cli: Cli, folder: Path, tmp_path: Path) -> None:
    study = pydicom.dcmread(folder / "IM0").StudyInstanceUID
    (folder / "large").write_bytes(
        part10(dataset(StudyInstanceUID=study, Rows=500, Columns=250, PixelData=bytes(125_000)))
    )
    stored = cli("upload", folder / "IM0").stdout
    size = (folder / "IM0").stat().st_size
    assert f"Stored                 1  {size} bytes in " in stored
    assert "1  125." in cli("upload", folder / "large").stdout
    assert "Downloaded             2  126." in (output := cli("download", study, "--to", tmp_path / "to").stdout)
    assert " KB\n" in output


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("large", [0, 200_000], ids=["written at its end", "written as it comes"])
def test_a_full_disk_is_named_and_leaves_nothing(cli: Cli, folder: Path, tmp_path: Path, large: int) -> None:
    one = pydicom.dcmread(folder / "IM0")
    if large:
        image = dataset(
            StudyInstanceUID=one.StudyInstanceUID,
            SeriesInstanceUID=one.SeriesInstanceUID,
            SOPInstanceUID=one.SOPInstanceUID,
            Rows=400,
            Columns=large // 400,
            PixelData=bytes(large),
        )
        (folder / "IM0").write_bytes(part10(image))
    cli("upload", folder)
    to = tmp_path / "to"
    path = to / one.StudyInstanceUID / one.SeriesInstanceUID / f"{one.SOPInstanceUID}.dcm"
    path.parent.mkdir(parents=True)
    path.with_suffix(".part").symlink_to(FULL)
    said = cli("download", one.StudyInstanceUID, "--to", to, "--parallel", 1, code=2).stderr
    assert f"{path} cannot be written: No space left on device" in said
    assert not path.exists()
    assert not path.with_suffix(".part").is_symlink()
    cli("download", one.StudyInstanceUID, "--to", to)
    assert by_uid(to) == by_uid(folder)


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is full")
def test_a_full_disk_leaves_no_archive(cli: Cli, folder: Path, tmp_path: Path) -> None:
    cli("upload", folder)
    study, to = pydicom.dcmread(folder / "IM0").StudyInstanceUID, tmp_path / "to"
    to.mkdir()
    (to / f"{study}.zip.part").symlink_to(FULL)
    said = cli("download", study, "--zip", "--to", to, code=2).stderr
    assert f"{to}/{study}.zip cannot be written: No space left on device" in said
    assert [path.name for path in to.iterdir()] == [f"{study}.unpacked"]
    cli("download", study, "--zip", "--to", to)
    assert [path.name for path in to.iterdir()] == [f"{study}.zip"]
