"""The Azure Functions app: a function for each route of the DICOMweb service, timers, and functions of queues."""

import gc
import logging

# What is imported here stays, so there is nothing to collect: looking for it takes a tenth of the start.
gc.disable()

import azure.functions as func

import functions.edge.streaming  # noqa: F401 -- importing it turns HTTP streaming on
from functions import (  # noqa: F401 -- importing them defines the functions of the table of routes
    all_bulk_data,
    change_feed,
    delete,
    describe,
    extended_query_tags,
    health,
    operations,
    other_paths,
    preflight,
    queue_triggers,
    render,
    retrieve,
    search,
    store,
    subscriptions,
    timers,
    wado_uri,
)
from functions.edge.function import register

# uvicorn logs each URL with its query, which may hold patients' names. Only a filter survives uvicorn's configuration.
logging.getLogger("uvicorn.access").addFilter(lambda _: False)
# The storage SDKs log URLs that hold keys of the index.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)

app = func.FunctionApp()
register(app)
timers.register(app)
queue_triggers.register(app)

gc.freeze()  # nor do the collections of requests look through it
gc.enable()
