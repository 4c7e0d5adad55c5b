"""What a message of the queue of deliveries asks for."""

from collections.abc import Mapping
from typing import Any

from shared.services.subscriptions.deliver import deliver
from shared.services.subscriptions.wake import wake
from shared.settings import Settings
from shared.storage.archive import Archive


async def run(archive: Archive, settings: Settings, message: Mapping[str, Any]) -> None:
    """Deliver to the subscription that a message names; where it names none, look through all of them."""
    if "subscription" in message:
        await deliver(archive, settings, message["subscription"])
    else:
        await wake(archive, message.get("wake", ""), message.get("pause", 0))
