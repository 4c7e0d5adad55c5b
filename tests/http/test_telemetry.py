"""What Application Insights gets of a request: its span, spans of its storage operations, metrics; no values."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from azure.functions.decorators.function_app import Function
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from functions.edge.application_insights import ApplicationInsights
from functions.maintenance import replay_journal
from local.azurite import ROOT
from local.ports import free_ports
from shared.errors import BadRequest
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.transport import WatchedTransport
from tests.support.in_process import app_client
from tests.support.served_instances import dataset, new_uid, part10, path_of
from tests.support.storage_policies import archive_through

NAME, PATIENT_ID = "Verschwiegen^Vera", "geheim-4711"
DICOM = {"Content-Type": "application/dicom"}
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Exported:
    """What two exporters have received, all kept in memory."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.telemetry = ApplicationInsights(tracers, MeterProvider([self._reader]))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    @property
    def request(self) -> ReadableSpan:
        """The only request's span."""
        (span,) = (span for span in self.spans if span.kind is SpanKind.SERVER)
        return span

    def metrics(self) -> dict[str, dict[str, float]]:
        """The values of each metric, of a histogram its maximum, by the values of its attributes."""
        data = self._reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: {
                " ".join(map(str, (point.attributes or {}).values())): getattr(point, "value", getattr(point, "max", 0))
                for point in metric.data.data_points
            }
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def text(self) -> str:
        """Everything, as text."""
        data = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + (data.to_json() if data else "")


@pytest.fixture
def exported() -> Exported:
    return Exported()


@pytest_asyncio.fixture
async def client(
    functions: list[Function], archive: Archive, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    async with app_client(functions, archive, monkeypatch, exported.telemetry) as client:
        yield client


def operations(spans: list[ReadableSpan]) -> Counter[str]:
    return Counter(span.name for span in spans if span.kind is SpanKind.CLIENT)


async def test_a_store(client: httpx.AsyncClient, exported: Exported) -> None:
    body = part10(dataset())
    assert (await client.post("/studies", content=body, headers=DICOM)).status_code == 200
    span = exported.request
    attributes = dict(span.attributes or {})
    assert span.name == "POST {version}/studies"
    assert attributes["http.response.status_code"] == 200
    assert attributes["dicomweb.function"] == "StoreInstances"
    assert attributes["dicomweb.bytes_in"] == len(body)
    asked = operations(exported.spans)
    assert asked["PUT dicom"] == 1
    assert asked["POST $batch"] > 1  # those of the catalog and of the index
    assert asked["PATCH journal"] + asked["PUT journal"] >= 1
    assert attributes["dicomweb.storage_operations"] == asked.total()
    context = span.get_span_context()
    for child in exported.spans:
        if child.kind is SpanKind.CLIENT:
            assert child.parent is not None
            assert context is not None
            assert child.parent.span_id == context.span_id
            assert span.start_time is not None
            assert child.start_time is not None
            assert child.start_time >= span.start_time
    metrics = exported.metrics()
    assert sum(metrics["dicomweb.storage.operations"].values()) == asked.total()
    assert metrics["dicomweb.storage.bytes_sent"]["PUT dicom 201"] >= len(body)
    assert metrics["dicomweb.request.bytes_received"] == {"StoreInstances": len(body)}
    assert sum(metrics["dicomweb.storage.retries"].values()) == 0


async def test_a_streamed_answer_is_reported_when_it_is_sent(client: httpx.AsyncClient, exported: Exported) -> None:
    image = dataset()
    await client.post("/studies", content=part10(image), headers=DICOM)
    count = len(exported.spans)
    response = await client.get(path_of(image), headers={"Accept": "application/dicom; transfer-syntax=*"})
    spans = exported.spans[count:]
    (span,) = (span for span in spans if span.kind is SpanKind.SERVER)
    attributes = dict(span.attributes or {})
    assert span.name == "GET {version}/studies/{study}/series/{series}/instances/{instance}"
    assert attributes["dicomweb.study"] == image.StudyInstanceUID
    assert attributes["dicomweb.bytes_out"] == len(response.content)
    assert attributes["dicomweb.end"] == "whole"
    assert operations(spans) == {"GET catalog": 1, "GET dicom": 1}


async def test_a_stall_of_the_loop_is_reported(
    client: httpx.AsyncClient, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hold_the_loop(*_: Any, **__: Any) -> Any:
        time.sleep(0.2)
        raise BadRequest("Too long.")

    monkeypatch.setattr("functions.search.parse_search", hold_the_loop)
    assert (await client.get("/studies")).status_code == 400
    stall_seconds = (exported.request.attributes or {})["dicomweb.loop_stall_seconds"]
    assert exported.metrics()["dicomweb.loop_stall_seconds"] == {"": stall_seconds}
    assert isinstance(stall_seconds, float)
    assert stall_seconds > 0.15


async def test_nothing_exported_holds_patient_data(client: httpx.AsyncClient, exported: Exported) -> None:
    image = dataset(PatientName=NAME, PatientID=PATIENT_ID)
    await client.post("/studies", content=part10(image), headers=DICOM)
    found = await client.get("/studies", params={"PatientName": NAME, "PatientID": PATIENT_ID})
    assert len(found.json()) == 1
    await client.get("/studies", params={"PatientName": "Verschwiegen*"})
    await client.get("/studies/Abwesend^Anna/metadata")
    await client.get(f"{path_of(image)}/metadata")
    await client.get(f"{path_of(image)}/bulkdata/00100010")
    await client.delete(f"/studies/{image.StudyInstanceUID}")
    text = exported.text().lower()
    assert operations(exported.spans)["GET terms"] > 0
    assert "studies" in text
    for value in (NAME, PATIENT_ID, "Verschwiegen", quote(NAME), "Abwesend"):
        assert value.lower() not in text


async def test_the_callers_trace_is_continued(client: httpx.AsyncClient, exported: Exported) -> None:
    await client.get("/studies", headers={"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"})
    for span in exported.spans:
        context = span.get_span_context()
        assert context is not None
        assert f"{context.trace_id:032x}" == TRACE_ID
    parent = exported.request.parent
    assert parent is not None
    assert f"{parent.span_id:016x}" == PARENT_ID


@pytest.mark.parametrize("traceparent", ["", "00-xyz", f"00-{'0' * 32}-{PARENT_ID}-01", f"00-{TRACE_ID}-{'0' * 16}-01"])
async def test_an_invalid_traceparent_starts_a_new_trace(
    client: httpx.AsyncClient, exported: Exported, traceparent: str
) -> None:
    assert (await client.get("/studies", headers={"traceparent": traceparent})).is_success
    context = exported.request.get_span_context()
    assert context is not None
    assert f"{context.trace_id:032x}" not in (TRACE_ID, "0" * 32)


async def test_retries_and_failures_are_counted(
    functions: list[Function], exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)}/nobody"
    nowhere = f"AccountName=nobody;AccountKey=a2V5;BlobEndpoint={endpoint};TableEndpoint={endpoint}"
    async with (
        archive_through(
            WatchedTransport(), monkeypatch, Settings(storage_connection_string=nowhere), retries=2
        ) as unreachable,
        app_client(functions, unreachable, monkeypatch, exported.telemetry) as client,
    ):
        assert (await client.get("/studies/1.2.3/metadata")).status_code == 503
    attributes = dict(exported.request.attributes or {})
    assert exported.request.status.status_code is StatusCode.ERROR
    assert (attributes["dicomweb.storage_operations"], attributes["dicomweb.storage_retries"]) == (3, 2)
    children = [span for span in exported.spans if span.kind is SpanKind.CLIENT]
    assert [(child.attributes or {})["dicomweb.is_retry"] for child in children] == [False, True, True]
    assert all(child.status.status_code is StatusCode.ERROR for child in children)


async def test_a_request_with_many_operations_has_few_spans_and_a_full_count(
    client: httpx.AsyncClient, exported: Exported
) -> None:
    study, series = new_uid(), new_uid()
    files = [part10(dataset(StudyInstanceUID=study, SeriesInstanceUID=series)) for _ in range(40)]
    parts = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files) + b"--b--"
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    assert (await client.post("/studies", content=parts, headers=headers)).status_code == 200
    counted = sum(exported.metrics()["dicomweb.storage.operations"].values())
    assert operations(exported.spans).total() == 50
    assert counted == (exported.request.attributes or {})["dicomweb.storage_operations"]
    assert counted > 80


async def test_maintenance(client: httpx.AsyncClient, exported: Exported) -> None:
    await replay_journal.build(None).get_user_function()(None)
    metrics = exported.metrics()
    assert metrics["dicomweb.maintenance.failures"] == {"": 0}
    assert set(metrics) >= {
        "dicomweb.maintenance.settled_entries",
        "dicomweb.maintenance.removed_blobs",
        "dicomweb.maintenance.drained_changes",
        "dicomweb.journal.oldest_entry",
        "dicomweb.feed.waiting_seconds",
    }
    assert metrics["dicomweb.storage.operations"]["GET journal 200"] >= 1


class KeptMetrics(MetricExporter):
    """The names of the metrics that were sent."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        scopes = (scope for resource in metrics_data.resource_metrics for scope in resource.scope_metrics)
        self.names |= {metric.name for scope in scopes for metric in scope.metrics}
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        pass


async def test_maintenance_sends_its_metrics_before_the_process_may_be_stopped(
    functions: list[Function], archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = KeptMetrics()
    meters = MeterProvider([PeriodicExportingMetricReader(sent, export_interval_millis=3_600_000)])
    async with app_client(functions, archive, monkeypatch, ApplicationInsights(TracerProvider(), meters)):
        await replay_journal.build(None).get_user_function()(None)
        assert "dicomweb.journal.oldest_entry" in sent.names
    meters.shutdown()


def test_telemetry_is_not_imported_where_it_is_not_configured() -> None:
    program = """
import asyncio, sys
import function_app
from functions.edge.app import app_of_process
assert asyncio.run(app_of_process().telemetry()) is None
found = [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "azure.monitor", "azure.identity"))]
assert not found, found
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)  # noqa: S603 -- our own program
