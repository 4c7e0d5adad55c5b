"""The Bicep compiler, where the machine has one: BICEP names it, or `bicep` or `az` is in the path."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any


@cache
def find_compiler() -> list[str] | None:
    """The command that compiles the file that follows it to standard output, as ARM JSON; None: there is none."""
    if found := os.environ.get("BICEP") or shutil.which("bicep"):
        return [found, "build", "--stdout"]
    if found := shutil.which("az"):
        return [found, "bicep", "build", "--stdout", "--file"]
    return None


@cache
def compiled(path: Path) -> dict[str, Any]:
    """The ARM template of a Bicep file. Raises CalledProcessError where the file is wrong."""
    compiler = find_compiler()
    assert compiler is not None, "There is no Bicep compiler: set BICEP."
    environment = {**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}  # it needs no ICU
    done = subprocess.run([*compiler, path], env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603 -- ours
    template: dict[str, Any] = json.loads(done.stdout)
    return template
