"""The command line, run in the test's process."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
from typer.testing import CliRunner, Result

from dicomweb_cli.__main__ import app
from tests.support.token_issuer import OWNER, token

SIGNED_IN = {"DICOMWEB_TOKEN": token(**OWNER)}
Cli = Callable[..., Result]


def run(*arguments: object, url: str, code: int = 0, **options: Any) -> Result:
    """Run the command in this process; it must end with this exit code. No sentence of it has two full stops."""
    result = CliRunner().invoke(app, list(map(str, arguments)), env={**SIGNED_IN, "DICOMWEB_URL": url}, **options)
    assert result.exit_code == code, result.output
    assert not re.search(r"(?<!\.)\.\.(?!\.)", result.output), result.output
    return result


def uploaded(cli: Cli, folder: Path, *options: object, code: int = 0) -> dict[str, Any]:
    """Upload, and return the report."""
    report = folder.parent / "report.json"
    cli("upload", folder, "--report", report, *options, code=code)
    document: dict[str, Any] = json.loads(report.read_text())
    return document


def by_uid(folder: Path) -> dict[str, bytes]:
    """Each file from after its preamble on, by SOP Instance UID."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {pydicom.dcmread(path).SOPInstanceUID: path.read_bytes()[128:] for path in files}
