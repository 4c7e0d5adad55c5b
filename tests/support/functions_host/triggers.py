"""What the host hands to a function that is not HTTP: the data of its trigger, and what is said of it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.support.functions_host.messages import protos
from tests.support.functions_host.worker_process import Function, HostError


def data_of(function: Function, text: str) -> tuple[Any, Mapping[str, Any]]:
    """The TypedData of a timer that is due, or of a queue's message, and the trigger's metadata. Raises HostError."""
    match function.trigger["type"]:
        case "timerTrigger":
            timer = _json({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False})
            return timer, {"TimerTrigger": timer}
        case "queueTrigger":
            now = datetime.now(UTC).isoformat(timespec="seconds")
            times = dict.fromkeys(("InsertionTime", "ExpirationTime", "NextVisibleTime"), now)
            facts = {"Id": str(uuid4()), "PopReceipt": "receipt", "DequeueCount": 1, **times}
            return protos.TypedData(string=text), {name: _json(fact) for name, fact in facts.items()}
        case kind:
            raise HostError(f"{function.name}: a {kind} cannot be fired here.")


def _json(value: object) -> Any:
    return protos.TypedData(json=json.dumps(value))
