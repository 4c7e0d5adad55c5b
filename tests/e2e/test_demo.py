"""The demo against the served app, and against one that answers differently."""

import httpx
import pytest

from local.demo import steps, walk
from tests.conftest import Server


def test_every_answer_is_the_expected_one(server: Server) -> None:
    lines: list[str] = []
    assert walk(f"{server.base_url}/v2", lines.append)
    text = "\n".join(lines)
    assert text.count("✓") == len(list(steps()))
    assert "✗" not in text
    assert "ImageComments red-triangle" in text


def test_a_study_that_is_already_there_is_left_alone(server: Server) -> None:
    store = list(steps())[1]
    with httpx.Client(base_url=f"{server.base_url}/v2") as client:
        stored = client.post(store.path, content=store.content, headers=dict(store.headers)).json()
        lines: list[str] = []
        assert not walk(f"{server.base_url}/v2", lines.append)
        assert "delete it, or choose another DATA" in lines[0]
        (study,) = stored["00081190"]["Value"]
        assert client.get(study).status_code == 200
        assert client.delete(study).status_code == 204


def test_it_ends_at_an_unexpected_answer(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert not walk(f"{server.base_url}/v3")
    text = capsys.readouterr().out
    assert text.count("✗ 404") == 1
    assert "Expected 204, not 404 with 0." in text
