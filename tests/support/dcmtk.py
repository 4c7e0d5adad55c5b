"""DCMTK's tools, another code base than the one that reads and writes here; CI installs them (.ci/run)."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any


def dcm2json(file: bytes) -> dict[str, Any]:
    """The data set in the DICOM JSON Model, binary values inline."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = json.loads(_run("dcm2json", _written(folder, file)))
        return found


def in_little_endian(file: bytes) -> bytes:
    """The file in Explicit VR Little Endian."""
    return _converted(file, "+te")


def in_big_endian(file: bytes) -> bytes:
    """The file in Explicit VR Big Endian."""
    return _converted(file, "+tb")


def _converted(file: bytes, syntax: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder, "converted")
        _run("dcmconv", syntax, _written(folder, file), converted)
        return converted.read_bytes()


def _written(folder: str, file: bytes) -> Path:
    path = Path(folder, "file")
    path.write_bytes(file)
    return path


def _run(*command: str | Path) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)  # noqa: S603
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout
