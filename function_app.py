"""The Azure Functions app: a function for each route of the DICOMweb service, and a timer."""

import logging

import azure.functions as func
import azurefunctions.extensions.http.fastapi  # type: ignore[import-untyped]  # noqa: F401 -- its import turns HTTP streaming on

from functions import (  # noqa: F401 -- their import makes the functions of the table of routes
    delete,
    describe,
    health,
    maintenance,
    preflight,
    render,
    retrieve,
    search,
    store,
    wado_uri,
)
from functions.edge.function import register

# uvicorn logs each URL with its query, in which patients' names stand. A filter is what survives its configuration.
logging.getLogger("uvicorn.access").addFilter(lambda _: False)
# So do the storage SDKs with the keys of the index.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)

app = func.FunctionApp()
register(app)
app.register_functions(maintenance.bp)
