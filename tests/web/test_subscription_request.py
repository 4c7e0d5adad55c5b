"""What requests say of subscriptions."""

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import BadRequest
from shared.web.subscription_request import (
    RestartRequest,
    SubscriptionRequest,
    duration_text,
    parse_restart,
    parse_subscription,
)

URL = "https://events.example.org/in"
TOPIC = "https://dicom.westeurope-1.eventgrid.azure.net/api/events"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 -- the one of Standard Webhooks' examples


def body(**members: Any) -> bytes:
    return json.dumps(members).encode()


def test_the_least() -> None:
    events = ("created", "updated", "deleted", "studySettled")
    least = SubscriptionRequest(URL, "", "", list(events), timedelta(minutes=2), "", 1, None)
    assert parse_subscription(body(url=URL)) == least


def test_everything() -> None:
    asked = parse_subscription(
        body(
            Url=URL,
            filter="?Modality=CT",
            events=["StudySettled", "created", "created"],
            settle="pt90s",
            secret=SECRET,
            maxEventsPerBatch=100,
            after=0,
        )
    )
    expected = (URL, "", "Modality=CT", ["created", "studySettled"], timedelta(seconds=90), SECRET, 100, 0)
    assert asked == SubscriptionRequest(*expected)
    assert parse_subscription(body(eventGridTopic=TOPIC)).event_grid_topic == TOPIC


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({}, "url or eventGridTopic"),
        ({"url": URL, "eventGridTopic": TOPIC}, "url or eventGridTopic"),
        ({"url": 1}, "url"),
        ({"url": URL, "filter": 1}, "filter"),
        ({"url": URL, "filter": "x" * 5000}, "filter"),
        *(({"url": URL, "filter": f"PatientName={one}"}, "filter") for one in ("\0", "\n", "\ufffe")),
        ({"url": URL, "filter": "PatientName=\ud800"}, "surrogate"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": "created"}, "events"),
        ({"url": URL, "events": ["made"]}, "events"),
        ({"url": URL, "events": [1]}, "events"),
        ({"url": URL, "settle": 120}, "settle"),
        *(
            ({"url": URL, "settle": text}, "settle")
            for text in ("", "P", "PT", "PT0S", "P2D", "P1DT1S", "2m", "PT1.5S")
        ),
        *(({"url": URL, "settle": text}, "settle") for text in ("P1M", "P1Y", "PT2M ", "PT-2M", "P1W", "PT٣M")),
        *(
            ({"url": URL, "secret": text}, "secret")
            for text in ("secret", SECRET[6:], "whsec_", "whsec_AAAA", "whsec_é")
        ),
        ({"url": URL, "secret": "whsec_" + "A" * 88}, "secret"),
        ({"eventGridTopic": TOPIC, "secret": SECRET}, "secret"),
        *(({"url": URL, "maxEventsPerBatch": number}, "maxEventsPerBatch") for number in (0, 101, "5", 1.5, True)),
        *(({"url": URL, "after": number}, "after") for number in (-1, 2**63, "5", True)),
        ({"url": URL, "name": "x"}, "maxEventsPerBatch"),
    ],
)
def test_what_is_refused(members: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        parse_subscription(body(**members))


def test_restarts() -> None:
    assert parse_restart(body(status="Active")) == RestartRequest(None)
    assert parse_restart(body(status="active", after=7)) == RestartRequest(7)
    for members in ({}, {"status": "parked"}, {"after": 7}, {"status": "active", "filter": ""}, {"status": 1}):
        with pytest.raises(BadRequest):
            parse_restart(body(**members))


@pytest.mark.parametrize("text", ["PT1S", "PT2M", "PT1H", "P1D", "PT1H1S", "PT59M59S", "PT23H59M59S"])
def test_durations_are_written_as_they_are_read(text: str) -> None:
    assert duration_text(parse_subscription(body(url=URL, settle=text)).settle) == text
