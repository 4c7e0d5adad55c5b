"""The servers that are measured, each started for the run and stopped after it, and what their processes use."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil  # type: ignore[import-untyped] # its stubs are another package

from local.azurite import ROOT, connection_string
from local.background import is_healthy
from local.ports import free_ports

ORTHANC: Final = shutil.which("Orthanc")
ORTHANC_DICOMWEB: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

_START_SECONDS: Final = 90
_MAX_BODY_BYTES: Final = 2 * 1024**3
_REQUEST_LINE: Final = re.compile(r"transaction=\S+ .*? storage=(\d+)")
_LOG_SECONDS: Final = 0.2  # until the line of a streamed answer is written


@dataclass(frozen=True, slots=True)
class Server:
    """A served DICOMweb API: its base URL, and the process that serves it. `log`: where it counts its operations."""

    base_url: str
    process: psutil.Process
    log: Path | None = None

    def cpu_seconds(self) -> float:
        """The CPU seconds that the process has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def reset_peak(self) -> int:
        """Restart the measurement of peak memory; return what the process holds now, in bytes."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.peak_bytes()

    def peak_bytes(self) -> int:
        """The most memory that the process has held since, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index] # Linux always says it

    def log_end(self) -> int:
        """Where the log ends now."""
        return self.log.stat().st_size if self.log else 0

    def operations(self, since: int) -> tuple[int, int]:
        """How many requests the log has from a position on, and how many storage operations they took."""
        if self.log is None:
            return 0, 0
        time.sleep(_LOG_SECONDS)
        with self.log.open(errors="replace") as log:
            log.seek(since)
            counts = [int(found[1]) for line in log if (found := _REQUEST_LINE.search(line))]
        return len(counts), sum(counts)


@contextmanager
def service(folder: Path) -> Iterator[tuple[Server, str]]:
    """The service on an Azurite that keeps its data in a folder, and Azurite's connection string."""
    port, log = free_ports(4), folder / "log"
    environment = {
        "PORT": str(port),
        "AZURITE_PORT": str(port + 1),
        "DATA": str(folder / "azurite"),
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(_MAX_BODY_BYTES),
    }
    arguments = [sys.executable, "-m", "local"]
    with log.open("wb") as output, _running(arguments, output.fileno(), environment) as process:
        _wait(process, lambda: is_healthy(f"http://127.0.0.1:{port}"))
        yield Server(f"http://127.0.0.1:{port}/v2", process, log), connection_string(port + 1)


@contextmanager
def orthanc(folder: Path) -> Iterator[Server | None]:
    """Orthanc with its DICOMweb plugin, its data in a folder; None where it is not installed."""
    if not (ORTHANC and ORTHANC_DICOMWEB.exists()):
        yield None
        return
    port = free_ports(1)
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [str(ORTHANC_DICOMWEB)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": False,
        "KeepAlive": True,
        "HttpCompressionEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _running([ORTHANC, str(folder / "orthanc.json")], subprocess.DEVNULL, {}) as process:
        _wait(process, lambda: _answers(f"http://127.0.0.1:{port}/system"))
        yield Server(f"http://127.0.0.1:{port}/dicom-web", process)


@contextmanager
def _running(arguments: list[str], output: int, environment: dict[str, str]) -> Iterator[psutil.Process]:
    process = subprocess.Popen(  # noqa: S603 -- our own arguments
        arguments, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).is_success
    except httpx.TransportError:
        return False


def _wait(process: psutil.Process, is_up: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while not is_up():
        if not process.is_running() or time.monotonic() > give_up:
            raise RuntimeError(f"{process} did not come up.")
        time.sleep(0.1)
