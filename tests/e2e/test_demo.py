"""The demo against the served app, and against one that answers otherwise."""

import httpx
import pytest

from local.demo import steps, walk
from tests.conftest import Server


def test_every_answer_is_the_expected_one_whatever_was_there_before(server: Server) -> None:
    lines: list[str] = []
    left_over = list(steps())[1]
    httpx.post(f"{server.base_url}/v2{left_over.path}", content=left_over.content, headers=dict(left_over.headers))
    assert walk(f"{server.base_url}/v2", lines.append)
    text = "\n".join(lines)
    assert text.count("✓") == len(list(steps()))
    assert "✗" not in text
    assert "ImageComments red-triangle" in text


def test_it_ends_at_an_unexpected_answer(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert not walk(f"{server.base_url}/v3")
    text = capsys.readouterr().out
    assert "✓ 404" in text  # nothing is left over
    assert text.count("✗ 404") == 1
    assert "Expected 200 with 1, not 404 with 0." in text
