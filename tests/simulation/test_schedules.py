"""Scenarios on simulated storage, by the seeds of CI; and that the simulation finds what is wrong."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

import pytest

from shared.archive.extended_tags import TagSet
from shared.archive.operation import Unit
from shared.dicom.identifiers import StudyKey
from shared.services.operations import engine, upkeep
from shared.services.write.named_terms import NamedTerms
from shared.storage import catalog_batches
from shared.storage.archive import Archive
from shared.storage.blobs import InstanceBlobs
from shared.storage.feed import Feed
from shared.storage.journal import Journal
from shared.storage.operation_table import OperationMoved
from tests.simulation.runs import run


def simulated(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def test_every_answer_is_explained_and_everything_settles() -> None:
    done = simulated()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_seed_decides_everything() -> None:
    again = ["--seed", "4", "--times", "1", "--trace", "deletes"]
    first, second = (simulated(*again).stdout.splitlines()[:-2] for _ in range(2))  # without its seconds
    assert len(first) > 50
    assert first == second


def test_another_seed_is_another_run() -> None:
    one, other = (run("one study", seed) for seed in (1, 2))
    assert one.trace != other.trace


async def _nothing(*_: Any) -> None:
    """In place of what is to be left out."""


async def _no_commits(*_: Any) -> set[tuple[StudyKey, int]]:
    """As if the feed had nothing of what is in the outbox."""
    return set()


async def _never_sent(*_: Any) -> bool:
    """As if a message had been sent."""
    return True


async def _as_it_is(archive: Archive, unit: Unit) -> Unit:
    """A unit as it is now, although another may have noted the run."""
    found = await archive.operations.read_unit(unit.operation_id, unit.number)
    if found is None:
        raise OperationMoved
    return found


_REQUESTS: Final = ("deletes", "conflicting contents")
_READERS: Final = ("change feed", "last change", "before the feed")
_OPERATIONS: Final = ("operations",)
_TAGS: Final = ("tags",)


@pytest.mark.parametrize(
    ("owner", "name", "broken", "scenarios"),
    [
        pytest.param(Journal, "insert", _nothing, _REQUESTS, id="no journal"),
        pytest.param(InstanceBlobs, "delete", _nothing, _REQUESTS, id="blobs that stay"),
        pytest.param(catalog_batches, "_change_operations", lambda *_: [], _REQUESTS, id="no changes"),
        pytest.param(Feed, "read_commits", _no_commits, _READERS, id="changes that are drained twice"),
        pytest.param(upkeep, "_send", _never_sent, _OPERATIONS, id="messages that stay lost"),
        pytest.param(engine, "_still", _as_it_is, _OPERATIONS, id="runs that are noted twice"),
        pytest.param(NamedTerms, "declare", _nothing, _TAGS, id="terms of tags that no entry names"),
        pytest.param(upkeep, "_clean_up_after", _nothing, _TAGS, id="tags after which nobody cleans up"),
        pytest.param(TagSet, "with_ready", lambda tags, _: tags, _TAGS, id="tags that are never ready"),
    ],
)
def test_what_is_broken_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, broken: object, scenarios: Sequence[str]
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert any(run(scenario, seed).failure for seed in range(1, 41) for scenario in scenarios)
