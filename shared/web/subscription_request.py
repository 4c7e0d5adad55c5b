"""What a request says of a subscription, and durations as it writes them. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from shared.errors import BadRequest
from shared.web.json_body import read_object

EVENTS: Final = ("created", "updated", "deleted", "studySettled")
"""What a subscriber can be told of."""
MAX_EVENTS_PER_BATCH: Final = 100
MAX_BODY_BYTES: Final = 64 * 1024
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- that of Standard Webhooks

_MEMBERS: Final = ("url", "eventGridTopic", "filter", "events", "settle", "secret", "maxEventsPerBatch", "after")
_RESTART_MEMBERS: Final = ("status", "after")
MAX_NUMBER: Final = 2**63 - 1
MAX_FILTER_LENGTH: Final = 4096
_SECRET_BYTES: Final = (24, 64)  # those that Standard Webhooks allows
_DEFAULT_SETTLE: Final = timedelta(minutes=2)
_LONGEST_SETTLE: Final = timedelta(days=1)
_DURATION: Final = re.compile(
    r"P(?:(\d{1,4})D)?(?:T(?=\d)(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """What a subscriber asks for: `url` or `event_grid_topic`, the other one is empty.

    `secret` is "" where one has to be made, and `after` None for what comes from now on.
    """

    url: str
    event_grid_topic: str
    filter: str
    events: Sequence[str]
    settle: timedelta
    secret: str
    max_events_per_batch: int
    after: int | None


@dataclass(frozen=True, slots=True)
class RestartRequest:
    """A subscription is to go on: after a sequence number, or where it stands."""

    after: int | None


def parse_subscription(body: bytes) -> SubscriptionRequest:
    """Parse a request's JSON. Raises BadRequest, which names the member and what it may be."""
    given = read_object(body, _MEMBERS)
    url, topic = _text(given, "url"), _text(given, "eventGridTopic")
    if bool(url) == bool(topic):
        raise BadRequest("The body must have url or eventGridTopic, and not both.")
    secret = _text(given, "secret")
    if secret and topic:
        raise BadRequest("What is sent to an eventGridTopic is not signed: leave out secret.")
    return SubscriptionRequest(
        url,
        topic,
        _filter(given),
        _events(given),
        _settle(given),
        _secret(secret),
        _number(given, "maxEventsPerBatch", 1, 1, MAX_EVENTS_PER_BATCH),
        _after(given),
    )


def parse_restart(body: bytes) -> RestartRequest:
    """Parse the JSON of a request that restarts a subscription. Raises BadRequest."""
    given = read_object(body, _RESTART_MEMBERS)
    if _text(given, "status").lower() != "active":
        raise BadRequest("The member status must be active: all else of a subscription stays as it was made.")
    return RestartRequest(_after(given))


def duration_text(duration: timedelta) -> str:
    """A duration of whole seconds in ISO 8601, such as PT2M."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"The member {name} must be text.")
    return value


def _filter(given: Mapping[str, Any]) -> str:
    text = _text(given, "filter").removeprefix("?")
    if len(text) > MAX_FILTER_LENGTH:
        raise BadRequest(f"The member filter must have at most {MAX_FILTER_LENGTH} characters.")
    if not text.isprintable():  # half a surrogate pair, too, which UTF-8 does not have
        raise BadRequest("The member filter must be a query string: percent-encode what cannot be printed.")
    return text


def _events(given: Mapping[str, Any]) -> list[str]:
    value = given.get("events", EVENTS)
    known = {name.lower(): name for name in EVENTS}
    if not isinstance(value, (list, tuple)) or not value:
        raise BadRequest(f"The member events must be a list of some of {', '.join(EVENTS)}.")
    named = {known.get(one.lower(), "") if isinstance(one, str) else "" for one in value}
    if "" in named:
        raise BadRequest(f"The member events must be a list of some of {', '.join(EVENTS)}.")
    return [name for name in EVENTS if name in named]


def _settle(given: Mapping[str, Any]) -> timedelta:
    if "settle" not in given:
        return _DEFAULT_SETTLE
    found = _DURATION.fullmatch(_text(given, "settle"))
    days, hours, minutes, seconds = (int(number or 0) for number in (found.groups() if found else [0] * 4))
    settle = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta(seconds=1) <= settle <= _LONGEST_SETTLE:
        raise BadRequest("The member settle must be a duration in ISO 8601 from PT1S to P1D, such as PT2M.")
    return settle


def _secret(text: str) -> str:
    if not text:
        return ""
    least, most = _SECRET_BYTES
    try:
        size = len(base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not text.startswith(SECRET_PREFIX) or not least <= size <= most:
        raise BadRequest(f"The member secret must be {SECRET_PREFIX} and {least} to {most} bytes in base64.")
    return text


def _after(given: Mapping[str, Any]) -> int | None:
    return _number(given, "after", 0, 0, MAX_NUMBER) if "after" in given else None


def _number(given: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    number = given.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise BadRequest(f"The member {name} must be a whole number from {least} to {most}.")
    return number
