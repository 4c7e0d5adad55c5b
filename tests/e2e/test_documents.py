"""Runs what the documents tell people to type: marked blocks of code, and what the documents say they print.

`<!-- run -->` on the line above a block of sh or python marks it, or `<!-- refused -->` where it ends in an error,
such as a status from 400 on. `<!-- printed -->` marks what the block before it prints, among other things; … stands for
anything. The blocks of a document run in order, in one shell, on their own served app, in a folder with as much of
the repository as they need.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.azurite import ROOT
from local.sample_instances import sample_instances
from tests.conftest import Server, serving

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
MARKED = re.compile(r"^<!-- (run|refused|printed) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

HERE = "http://localhost:7071"
ANOTHER_ARCHIVE = "http://name:password@localhost:8042/dicom-web"
LONGEST_SECONDS = 120
NEEDED = (".venv", "dicomweb_cli", "local", "shared")

# curl fails where a user would see an error; what a block prints ends with a separate line.
PRELUDE = """set -euo pipefail
curl() { command curl --fail-with-body --show-error "$@"; }
"""


def blocks(document: Path) -> list[tuple[str, list[str]]]:
    """The code of each block to run, as a shell runs it, and the lines that it prints."""
    found: list[tuple[str, list[str]]] = []
    for mark, language, code in MARKED.findall(document.read_text()):
        if mark == "printed":
            found[-1][1].extend(code.splitlines())
        else:
            assert language in ("sh", "python")
            block = code if language == "sh" else f"python - <<'END_OF_PYTHON'\n{code}END_OF_PYTHON\n"
            found.append((f"if {{ {block}}}; then exit 1; fi\n" if mark == "refused" else block, []))
    return found


RUN = {document.relative_to(ROOT).as_posix(): found for document in DOCUMENTS if (found := blocks(document))}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "log") as running:
        yield running


@pytest.fixture
def another_archive(tmp_path: Path) -> Iterator[str]:
    """The URL of an archive that holds the three instances."""
    with serving(tmp_path / "log of another") as running:
        url = f"{running.base_url}/v2"
        for file in sample_instances().values():
            httpx.post(f"{url}/studies", content=file, headers={"Content-Type": "application/dicom"}).raise_for_status()
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the blocks take to be the repository; what they make stays there."""
    made = tmp_path / "repository"
    made.mkdir()
    for name in NEEDED:
        (made / name).symlink_to(ROOT / name)
    return made


def test_marked_blocks_are_found() -> None:
    assert {"README.md", "docs/tutorial.md", "docs/moving.md", "docs/debugging.md"} <= RUN.keys()
    for document in DOCUMENTS:  # their only comments are marks
        comments = re.findall(r"<!--.*?-->", document.read_text(), re.DOTALL)
        assert len(comments) == len(MARKED.findall(document.read_text())), document.name


@pytest.mark.parametrize("name", RUN)
def test_the_blocks_run_and_print_what_the_documents_say(
    name: str, server: Server, folder: Path, request: pytest.FixtureRequest
) -> None:
    code = "".join(f"{block}\nprintf '\\n\\036'\n" for block, _ in RUN[name])
    if ANOTHER_ARCHIVE in code:
        code = code.replace(ANOTHER_ARCHIVE, request.getfixturevalue("another_archive"))
    script = folder / "script"
    script.write_text(PRELUDE + code.replace(HERE, server.base_url))
    done = subprocess.run(  # noqa: S603 -- the documents' own
        ["bash", str(script)],  # noqa: S607
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("DICOMWEB_")},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    printed = done.stdout.split("\n\036")
    for (block, expected), output in zip(RUN[name], printed, strict=False):
        for line in expected:
            pattern = ".*".join(map(re.escape, line.strip().split("…")))
            assert re.search(rf"^\s*{pattern}\s*$", output, re.MULTILINE), f"{line!r} is not what this prints:\n{block}"
