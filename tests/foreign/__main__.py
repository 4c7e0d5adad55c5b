"""Runs a folder of DICOM files through the service, and prints what differs from what other programs make of them.

`python -m tests.foreign FOLDER`; docs/your-files.md says what it checks and prints.
"""

import shutil
import sys
import warnings
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
from pydicom.misc import is_dicom

from tests.conftest import serving
from tests.foreign.file_check import findings
from tests.foreign.transactions import Refused, store

_SECONDS: Final = 120  # for an answer
_NOT_DICOM: Final = "not a DICOM file"  # what the service says of most files of other kinds
_PROGRAMS: Final = {"DCMTK": "dcm2json", "ffmpeg": "ffmpeg"}  # by what is installed


def main(arguments: list[str]) -> int:
    """Print a line for each finding, and what there is of each kind; 1 if anything differs."""
    parser = ArgumentParser("python -m tests.foreign", description=__doc__)
    parser.add_argument("folder", type=Path, help="with all folders in it")
    folder: Path = parser.parse_args(arguments).folder
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder.")
    for name, program in _PROGRAMS.items():
        if shutil.which(program) is None:
            _say(f"{name} is not installed: nothing is compared with what it reads.")
    warnings.simplefilter("ignore")  # pydicom's, of files that are not as they should be
    with (
        TemporaryDirectory() as temporary,
        serving(Path(temporary) / "log") as server,
        httpx.Client(base_url=f"{server.base_url}/v2", timeout=_SECONDS) as service,
    ):
        return check_folder(service, folder)


def check_folder(service: httpx.Client, folder: Path) -> int:
    """The same, with a service that has none of the studies."""
    files, refused, differing = Counter[str](), Counter[str](), Counter[str]()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        answer = store(service, path)
        found: list[tuple[str, str]] = []
        if isinstance(answer, Refused):
            if _NOT_DICOM in answer.reason and not is_dicom(path):
                files["Not DICOM"] += 1
                continue
            files["Refused"] += 1
            refused[answer.reason] += 1
            if answer.is_by_rule:
                _say(f"{path}: refused: {answer.reason}")
            else:
                found = [("store", answer.reason)]
        else:
            files["Stored"] += 1
            found = list(findings(service, answer.url, path))
        for check, difference in found:
            _say(f"{path}: {check}: {difference}")
        files["Differing"] += bool(found)
        differing.update({check for check, _ in found})
    _say(" ".join(f"{kind}: {files[kind]}." for kind in ("Stored", "Refused", "Not DICOM", "Differing")))
    for kind, counts in (("Refused", refused), ("Differing", differing)):
        for what, count in counts.most_common():
            _say(f"{kind}, {count}: {what}")
    return int(files["Differing"] > 0)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
