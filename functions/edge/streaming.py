"""HTTP streaming on Azure's worker: its extension, whose server passes every request on to the host's functions."""

from functools import partial

from azurefunctions.extensions.http.fastapi import web  # type: ignore[import-untyped]  # importing it turns streaming on
from fastapi import FastAPI

# FastAPI has pages of its own, such as /docs. It would answer there in place of the function that the host has called,
# which the host then awaits until it times out, and restarts the worker.
web.FastAPI = partial(FastAPI, openapi_url=None)
