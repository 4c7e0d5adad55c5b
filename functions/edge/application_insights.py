"""Application Insights, through OpenTelemetry: what a request or a maintenance run was and took, sent when it is over.

Spans are made with the times noted before. They hold names of functions and stores, UIDs of studies and numbers.
"""

import asyncio
import os
import re
from typing import TYPE_CHECKING, Any, Final, Self

from azure.identity import ManagedIdentityCredential
from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from functions.edge.request_record import RequestRecord
from shared.settings import Settings
from shared.storage.storage_use import Operation, StorageUse, has_failed

if TYPE_CHECKING:
    from shared.services.feed.drain import Drained
    from shared.services.repair.maintenance import Replay

_NAME: Final = "dicomweb"
_SEND_MILLISECONDS: Final = 10_000
_STORAGE_COUNTERS: Final = ("operations", "milliseconds", "retries", "bytes_sent", "bytes_received")
_CLIENT_ID: Final = re.compile(r"(?:^|;)\s*ClientId\s*=\s*([^;\s]+)", re.IGNORECASE)


class ApplicationInsights:
    """Spans and metrics of two providers. docs/operations.md says what their names mean."""

    def __init__(self, tracer_provider: TracerProvider, meter_provider: MeterProvider) -> None:
        self._tracers, self._meters = tracer_provider, meter_provider
        meter = meter_provider.get_meter(_NAME)
        self._storage = {name: meter.create_counter(f"dicomweb.storage.{name}") for name in _STORAGE_COUNTERS}
        self._settled = meter.create_counter("dicomweb.maintenance.settled_entries")
        self._removed = meter.create_counter("dicomweb.maintenance.removed_blobs")
        self._drained = meter.create_counter("dicomweb.maintenance.drained_changes")
        self._failures = meter.create_counter("dicomweb.maintenance.failures")
        # Not gauges: the exporter sends their last value again and again, as if there were new runs.
        self._oldest_entry = meter.create_histogram("dicomweb.journal.oldest_entry", "s")
        self._waiting = meter.create_histogram("dicomweb.feed.waiting_seconds", "s")
        self._received = meter.create_counter("dicomweb.request.bytes_received")
        self._sent = meter.create_counter("dicomweb.request.bytes_sent")
        self._stall = meter.create_histogram("dicomweb.loop_stall_seconds", "s")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """With exporters for the settings' connection string. Raises ValueError where it is not valid."""
        authentication = settings.applicationinsights_authentication_string
        client_id = _CLIENT_ID.search(authentication)
        credential = (
            ManagedIdentityCredential(client_id=client_id[1] if client_id else None) if authentication else None
        )
        options: dict[str, Any] = {
            "connection_string": settings.applicationinsights_connection_string,
            "credential": credential,
            "disable_offline_storage": True,
        }
        resource = Resource.create({"service.name": os.environ.get("WEBSITE_SITE_NAME", _NAME)})
        # A client does not choose what is recorded: the sampled flag of its traceparent is ignored.
        tracer_provider = TracerProvider(ALWAYS_ON, resource)
        tracer_provider.add_span_processor(
            BatchSpanProcessor(AzureMonitorTraceExporter(**options, tracer_provider=tracer_provider))
        )
        reader = PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options))
        return cls(tracer_provider, MeterProvider([reader], resource))

    def request(self, record: RequestRecord) -> None:
        """A span for the request, in the trace of its traceparent; one for each of its first storage operations."""
        function = record.function
        attributes: dict[str, str | int | float] = {
            "http.request.method": record.method,
            "http.route": function.route,
            "http.response.status_code": record.status,
            "dicomweb.function": function.name,
            "dicomweb.bytes_in": record.bytes_in,
            "dicomweb.bytes_out": record.bytes_out,
            "dicomweb.storage_operations": record.storage.operations.total(),
            "dicomweb.storage_retries": record.storage.retries.total(),
            "dicomweb.loop_stall_seconds": record.stalls.longest_seconds,
            "dicomweb.end": record.end,
        }
        if record.study_instance_uid:
            attributes["dicomweb.study"] = record.study_instance_uid
        if record.cause:
            attributes["dicomweb.cause"] = record.cause
        tracer = self._tracers.get_tracer(_NAME)
        span = tracer.start_span(
            f"{record.method} {function.route}",
            set_span_in_context(_remote_parent(record)),
            SpanKind.SERVER,
            attributes,
            start_time=record.started,
        )
        if record.has_failed:
            span.set_status(Status(StatusCode.ERROR))
        self._operations(span, record.storage)
        span.end(record.started + record.nanoseconds)
        self._received.add(record.bytes_in, {"function": function.name})
        self._sent.add(record.bytes_out, {"function": function.name})
        self._stall.record(record.stalls.longest_seconds)

    def maintenance(self, replay: "Replay", drained: "Drained", storage: StorageUse) -> None:
        """The metrics of a run of maintenance, which also drains the changes."""
        self._settled.add(replay.settled_entries)
        self._removed.add(replay.removed_blobs)
        self._drained.add(drained.changes)
        self._failures.add(replay.failures)
        self._oldest_entry.record(replay.oldest_entry_seconds)
        self._waiting.record(drained.waiting_seconds)
        self._totals(storage)

    async def send_metrics(self) -> None:
        """Send what was measured, now: a process may be stopped before the minute is over in which they are sent."""
        await asyncio.to_thread(self._meters.force_flush, _SEND_MILLISECONDS)

    def _operations(self, parent: Span, storage: StorageUse) -> None:
        tracer = self._tracers.get_tracer(_NAME)
        for operation in (*storage.first, *storage.failed):
            span = tracer.start_span(
                operation.name,
                set_span_in_context(parent),
                SpanKind.CLIENT,
                _attributes(operation),
                start_time=operation.started,
            )
            if has_failed(operation):
                span.set_status(Status(StatusCode.ERROR))
            span.end(operation.started + operation.nanoseconds)
        self._totals(storage)

    def _totals(self, storage: StorageUse) -> None:
        for (operation, status), count in storage.operations.items():
            key = operation, status
            totals = (
                count,
                storage.nanoseconds[key] / 1e6,
                storage.retries[key],
                storage.sent_bytes[key],
                storage.received_bytes[key],
            )
            for name, total in zip(_STORAGE_COUNTERS, totals, strict=True):
                self._storage[name].add(total, {"operation": operation, "status": status})


def _remote_parent(record: RequestRecord) -> Span:
    """The caller's span; without one, a span that does not exist, so that the trace is the one in the log."""
    parent_id = record.parent_id or record.trace_id[:16]
    trace_id = int(record.trace_id, 16)
    return NonRecordingSpan(SpanContext(trace_id, int(parent_id, 16), is_remote=True, trace_flags=TraceFlags(1)))


def _attributes(operation: Operation) -> dict[str, str | int | bool]:
    return {
        "http.request.method": operation.name.partition(" ")[0],
        "url.full": operation.url,
        "http.response.status_code": operation.status,
        "dicomweb.bytes_sent": operation.sent_bytes,
        "dicomweb.bytes_received": operation.received_bytes,
        "dicomweb.is_retry": operation.is_retry,
    }
