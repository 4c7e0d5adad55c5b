"""The package of the command line: what is in the wheel, and that it runs where nothing of this folder is."""

import ast
import os
import re
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from local.azurite import ROOT
from shared.version import VERSION


def run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [*map(str, command)], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The source distribution, and the wheel that is built of it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    source, wheel = sorted(folder.iterdir(), key=lambda path: path.suffix)
    assert (source.name, wheel.name) == (f"dicomweb_cli-{VERSION}.tar.gz", f"dicomweb_cli-{VERSION}-py3-none-any.whl")
    return [source, wheel]


@pytest.fixture(scope="module")
def wheel(built: list[Path]) -> Path:
    return built[1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed in, away from this one; what it needs comes from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    run(*pip, "--target", folder, wheel)
    return folder


def test_the_index_would_take_it(built: list[Path]) -> None:
    assert "WARNING" not in run(sys.executable, "-m", "twine", "check", "--strict", *built)


def test_it_installs_one_name(wheel: Path) -> None:
    with ZipFile(wheel) as files:
        names = files.namelist()
    assert {name.partition("/")[0] for name in names} == {"dicomweb_cli", f"dicomweb_cli-{VERSION}.dist-info"}
    assert {path.name for path in ROOT.glob("dicomweb_cli/*.py")} == {
        name.partition("/")[2] for name in names if re.fullmatch(r"dicomweb_cli/\w+\.py", name)
    }
    # Of shared/ what the command line imports: nothing that answers requests.
    assert "dicomweb_cli/shared/multipart/encoder.py" in names
    assert {
        name.split("/")[2] for name in names if name.startswith("dicomweb_cli/shared/") and name.count("/") > 2
    } == {
        "archive",
        "dicom",
        "multipart",
        "services",
        "storage",
        "web",
    }
    assert not [
        name for name in names if re.search("/services/(search|sign_in)/|/retrieve/(?!__|stored_metadata)", name)
    ]


def test_every_import_is_in_it_or_among_what_it_requires(wheel: Path) -> None:
    with ZipFile(wheel) as files:
        sources = {name: files.read(name).decode() for name in files.namelist() if name.endswith(".py")}
        metadata = HeaderParser().parsestr(files.read(f"dicomweb_cli-{VERSION}.dist-info/METADATA").decode())
    required = {Requirement(one).name for one in metadata.get_all("Requires-Dist", [])}
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources}
    outside = set()
    for source in sources.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module:
                if node.module.startswith("dicomweb_cli"):
                    assert node.module in modules
                else:
                    outside.add(node.module)
            elif isinstance(node, ast.Import):
                outside.update(alias.name for alias in node.names)
    packages = {
        "azure.core": "azure-identity",  # comes with it
        "azure.data": "azure-data-tables",
        "azure.identity": "azure-identity",
        "azure.storage.blob": "azure-storage-blob",
        "PIL": "pillow",
        "yarl": "aiohttp",  # whose URLs they are
    }
    imported = {
        re.match(r"azure\.storage\.\w+|azure\.\w+|\w+", name)[0]  # type: ignore[index]
        for name in outside
    }
    # These are imported when the first message is sent, or event: no command does either.
    tops = imported - sys.stdlib_module_names - {"azure.eventgrid", "azure.storage.queue"}
    assert {packages.get(name, name) for name in tops} == required


@pytest.mark.parametrize(
    "command", [["bin/dicomweb"], [sys.executable, "-m", "dicomweb_cli"]], ids=["script", "module"]
)
def test_it_runs_and_says_its_version(installed: Path, command: list[str]) -> None:
    assert run(*command, "--version", cwd=installed, PYTHONPATH=str(installed)) == f"dicomweb {VERSION}\n"


def test_it_is_what_runs(installed: Path) -> None:
    code = "import dicomweb_cli.upload, dicomweb_cli.backup, sys; print(*(m.__file__ for m in sys.modules.values() "
    code += "if m.__name__.startswith(('dicomweb_cli', 'shared'))), sep='\\n')"
    loaded = run(sys.executable, "-c", code, cwd=installed, PYTHONPATH=str(installed)).split()
    assert len(loaded) > 30
    assert all(Path(file).is_relative_to(installed) for file in loaded)
