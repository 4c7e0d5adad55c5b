"""The Azure Functions app: a function for each route of the DICOMweb service."""

import logging

import azure.functions as func
import azurefunctions.extensions.http.fastapi  # type: ignore[import-untyped]  # noqa: F401 -- its import turns HTTP streaming on

from functions.blueprints import BLUEPRINTS

# uvicorn logs each URL with its query, in which patients' names stand. A filter is what survives its configuration.
logging.getLogger("uvicorn.access").addFilter(lambda _: False)
# So do the storage SDKs with the keys of the index.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)

app = func.FunctionApp()
for blueprint in BLUEPRINTS:
    app.register_functions(blueprint)
