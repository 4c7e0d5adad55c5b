"""docs/subscriptions.md: its receiver works, its event is one of ours, and its tables name what there is."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from local.ports import free_ports
from shared.archive.change import Action, Change
from shared.archive.subscription import EventKind, Subscription
from shared.services.subscriptions.cloud_events import TYPES, image_event
from shared.services.subscriptions.delivery_run import PARKED_AFTER, PAUSES
from shared.services.subscriptions.sending import send
from shared.services.subscriptions.targets import open_targets
from shared.storage.feed_rows import FeedEntry
from shared.web.event_targets import AllowedTargets
from shared.web.subscription_request import parse_subscription
from tests.support.default_partition import identifiers_of
from tests.support.documents import rows

PAGE = (Path(__file__).parents[2] / "docs/subscriptions.md").read_text()
HOST, PORT = "localhost", "8000"
SECONDS = 30


def block(language: str, *, holding: str) -> str:
    """The first block in a language that holds a text."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return next(found for found in blocks if holding in found)


def subscription(url: str, secret: str) -> Subscription:
    return Subscription(
        "0" * 32,
        url,
        "",
        "https://dicom.example.org/v2",
        "",
        frozenset(EventKind),
        timedelta(minutes=2),
        secret,
        1,
        datetime.now(UTC),
    )


ENTRY = FeedEntry(
    4711,
    datetime(2026, 5, 4, 12, 0, 0, 123456, UTC),
    Change(Action.CREATE, identifiers_of("2.25.10901", "2.25.10902", "2.25.10903"), "a", "1.2", "CT"),
)


@pytest.fixture
def receiver() -> Iterator[str]:
    """The URL of the page's receiver."""
    port = str(free_ports(1))
    code = block("python", holding="do_POST").replace(PORT, port)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603
    url, give_up = f"http://{HOST}:{port}/", time.monotonic() + SECONDS
    try:
        while True:
            try:
                httpx.options(url, headers={"WebHook-Request-Origin": "me"})
                break
            except httpx.TransportError:
                assert time.monotonic() < give_up
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.communicate()


async def test_the_receiver_takes_what_is_signed(receiver: str) -> None:
    (secret,) = set(re.findall(r"whsec_\w+", PAGE))
    allowed = AllowedTargets.of((HOST,))
    async with asyncio.timeout(SECONDS), open_targets(allowed) as targets:
        answer = await targets.request("OPTIONS", receiver, {"WebHook-Request-Origin": "me"})
        assert answer.allowed_origin == "me"
        for one, status in ((secret, 204), ("whsec_" + "A" * 44, 401)):
            asked = subscription(receiver, one)
            answer = await send(None, allowed, targets, asked, [image_event(asked, ENTRY)])  # type: ignore[arg-type]
            assert answer.status == status, answer.reason


def test_the_event_is_what_is_sent() -> None:
    assert json.loads(block("json", holding="specversion")) == image_event(subscription("", ""), ENTRY)
    assert all(kind.rpartition(".")[2].removeprefix("Dicom") in PAGE for kind in TYPES.values())


def test_the_request_is_one_and_each_member_is_described() -> None:
    body = re.findall(r"-d '(\{.*?\})'", PAGE, re.DOTALL)[0]
    assert parse_subscription(body.encode()).settle == timedelta(minutes=2)
    described = [row[0] for row in rows(PAGE, "member")]
    expected = ["url", "eventGridTopic", "filter", "events", "settle", "secret", "maxEventsPerBatch", "after"]
    assert described == expected


def test_the_pauses_are_those_of_the_code() -> None:
    said = re.search(r"again after 10 and 30\s+seconds, 1, 5, 10 and 30 minutes, and then each hour", PAGE)
    assert said
    seconds = [10, 30, *(minutes * 60 for minutes in (1, 5, 10, 30, 60))]
    assert [pause.total_seconds() for pause in PAUSES] == seconds
    assert "After a week" in PAGE
    assert timedelta(weeks=1) == PARKED_AFTER
