"""The cursor file of a change feed: never of something else, never half, never another run's."""

import json
from pathlib import Path

import pytest

from dicomweb_cli.connection import CannotGoOn
from dicomweb_cli.feed_cursor import FeedCursor

URL = "https://dicom.example.org/v2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "feed.cursor"


def test_a_position_is_kept(file: Path) -> None:
    cursor = FeedCursor(file, URL)
    assert cursor.position is None
    assert not file.exists()
    for position in (0, 4711, 4711, 5000):
        cursor.save(position)
        assert FeedCursor(file, URL).position == position
    assert json.loads(file.read_text()) == {"url": URL, "after": 5000}
    assert list(file.parent.iterdir()) == [file]


def test_versions_of_a_service_share_a_cursor(file: Path) -> None:
    FeedCursor(file, URL).save(7)
    assert FeedCursor(file, "https://dicom.example.org/v1").position == 7


def test_the_cursor_of_another_service_is_refused(file: Path) -> None:
    FeedCursor(file, URL).save(7)
    with pytest.raises(CannotGoOn, match=r"is the cursor of https://dicom\.example\.org/v2, not of https://other"):
        FeedCursor(file, "https://other.example.org/v2")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"DICM\xff\x00",
        b"[]",
        b"12",
        b"[" * 100_000,
        b'{"url": "https://dicom.example.org/v2"}',
        b'{"url": 5, "after": 5}',
        b'{"url": "https://dicom.example.org/v2", "after": "5"}',
        b'{"url": "https://dicom.example.org/v2", "after": true}',
        b'{"url": "https://dicom.example.org/v2", "after": 1e999}',
        b'{"url": "https://dicom.example.org/v2", "after": -1}',
    ],
    ids=range(11),
)
def test_what_is_not_a_cursor_is_refused_and_kept(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(CannotGoOn, match="is not a cursor of a change feed: name another file"):
        FeedCursor(file, URL)
    assert file.read_bytes() == content


def test_two_runs_do_not_share_a_cursor(file: Path) -> None:
    one, other = FeedCursor(file, URL), FeedCursor(file, URL)
    one.save(5)
    with pytest.raises(CannotGoOn, match="was changed by another run"):
        other.save(3)
    one.save(6)
    file.unlink()
    with pytest.raises(CannotGoOn, match="was changed by another run"):
        one.save(7)


def test_a_cursor_that_cannot_be_written_is_named_and_stays(file: Path) -> None:
    cursor = FeedCursor(file, URL)
    cursor.save(5)
    Path(f"{file}.part").mkdir()
    with pytest.raises(CannotGoOn, match=r"feed\.cursor cannot be written: Is a directory"):
        cursor.save(6)
    assert FeedCursor(file, URL).position == 5
    with pytest.raises(CannotGoOn, match=r"cursor cannot be written: No such file or directory"):
        FeedCursor(file.parent / "no/cursor", URL).save(0)
