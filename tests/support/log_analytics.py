"""A workspace of Log Analytics in memory: our telemetry, converted by the exporters that send it, asked in KQL.

`duckdb_kql` translates KQL for DuckDB, and refuses what it does not know; its results are checked against Kusto's.
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import duckdb_kql
from azure.monitor.opentelemetry.exporter import (
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from azure.monitor.opentelemetry.exporter.export._base import ExportResult
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from functions.edge.application_insights import ApplicationInsights
from functions.edge.request_record import RequestRecord
from functions.routes import ROUTES
from shared.services.feed.drain import Drained
from shared.services.repair.maintenance import Replay
from shared.storage.storage_use import Operation, StorageUse

_OPTIONS: Final[dict[str, Any]] = {
    "connection_string": "InstrumentationKey=00000000-0000-4000-8000-000000000000;IngestionEndpoint=http://127.0.0.1:9/",
    "disable_offline_storage": True,
}
_COLUMNS: Final = {
    "AppRequests": (
        "TimeGenerated TIMESTAMP, Name VARCHAR, ResultCode VARCHAR, Success BOOLEAN, DurationMs DOUBLE, "
        "Properties JSON, _ResourceId VARCHAR"
    ),
    "AppMetrics": (
        "TimeGenerated TIMESTAMP, Name VARCHAR, Sum DOUBLE, Min DOUBLE, Max DOUBLE, ItemCount BIGINT, Properties JSON, "
        "_ResourceId VARCHAR"
    ),
    "AppTraces": (
        "TimeGenerated TIMESTAMP, Message VARCHAR, SeverityLevel BIGINT, Properties JSON, _ResourceId VARCHAR"
    ),
}
_LEVELS: Final = {"INFO": SeverityNumber.INFO, "WARNING": SeverityNumber.WARN, "ERROR": SeverityNumber.ERROR}

Row = tuple[Any, ...]


class _Spans(AzureMonitorTraceExporter):
    def __init__(self, sent: list[Any], provider: TracerProvider) -> None:
        super().__init__(**_OPTIONS, tracer_provider=provider)
        self.sent = sent

    def _transmit(self, envelopes: list[Any], _skip_rate_limit: bool = False) -> ExportResult:
        self.sent += envelopes
        return ExportResult.SUCCESS


class _Metrics(AzureMonitorMetricExporter):
    def __init__(self, sent: list[Any]) -> None:
        super().__init__(**_OPTIONS)
        self.sent = sent

    def _transmit(self, envelopes: list[Any], _skip_rate_limit: bool = False) -> ExportResult:
        self.sent += envelopes
        return ExportResult.SUCCESS


class _Logs(AzureMonitorLogExporter):
    def __init__(self, sent: list[Any]) -> None:
        super().__init__(**_OPTIONS)
        self.sent = sent

    def _transmit(self, envelopes: list[Any], _skip_rate_limit: bool = False) -> ExportResult:
        self.sent += envelopes
        return ExportResult.SUCCESS


class Workspace:
    """The tables AppRequests, AppMetrics and AppTraces. What happened `minutes_ago` has that TimeGenerated.

    `resource_id` is the Application Insights component that telemetry is sent to.
    """

    def __init__(self, resource_id: str) -> None:
        self.resource_id = resource_id
        self._now = datetime.now(UTC).replace(tzinfo=None)
        self._connection = duckdb_kql.connect()
        self._connection.execute("CREATE SCHEMA kept")
        for table, columns in _COLUMNS.items():
            self._connection.execute(f"CREATE TABLE kept.{table} ({columns})")
        self._sent: list[Any] = []
        self._tracers = TracerProvider(shutdown_on_exit=False)
        self._tracers.add_span_processor(SimpleSpanProcessor(_Spans(self._sent, self._tracers)))
        reader = PeriodicExportingMetricReader(_Metrics(self._sent), export_interval_millis=math.inf)
        self._meters = MeterProvider([reader], shutdown_on_exit=False)
        self._logs = LoggerProvider(shutdown_on_exit=False)
        self._logs.add_log_record_processor(SimpleLogRecordProcessor(_Logs(self._sent)))
        self._telemetry = ApplicationInsights(self._tracers, self._meters)

    def request(
        self, status: int = 200, *, count: int = 1, seconds: float = 0.1, minutes_ago: float = 1, **noted: Any
    ) -> None:
        """Requests to a function of ours. `noted` are further fields of their RequestRecord."""
        function = ROUTES["RetrieveInstance"]
        for _ in range(count):
            self._telemetry.request(
                RequestRecord(
                    function=function,
                    method="GET",
                    study_instance_uid="1.2.840.1",
                    trace_id="0af7651916cd43dd8448eb211c80319c",
                    parent_id=None,
                    status=status,
                    nanoseconds=int(seconds * 1e9),
                    **noted,
                )
            )
        self._keep(minutes_ago)

    def host_request(self, status: int = 200, *, count: int = 1, minutes_ago: float = 1) -> None:
        """The rows that the Functions host writes beside ours: as ASP.NET Core has them, without our attributes."""
        for _ in range(count):
            attributes: dict[str, str | int] = {"http.request.method": "GET", "http.response.status_code": status}
            self._host_span("GET /v2/studies", attributes, has_failed=status >= 500)
        self._keep(minutes_ago)

    def host_run(self, name: str = "ReplayJournal", *, has_failed: bool = False, minutes_ago: float = 1) -> None:
        """The row that the host writes for a run of a function without HTTP: a server span by the function's name."""
        self._host_span(name, {}, has_failed=has_failed)
        self._keep(minutes_ago)

    def log(self, level: str, message: str, *, minutes_ago: float = 1) -> None:
        """A line of the log, which the host passes on."""
        self._logs.get_logger("Function").emit(LogRecord(severity_number=_LEVELS[level], body=message))
        self._keep(minutes_ago)

    def maintenance(self, *, minutes_ago: float = 1, waiting_seconds: float = 0, **replay: Any) -> None:
        """A run of maintenance of ours, which found changes that had waited so long. `replay` are of its Replay."""
        self._telemetry.maintenance(Replay(**replay), Drained(waiting_seconds=waiting_seconds), StorageUse())
        self._keep(minutes_ago)

    def storage_operations(self, status: int, *, count: int, minutes_ago: float = 1) -> None:
        """Operations of storage that were answered so, by one request."""
        use = StorageUse()
        for _ in range(count):
            use.note(Operation("GET catalog", "https://a.example/catalog", 1, 1, status, 0, 0, is_retry=False))
        self.request(storage=use, minutes_ago=minutes_ago)

    def metrics_are_sent_again(self) -> None:
        """What a process that has nothing new to report sends a minute later."""
        self._keep(0)

    def asked(self, query: str, window: timedelta) -> Sequence[Row]:
        """What a KQL query finds among the rows of the last `window`."""
        for table in _COLUMNS:
            self._connection.execute(
                f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM kept.{table} "  # noqa: S608 -- names of ours
                f"WHERE TimeGenerated > TIMESTAMP '{self._now - window}'"
            )
        found: Sequence[Row] = duckdb_kql.query(self._connection, query).fetchall()
        return found

    def _host_span(self, name: str, attributes: dict[str, str | int], *, has_failed: bool) -> None:
        tracer = self._tracers.get_tracer("Microsoft.Azure.WebJobs")
        span = tracer.start_span(name, kind=SpanKind.SERVER, attributes=attributes)
        if has_failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _keep(self, minutes_ago: float) -> None:
        self._meters.force_flush()
        time = self._now - timedelta(minutes=minutes_ago)
        rows: dict[str, list[Row]] = {table: [] for table in _COLUMNS}
        for envelope in self._sent:
            data = envelope.data.base_data
            properties = json.dumps(data.properties)
            if envelope.data.base_type == "RequestData":
                duration = _milliseconds(data.duration)
                rows["AppRequests"].append(
                    (time, data.name, data.response_code, data.success, duration, properties, self.resource_id)
                )
            elif envelope.data.base_type == "MessageData":
                rows["AppTraces"].append((time, data.message, data.severity_level, properties, self.resource_id))
            elif envelope.data.base_type == "MetricData":
                for point in data.metrics:
                    # Ingestion takes the value where a measurement has no least and greatest one.
                    least, greatest = (point.value if one is None else one for one in (point.min, point.max))
                    rows["AppMetrics"].append(
                        (time, point.name, point.value, least, greatest, point.count, properties, self.resource_id)
                    )
        self._sent.clear()
        for table, added in rows.items():
            if added:
                places = ", ".join("?" * len(added[0]))
                self._connection.executemany(f"INSERT INTO kept.{table} VALUES ({places})", added)  # noqa: S608


def _milliseconds(duration: str) -> float:
    days, clock = duration.split(".", 1)
    hours, minutes, seconds = clock.split(":")
    return timedelta(int(days), float(seconds), hours=int(hours), minutes=int(minutes)) / timedelta(milliseconds=1)
