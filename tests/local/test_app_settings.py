"""local.settings.json: copied where it is missing, never overwritten, and read with a message if it cannot be."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from local import app_settings as module
from local.app_settings import app_settings
from local.azurite import ROOT, LocalError
from shared.settings import Settings

SAMPLE = "local.settings.sample.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def set_up(folder: Path) -> None:
    """What every `make` target runs first, in a folder that has a virtual environment."""
    (folder / "local").mkdir(exist_ok=True)
    shutil.copy(ROOT / "local/setup.sh", folder / "local")
    shutil.copy(ROOT / SAMPLE, folder)
    if not (folder / ".venv").exists():
        (folder / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run(["sh", "local/setup.sh"], cwd=folder, check=True)  # noqa: S607 -- the machine's shell


def test_the_sample_is_copied_and_the_copy_is_kept(folder: Path) -> None:
    set_up(folder)
    assert app_settings() == json.loads((ROOT / SAMPLE).read_text())["Values"]
    (folder / "local.settings.json").write_text('{"Values": {"MAX_FRAMES": "7"}}')
    set_up(folder)
    assert app_settings() == {"MAX_FRAMES": "7"}


def test_the_sample_is_what_the_app_starts_with() -> None:
    settings = Settings.from_environment(json.loads((ROOT / SAMPLE).read_text())["Values"])
    assert settings.anonymous_access


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, r"^local\.settings\.json is missing: `make setup` copies local\.settings\.sample\.json\.$"),
        (lambda path: path.write_text("{"), "is not as .*JSONDecodeError"),
        (lambda path: path.write_text("{}"), "is not as .*KeyError\\('Values'\\)"),
        (lambda path: path.write_text("[]"), "is not as .*TypeError"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(folder: Path, spoil: Callable[[Path], object], message: str) -> None:
    path = folder / "local.settings.json"
    path.touch()
    spoil(path)
    with pytest.raises(LocalError, match=message):
        app_settings()
