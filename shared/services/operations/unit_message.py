"""The message that makes the platform run a unit: which operation's, which unit, and which generation of it. Pure."""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

_ID: Final = re.compile(r"[0-9a-f]{32}")


class NotAUnitMessage(Exception):
    """A message that this service did not send."""


@dataclass(frozen=True, slots=True)
class UnitMessage:
    """A message for a run of a unit."""

    operation: str
    unit: int
    generation: int

    @classmethod
    def of(cls, body: bytes) -> Self:
        """The message that a body is. Raises NotAUnitMessage."""
        try:
            found = json.loads(body)
            message = cls(found["operation"], found["unit"], found["generation"])
        except (KeyError, TypeError, ValueError, RecursionError):
            raise NotAUnitMessage from None
        if not isinstance(message.operation, str) or not _ID.fullmatch(message.operation):
            raise NotAUnitMessage
        if not all(type(number) is int and 0 <= number < 2**31 for number in (message.unit, message.generation)):
            raise NotAUnitMessage
        return message

    @property
    def content(self) -> dict[str, Any]:
        """The message as JSON."""
        return asdict(self)
