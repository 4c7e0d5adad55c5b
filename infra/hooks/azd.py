"""The environment of the Azure Developer CLI: what is set there, and setting it."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

_LONGEST_SECONDS: Final = 60


class AzdError(Exception):
    """azd does not do what is asked; the message has its words."""


class AzdEnvironment:
    """The environment that azd has chosen: AZURE_ENV_NAME, or the project's default."""

    def values(self) -> Mapping[str, str]:
        """Its variables, and those of this process: azd asks for them in this order, too."""
        return {**os.environ, **json.loads(_said("env", "get-values", "--output", "json"))}

    def set(self, name: str, value: str) -> None:
        """Set a variable, for this and for later runs."""
        _said("env", "set", name, value)


def _said(*arguments: str) -> str:
    executable = shutil.which("azd")
    if executable is None:
        raise AzdError(
            "azd, the Azure Developer CLI, is not on the PATH. docs/security.md says how to register without it."
        )
    command = f"azd {' '.join(arguments[:2])}"
    try:
        done = subprocess.run(  # noqa: S603 -- our own arguments
            [executable, *arguments, "--no-prompt"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AzdError(f"{command} does not answer within {_LONGEST_SECONDS} seconds.") from None
    if done.returncode:
        raise AzdError(f"{command} fails: {(done.stderr or done.stdout).strip()}")
    return done.stdout
