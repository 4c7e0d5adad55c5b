"""`python -m local.release X.Y.Z`: makes a version of what CHANGELOG.md has under Unreleased: a commit with a tag.

Pushing the tag publishes it.
"""

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from local.azurite import ROOT

_VERSION: Final = re.compile(r'^VERSION = "(.+)"$', re.MULTILINE)
_NUMBERS: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_UNRELEASED: Final = "## [Unreleased]\n"


class ReleaseError(Exception):
    """Why there is no release; nothing was changed."""


def release(root: Path, version: str, day: date) -> str:
    """Commit and tag a version in the clone `root`, and return the tag. Raises ReleaseError."""
    numbers, version_file, changelog_file = _numbers(version), root / "shared/version.py", root / "CHANGELOG.md"
    code = version_file.read_text("utf-8")
    (current,) = _VERSION.findall(code)
    tag = f"v{version}"
    if git(root, "tag", "--list", tag):
        raise ReleaseError(f"There is a tag {tag} already.")
    # The first release has the number that is in the file from the beginning.
    if numbers < _numbers(current) or (version == current and git(root, "tag", "--list", "v*")):
        raise ReleaseError(f"{version} is not above {current}.")
    if git(root, "status", "--porcelain"):
        raise ReleaseError("There are changes that are not committed.")
    changelog = _released(changelog_file.read_text("utf-8"), version, day)
    version_file.write_text(_VERSION.sub(f'VERSION = "{version}"', code), "utf-8")
    changelog_file.write_text(changelog, "utf-8")
    git(root, "commit", "--quiet", "--all", "--message", f"Release {version}")
    git(root, "tag", "--annotate", "--message", f"Version {version}", tag)
    return tag


def notes_of(changelog: str, version: str) -> str:
    """What a changelog says of a version, without its heading. Raises ReleaseError if nothing."""
    found = re.search(rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise ReleaseError(f"CHANGELOG.md says nothing under [{version}].")
    return found[1].strip() + "\n"


def git(root: Path, *arguments: str) -> str:
    """What git prints; raises ReleaseError where it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def _numbers(version: str) -> tuple[int, ...]:
    found = _NUMBERS.fullmatch(version)
    if found is None:
        raise ReleaseError(f"A version is three numbers, such as 1.2.3, not {version!r}.")
    return tuple(map(int, found.groups()))


def _released(changelog: str, version: str, day: date) -> str:
    notes_of(changelog, "Unreleased")
    return changelog.replace(_UNRELEASED, f"{_UNRELEASED}\n## [{version}] - {day.isoformat()}\n", 1)


def main(arguments: list[str]) -> int:
    """Release the version that is named; return 1 where that is impossible."""
    try:
        if len(arguments) != 1:
            raise ReleaseError("Name the version: make release VERSION=1.2.3")
        tag = release(ROOT, arguments[0], datetime.now(UTC).date())
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Tagged {tag}. To publish it: git push origin HEAD {tag}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
