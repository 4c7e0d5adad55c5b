"""The app in this process, for tests that check what it does beside answering."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from azure.functions.decorators.function_app import Function

from functions.edge import app
from functions.edge.application_insights import ApplicationInsights
from local.server import Host, routes_of
from shared.settings import Settings
from shared.storage.archive import Archive


@asynccontextmanager
async def app_client(
    functions: Iterable[Function],
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    telemetry: ApplicationInsights | None = None,
    **changed: Any,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app's v2 URL, on an open archive, with some settings changed."""
    settings = Settings(anonymous_access=True, **changed)
    with monkeypatch.context() as patch:
        patch.setattr(app, "of_process", app.App(settings, archive=archive, telemetry=telemetry))
        transport = httpx.ASGITransport(Host(routes_of(functions)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7071/v2", timeout=60) as client:
            yield client


@asynccontextmanager
async def configured_client(
    functions: Iterable[Function], monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app with settings that name no storage account: whatever needs storage answers 503."""
    monkeypatch.setattr(app, "of_process", app.App.from_environment(environment))
    transport = httpx.ASGITransport(Host(routes_of(functions)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7071") as client:
        yield client
