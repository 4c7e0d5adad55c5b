"""The Bicep compiler: what it says of a file, and what a deployment would make, without Azure."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Final

from tests.support.repository_files import ROOT

INFRA: Final = ROOT / "infra"
PARAMETERS: Final = ROOT / "tests/infra/parameters"
SUBSCRIPTION: Final = "22222222-2222-2222-2222-222222222222"
NOT_FOUND: Final = (
    "infra/ was not checked: there is no Bicep compiler. Install it (`az bicep install`, or "
    "https://aka.ms/bicep-install), or name it in BICEP."
)


class BicepError(Exception):
    """What the compiler refuses, in its words."""


@cache
def find_compiler() -> str | None:
    """The compiler that BICEP names; else one on PATH, or where the Azure CLI or azd have put theirs."""
    named = os.environ.get("BICEP", "bicep")
    places = [named, *(str(Path.home() / folder / "bin/bicep") for folder in (".azure", ".azd"))]
    return next(filter(None, map(shutil.which, places[:1] if "BICEP" in os.environ else places)), None)


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """What the compiler does with the arguments."""
    compiler = find_compiler()
    assert compiler, NOT_FOUND
    # Without it, .NET needs a library that a bare Linux lacks.
    environment = os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    command = [compiler, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 -- ours


@cache
def compiled(path: Path) -> dict[str, Any]:
    """The ARM template of a Bicep file. Raises BicepError."""
    done = run("build", path, "--stdout")
    if done.returncode:
        raise BicepError(done.stderr)
    template: dict[str, Any] = json.loads(done.stdout)
    return template


@cache
def made(name: str) -> list[dict[str, Any]]:
    """The resources that a deployment with a file of tests/infra/parameters/ would make. Raises BicepError."""
    return evaluated((PARAMETERS / f"{name}.bicepparam").read_text("utf-8"))


def evaluated(parameters: str) -> list[dict[str, Any]]:
    """The resources of a deployment with parameters, the text of a file as those in tests/infra/parameters/ are.

    Expressions whose value only Azure knows stay text, such as ``[reference(…)]``. Raises BicepError, also for what is
    but a warning.
    """
    # Evaluating takes seconds, and each process that runs tests wants the same.
    kept = Path(gettempdir(), f"bicep-snapshot-{_digest(parameters)}.json")
    if not kept.exists():
        with TemporaryDirectory() as folder:
            _evaluate(parameters, Path(folder)).replace(kept)
    resources: list[dict[str, Any]] = json.loads(kept.read_text("utf-8"))["predictedResources"]
    return resources


def _evaluate(parameters: str, folder: Path) -> Path:
    """The file that the compiler writes, in a folder: it writes beside the parameters. Raises BicepError."""
    shutil.copytree(INFRA, folder / "infra", ignore=shutil.ignore_patterns("hooks"))
    file = folder / PARAMETERS.relative_to(ROOT) / "parameters.bicepparam"
    file.parent.mkdir(parents=True)
    file.write_text(parameters, "utf-8")
    identity = ("--tenant-id", "11111111-1111-1111-1111-111111111111", "--subscription-id", SUBSCRIPTION)
    done = run("snapshot", file, "--mode", "overwrite", *identity, "--location", "westeurope")
    if done.returncode or done.stderr:
        raise BicepError(done.stderr)
    return file.with_suffix(".snapshot.json")


def _digest(parameters: str) -> str:
    """Of all that decides what a deployment makes."""
    compiler = Path(str(find_compiler()))
    texts = [str(compiler), str(compiler.stat().st_mtime_ns), parameters]
    texts += [path.read_text("utf-8") for path in sorted(INFRA.glob("**/*.bicep*"))]
    return sha256("\0".join(texts).encode()).hexdigest()


if __name__ == "__main__" and not find_compiler():
    sys.exit(NOT_FOUND)
