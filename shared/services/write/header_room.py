"""What the attributes of a file on its way take of the process's memory, taken as they grow.

An attribute takes many times its bytes. Small headers pass freely; a larger one takes from a budget for each step that
it grows over, in their order and from each once: so whoever holds the last can finish, and no two wait for each other.
"""

from typing import Final

from shared.errors import Unavailable
from shared.services.byte_budget import ByteBudget

_MIB: Final = 1024**2
# Over what size a header takes how much of how large a budget. Whatever exceeds the last step is alone there.
# The first lets the 1,000 attributes pass that a file may well have.
_STEPS: Final = ((_MIB, 4 * _MIB, 16 * _MIB), (4 * _MIB, 12 * _MIB, 12 * _MIB), (16 * _MIB, 64 * _MIB, 64 * _MIB))
_WAIT_SECONDS: Final = 30


class HeaderBudgets:
    """The budgets of one process."""

    def __init__(self, wait_seconds: float = _WAIT_SECONDS) -> None:
        self.wait_seconds = wait_seconds
        self.steps = [(over, taken, ByteBudget(limit)) for over, taken, limit in _STEPS]

    @property
    def taken_bytes(self) -> int:
        """How much is held."""
        return sum(budget.taken_bytes for _, _, budget in self.steps)


class HeaderRoom:
    """The room of one file; given back with `release`."""

    def __init__(self, budgets: HeaderBudgets) -> None:
        self._budgets = budgets
        self._taken: list[int] = []

    async def grow(self, size_bytes: int) -> None:
        """Take what a header of this size needs. Raises Unavailable where others hold it for too long."""
        for over, wanted, budget in self._budgets.steps[len(self._taken) :]:
            if size_bytes <= over:
                return
            try:
                self._taken.append(await budget.take(wanted, self._budgets.wait_seconds))
            except TimeoutError:
                raise Unavailable("The service is busy with other uploads: try again.") from None

    def release(self) -> None:
        """Give everything back."""
        for taken, (_, _, budget) in zip(self._taken, self._budgets.steps, strict=False):
            budget.give_back(taken)
        self._taken = []
