"""Application Insights where it is configured: opened after the first answer, since OpenTelemetry's SDK is large."""

import asyncio
import logging
from typing import TYPE_CHECKING

from shared.settings import Settings

if TYPE_CHECKING:
    from functions.edge.application_insights import ApplicationInsights

_logger = logging.getLogger(__name__)


async def open_telemetry(settings: Settings) -> "ApplicationInsights | None":
    """The sender of spans and metrics; None where none is configured. An invalid connection string is logged."""
    if not settings.applicationinsights_connection_string:
        return None
    try:
        return await asyncio.to_thread(_open, settings)
    except ValueError:
        _logger.error("APPLICATIONINSIGHTS_CONNECTION_STRING is not a connection string: nothing is sent there.")
        return None


def _open(settings: Settings) -> "ApplicationInsights":
    from functions.edge.application_insights import ApplicationInsights  # OpenTelemetry's SDK, a second to import

    return ApplicationInsights.of(settings)
