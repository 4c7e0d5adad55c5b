"""The served app with Application Insights configured: what is really sent, to a server that stands in for it."""

import gzip
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import serving
from tests.support.served_instances import dataset, part10, path_of

NAME, PATIENT_ID = "Unerkannt^Ulla", "verborgen-0815"
PIXELS = bytes(32 * 1024**2)  # more than fits in the buffers between two ends of a connection
OCTETS = "application/octet-stream"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class Ingestion(ThreadingHTTPServer):
    """Receives what exporters send; `items` are the telemetry items in order of arrival."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.items: list[dict[str, Any]] = []
        self.has_arrived = threading.Condition()

    def wait_for(self, *metrics: str, requests: int) -> None:
        """Wait until the metrics, that many requests, and what they asked of storage have arrived."""

        def have_arrived() -> bool:
            arrived = Counter(item["data"]["baseType"] for item in self.items)
            return (
                set(metrics) <= self.metrics()
                and arrived["RequestData"] >= requests
                and arrived["RemoteDependencyData"] > 0
            )

        with self.has_arrived:
            assert self.has_arrived.wait_for(have_arrived, 60)

    def metrics(self) -> set[str]:
        """The names of the metrics that have arrived."""
        return {metric["name"] for item in self.of("MetricData") for metric in item["metrics"]}

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [
            item["data"]["baseData"] | {"tags": item["tags"]} for item in self.items if item["data"]["baseType"] == kind
        ]


class Handler(BaseHTTPRequestHandler):
    server: Ingestion

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        items = json.loads(body)
        with self.server.has_arrived:
            self.server.items.extend(items)
            self.server.has_arrived.notify_all()
        answer = json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    with Ingestion() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_requests_and_metrics_arrive_without_patients_values(ingestion: Ingestion, tmp_path: Path) -> None:
    key = "00000000-0000-4000-8000-000000000000"
    environment = {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": (
            f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:{ingestion.server_port}/"
        ),
        # Nothing is sent to others, and nothing waits a minute.
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    with serving(tmp_path / "log", **environment) as server, httpx.Client(base_url=f"{server.base_url}/v2") as client:
        image = dataset(PatientName=NAME, PatientID=PATIENT_ID, PixelData=PIXELS)
        trace = {"traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
        headers = {"Content-Type": "application/dicom", **trace}
        assert client.post("/studies", content=part10(image), headers=headers).status_code == 200
        assert len(client.get("/studies", params={"PatientName": NAME}, headers=trace).json()) == 1
        assert client.get(f"{path_of(image)}/metadata", headers=trace).is_success
        assert client.get("/studies/1.2.3/metadata", headers=trace).status_code == 404
        assert client.get(path_of(image), headers={"Accept": "application/dicom", **trace}).is_success
        with client.stream(
            "GET", f"{path_of(image)}/bulkdata/7FE00010", headers={"Accept": OCTETS, **trace}
        ) as response:
            next(response.iter_raw())
        ingestion.wait_for("dicomweb.storage.operations", "dicomweb.loop_stall_seconds", requests=6)
        assert "Traceback" not in server.log.read_text()
    requests = {item["name"]: item for item in ingestion.of("RequestData")}
    store = requests["POST {version}/studies"]
    assert (store["responseCode"], store["success"]) == ("200", True)
    assert store["tags"]["ai.operation.id"] == TRACE_ID
    assert store["properties"]["dicomweb.function"] == "StoreInstances"
    assert store["properties"]["dicomweb.end"] == "whole"
    missing = requests["GET {version}/studies/{study}/metadata"]
    assert (missing["responseCode"], missing["success"]) == ("404", False)
    instance = "GET {version}/studies/{study}/series/{series}/instances/{instance}"
    streamed, left = requests[instance], requests[f"{instance}/bulkdata/{{*path}}"]
    assert (streamed["responseCode"], streamed["properties"]["dicomweb.end"]) == ("200", "whole")
    assert int(streamed["properties"]["dicomweb.bytes_out"]) > len(PIXELS)
    assert (left["responseCode"], left["properties"]["dicomweb.end"]) == ("200", "left")
    dependencies = ingestion.of("RemoteDependencyData")
    assert {item["type"] for item in dependencies} == {"HTTP"}
    assert {item["resultCode"] for item in dependencies} >= {"200", "201"}
    assert {"PUT /dicom", "POST /$batch", "GET /terms"} <= {item["name"] for item in dependencies}
    assert all(re.fullmatch(r"http://127\.0\.0\.1:\d+/[a-z$]+", item["data"]) for item in dependencies)
    sent = json.dumps(ingestion.items).lower()
    for value in (NAME, PATIENT_ID, "Unerkannt", "verborgen"):
        assert value.lower() not in sent


def test_an_invalid_connection_string_stops_no_request(tmp_path: Path) -> None:
    with serving(tmp_path / "log", APPLICATIONINSIGHTS_CONNECTION_STRING="nonsense") as server:
        assert httpx.get(f"{server.base_url}/v2/studies").status_code == 204
        assert httpx.get(f"{server.base_url}/v2/studies").status_code == 204
        server.wait_for_line("is not a connection string")
    assert server.log.read_text().count("APPLICATIONINSIGHTS_CONNECTION_STRING is not a connection string") == 1
