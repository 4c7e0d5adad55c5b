"""A release: the version, the changelog, a commit and a tag, or nothing at all."""

from datetime import date
from pathlib import Path

import pytest

from local.azurite import ROOT
from local.release import ReleaseError, git, notes_of, release
from shared.version import VERSION

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n* A thing.\n\n## [0.9.0] - 2026-01-01\n\n* Older.\n"
DAY = date(2026, 2, 3)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/version.py").write_text('"""The version."""\n\nVERSION = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet")
    for key, value in (("name", "Anyone"), ("email", "anyone@example.org"), ("useConfigOnly", "true")):
        git(tmp_path, "config", f"user.{key}", value)
    git(tmp_path, "config", "commit.gpgsign", "false")
    git(tmp_path, "config", "tag.gpgsign", "false")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def test_a_release_is_a_commit_with_a_tag(clone: Path) -> None:
    assert release(clone, "1.3.0", DAY) == "v1.3.0"
    assert git(clone, "describe").strip() == "v1.3.0"
    assert git(clone, "status", "--porcelain") == ""
    assert (clone / "shared/version.py").read_text() == '"""The version."""\n\nVERSION = "1.3.0"\n'
    assert (clone / "CHANGELOG.md").read_text() == CHANGELOG.replace(
        "## [Unreleased]\n", "## [Unreleased]\n\n## [1.3.0] - 2026-02-03\n"
    )
    assert notes_of((clone / "CHANGELOG.md").read_text(), "1.3.0") == "### Added\n\n* A thing.\n"


def test_the_first_release_may_have_the_number_that_is_there(clone: Path) -> None:
    (clone / "CHANGELOG.md").write_text(CHANGELOG.replace("A thing", "Another thing"))
    git(clone, "commit", "--quiet", "--all", "--message", "Say more")
    assert release(clone, "1.2.3", DAY) == "v1.2.3"
    assert git(clone, "log", "--format=%s", "-1") == "Release 1.2.3\n"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.2.2", "1.2.2 is not above 1.2.3."),
        ("1.3", "A version is three numbers, such as 1.2.3, not '1.3'."),
        ("v1.3.0", "A version is three numbers, such as 1.2.3, not 'v1.3.0'."),
        ("1.03.0", "A version is three numbers, such as 1.2.3, not '1.03.0'."),
    ],
)
def test_a_version_that_cannot_follow_is_refused(clone: Path, version: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        release(clone, version, DAY)
    assert git(clone, "status", "--porcelain") == git(clone, "tag") == ""


def test_nothing_is_released_twice(clone: Path) -> None:
    release(clone, "1.3.0", DAY)
    with pytest.raises(ReleaseError, match=r"There is a tag v1\.3\.0 already\."):
        release(clone, "1.3.0", DAY)
    with pytest.raises(ReleaseError, match=r"CHANGELOG\.md says nothing under \[Unreleased\]\."):
        release(clone, "1.3.1", DAY)


def test_what_is_not_committed_is_not_released(clone: Path) -> None:
    (clone / "new.txt").touch()
    with pytest.raises(ReleaseError, match="There are changes that are not committed"):
        release(clone, "1.3.0", DAY)


def test_what_git_says_is_passed_on(clone: Path) -> None:
    (clone / ".git/hooks").mkdir(exist_ok=True)
    hook = clone / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho Not today >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(ReleaseError, match="git commit: Not today"):
        release(clone, "1.3.0", DAY)


def test_this_changelog_can_be_released() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert changelog.count("## [Unreleased]\n") == 1
    assert f'VERSION = "{VERSION}"\n' in (ROOT / "shared/version.py").read_text()
