"""What a message of the queue of deliveries asks for."""

import json
from dataclasses import dataclass
from typing import Self

from shared.services.subscriptions.deliver import deliver
from shared.services.subscriptions.wake import wake
from shared.settings import Settings
from shared.storage.archive import Archive


@dataclass(frozen=True, slots=True)
class Asked:
    """A run for a `subscription`; where that is "", for all, by a wake with this `token` and `pause`."""

    subscription: str = ""
    token: str = ""
    pause: int = 0

    @classmethod
    def by(cls, message: bytes) -> Self | None:
        """What a message asks for; None where it is not one of ours."""
        try:
            read = json.loads(message)
        except ValueError:
            return None
        match read:
            case {"subscription": str(subscription), **others} if subscription and not others:
                return cls(subscription=subscription)
            case {"wake": str(token), "pause": int(pause), **others} if not others:
                return cls(token=token, pause=pause)
        return cls() if read == {} else None


async def run(archive: Archive, settings: Settings, asked: Asked) -> None:
    """Deliver to a subscription, or look through all of them."""
    if asked.subscription:
        await deliver(archive, settings, asked.subscription)
    else:
        await wake(archive, asked.token, asked.pause)
