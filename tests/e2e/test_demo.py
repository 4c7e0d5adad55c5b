"""The demo against the served app, and against one that answers differently."""

import httpx
import pytest

from local.demo import own_instances, steps, walk
from local.sample_instances import sample_instances
from tests.conftest import Server


def studies(server: Server) -> set[str]:
    """The studies of the archive."""
    found = httpx.get(f"{server.base_url}/v2/studies?limit=200")
    return {study["0020000D"]["Value"][0] for study in (found.json() if found.content else [])}


def test_every_answer_is_the_expected_one(server: Server) -> None:
    lines: list[str] = []
    assert walk(f"{server.base_url}/v2", lines.append)
    text = "\n".join(lines)
    assert text.count("✓") == len(list(steps(own_instances())))
    assert "✗" not in text
    assert "ImageComments red-triangle" in text


def test_it_passes_again_and_again_beside_the_samples_and_leaves_only_those(server: Server) -> None:
    with httpx.Client(base_url=f"{server.base_url}/v2") as client:
        for file in sample_instances().values():
            stored = client.post("/studies", content=file, headers={"Content-Type": "application/dicom"})
            (study,) = stored.json()["00081190"]["Value"]
        before = studies(server)
        for _ in range(2):
            assert walk(f"{server.base_url}/v2", lambda _: None)
        assert studies(server) == before
        assert len(client.get(f"{study}/instances").json()) == 3
        assert client.delete(study).status_code == 204


def test_nothing_is_left_where_it_is_interrupted(server: Server) -> None:
    def show(line: str) -> None:
        if "Retrieve a series" in line:
            raise KeyboardInterrupt

    before = studies(server)
    with pytest.raises(KeyboardInterrupt):
        walk(f"{server.base_url}/v2", show)
    assert studies(server) == before


def test_it_ends_at_an_unexpected_answer(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert not walk(f"{server.base_url}/v3")
    text = capsys.readouterr().out
    assert text.count("✗ 404") == 1
    assert "Expected 200 with 1, not 404 with 0." in text
