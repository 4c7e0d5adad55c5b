"""Sending events to where a subscriber wants them: to a URL, signed (Standard Webhooks), or to an Event Grid topic."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from shared.archive.subscription import Subscription
from shared.errors import BadRequest
from shared.services.subscriptions.cloud_events import Event, host_of
from shared.services.subscriptions.targets import Answer, Targets, open_targets, retry_seconds
from shared.storage.archive import Archive
from shared.web.event_targets import AllowedTargets
from shared.web.subscription_request import SECRET_PREFIX

_ONE: Final = "application/cloudevents+json; charset=utf-8"
_SEVERAL: Final = "application/cloudevents-batch+json; charset=utf-8"
_PUBLISH_SECONDS: Final = 30


async def send(
    archive: Archive, allowed: AllowedTargets, targets: Targets, subscription: Subscription, events: Sequence[Event]
) -> Answer:
    """Send events, in their order, all or none; one only where the subscription has no batches."""
    if subscription.event_grid_topic:
        return await _publish(archive, allowed, subscription.event_grid_topic, events)
    is_batch = subscription.max_events_per_batch > 1
    body = json.dumps(list(events) if is_batch else events[0], separators=(",", ":"), ensure_ascii=False).encode()
    first, last = events[0]["id"], events[-1]["id"]
    message_id = f"{subscription.id}-{first}" + (f"-{last}" if is_batch else "")
    now = str(int(time.time()))
    headers = {
        "Content-Type": _SEVERAL if is_batch else _ONE,
        "WebHook-Request-Origin": host_of(subscription),
        "webhook-id": message_id,
        "webhook-timestamp": now,
        "webhook-signature": signature(subscription.secret, message_id, now, body),
    }
    return await targets.request("POST", subscription.url, headers, body)


async def shake_hands(allowed: AllowedTargets, subscription: Subscription) -> None:
    """Ask a URL whether it takes this service's events (CloudEvents' Web Hooks, 4). A topic is not asked.

    Raises BadRequest, which says why it does not, or may not be asked.
    """
    if subscription.event_grid_topic:
        allowed.check_topic(subscription.event_grid_topic)
        return
    allowed.host_of(subscription.url)
    origin = host_of(subscription)
    async with open_targets(allowed) as targets:
        answer = await targets.request("OPTIONS", subscription.url, {"WebHook-Request-Origin": origin})
    if not answer.is_success:
        raise BadRequest(f"url does not answer OPTIONS as a receiver of events has to: {answer.reason}")
    if answer.allowed_origin.lower() not in (origin, "*"):
        raise BadRequest(
            f"url does not allow events of {origin}: it has to answer OPTIONS with the header WebHook-Allowed-Origin, "
            "whose value is that host or *."
        )


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The header webhook-signature of a message: HMAC-SHA256 under the secret, in base64."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


async def _publish(archive: Archive, allowed: AllowedTargets, topic: str, events: Sequence[Any]) -> Answer:
    try:
        allowed.check_topic(topic)
        async with asyncio.timeout(_PUBLISH_SECONDS):
            published = await archive.event_grid.publish(topic, events)
    except BadRequest as error:
        return Answer(None, str(error))
    except TimeoutError:
        return Answer(None, f"The topic did not answer within {_PUBLISH_SECONDS} seconds.")
    if published.status is None:
        return Answer(None, "The topic cannot be reached, or the app's identity cannot sign in.")
    answer = Answer(published.status, retry_after=retry_seconds(published.retry_after))
    if answer.is_success:
        return answer
    return Answer(published.status, f"The topic answered {published.status}.", answer.retry_after)
