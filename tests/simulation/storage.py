"""A simulated storage account: its services, without a network."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.simulation.blobs import BlobService
from tests.simulation.queues import QueueService
from tests.simulation.table_values import ticks_of
from tests.simulation.tables import TableService
from tests.simulation.virtual_clock import START
from tests.support.storage_messages import Answer, Request

CONNECTION_STRING: Final = (
    "DefaultEndpointsProtocol=http;AccountName=simulated;AccountKey=c2ltdWxhdGVk;"
    "BlobEndpoint=http://simulated.blob.core.windows.net;TableEndpoint=http://simulated.table.core.windows.net;"
    "QueueEndpoint=http://simulated.queue.core.windows.net;"
)


class SimulatedStorage:
    """The services of one account.

    `seconds` is the time that has passed, `page` chooses how many entries, of at most so many, a list returns at once,
    `refuses` whether one request of a batch is refused.
    """

    def __init__(
        self, seconds: Callable[[], float], page: Callable[[int], int], refuses: Callable[[], bool] = lambda: False
    ) -> None:
        start = ticks_of(START)

        def now() -> int:
            return start + int(seconds() * 10_000_000)

        self.queues = QueueService(now)
        self._services: Mapping[str, Callable[[Request], Answer]] = {
            "blob": BlobService(now, page, refuses).answer,
            "queue": self.queues.answer,
            "table": TableService(now, page).answer,
        }

    def answer(self, service: str, request: Request) -> Answer:
        """Carry out a request to one of the services."""
        return self._services[service](request)
