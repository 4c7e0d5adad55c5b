"""The functions of queues' messages, where the host can reach the archive's queues."""

import os

import azure.functions as func

_REACHING_THE_QUEUES = ("ArchiveQueues", "ArchiveQueues__queueServiceUri")


def register(app: func.FunctionApp) -> None:
    """Register each queue's functions with the app."""
    if any(map(os.environ.get, _REACHING_THE_QUEUES)) and os.environ.get("SUBSCRIPTION_HOSTS"):
        from functions import deliveries  # off, it costs not even its import

        app.register_functions(deliveries.bp)
