"""The files of this repository."""

from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

ROOT = Path(__file__).parents[2]


def ignored_by(name: str) -> GitIgnoreSpec:
    """What an ignore file of the repository leaves out."""
    return GitIgnoreSpec.from_lines((ROOT / name).read_text().splitlines())


def files_but(ignored: GitIgnoreSpec, folder: Path = ROOT) -> Iterator[str]:
    """The paths of all files in a folder that are not ignored."""
    for path in folder.iterdir():
        name = path.relative_to(ROOT).as_posix()
        if name != ".git" and not ignored.match_file(f"{name}/" if path.is_dir() else name):
            yield from files_but(ignored, path) if path.is_dir() else [name]


def texts() -> dict[str, bytes]:
    """The content of each file that is, or could be, committed, by its path; without pictures."""
    names = sorted(files_but(ignored_by(".gitignore")))
    return {name: (ROOT / name).read_bytes() for name in names if not name.endswith(".png")}
