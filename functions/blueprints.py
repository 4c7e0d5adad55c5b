"""The blueprints of all functions: what the app is made of."""

from typing import Final

import azure.functions as func

from functions import (
    delete,
    describe,
    health,
    maintenance,
    preflight,
    render,
    retrieve,
    retrieve_frames,
    retrieve_metadata,
    search,
    store,
    wado_uri,
)

BLUEPRINTS: Final[tuple[func.Blueprint, ...]] = (
    store.bp,
    retrieve.bp,
    retrieve_metadata.bp,
    retrieve_frames.bp,
    render.bp,
    wado_uri.bp,
    search.bp,
    delete.bp,
    preflight.bp,
    describe.bp,
    health.bp,
    maintenance.bp,
)
