"""The queue functions: deliveries to subscribers, where there may be any."""

import os
from typing import Final

import azure.functions as func

_REACHING_QUEUES: Final = ("ArchiveQueues", "ArchiveQueues__queueServiceUri")


def register(app: func.FunctionApp) -> None:
    """Register each queue function with the app."""
    if any(map(os.environ.get, _REACHING_QUEUES)) and os.environ.get("SUBSCRIPTION_HOSTS"):
        from functions import deliveries  # off, it costs not even its import

        app.register_functions(deliveries.bp)
