"""The worker's process: carries the host's messages to azure_functions_runtime, Microsoft's code of a Python worker.

On Azure a program that is not published does that. This one runs in `.venv-worker`, so of the project it imports only
the messages. It orders sys.path as that one does: the app's packages, the worker's, the app's folder last.
"""

import asyncio
import logging
import os
import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any, Final

import grpc
import uvloop

from tests.support.functions_host.messages import SERVICE, UNLIMITED, protos

_HOST: Final = "127.0.0.1"

# What the host asks, each by the name of the runtime's function for it, and how it is answered.
_ANSWERS: Final[Mapping[str, str]] = {
    "worker_init_request": "worker_init_response",
    "functions_metadata_request": "function_metadata_response",
    "function_load_request": "function_load_response",
    "invocation_request": "invocation_response",
}

_LEVELS: Final[Mapping[int, str]] = {
    logging.DEBUG: "Debug",
    logging.INFO: "Information",
    logging.WARNING: "Warning",
    logging.ERROR: "Error",
    logging.CRITICAL: "Critical",
}


class _Outbox(logging.Handler):
    """What is to be sent to the host, from any thread: its lines of log, too."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, **content: Any) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, protos.StreamingMessage(**content))

    def emit(self, record: logging.LogRecord) -> None:
        level = _LEVELS.get(record.levelno, "Information")
        self.put(rpc_log=protos.RpcLog(level=level, category=record.name, message=self.format(record)))

    async def messages(self) -> AsyncIterator[Any]:
        while True:
            yield await self._queue.get()


async def _answer(runtime: Any, message: Any, outbox: _Outbox) -> None:
    kind = message.WhichOneof("content")
    request = SimpleNamespace(name=kind, request=message, properties={"protos": protos, "host": _HOST})
    outbox.put(**{_ANSWERS[kind]: await getattr(runtime, kind)(request)})


async def _run(port: int, runtime: Any) -> None:
    """Answer the host on that port, and end the process when it goes away; raise what the runtime does not answer."""
    outbox = _Outbox()
    root = logging.getLogger()
    root.addHandler(outbox)
    root.setLevel(logging.INFO)
    outbox.put(start_stream=protos.StartStream())
    async with grpc.aio.insecure_channel(f"{_HOST}:{port}", UNLIMITED) as channel, asyncio.TaskGroup() as answering:
        stream = channel.stream_stream(
            f"/{SERVICE}/EventStream",
            request_serializer=protos.StreamingMessage.SerializeToString,
            response_deserializer=protos.StreamingMessage.FromString,
        )
        try:
            async for message in stream(outbox.messages()):
                answering.create_task(_answer(runtime, message, outbox))
        except grpc.aio.AioRpcError:  # the host was killed
            pass
        os._exit(0)  # with all requests that are under way


def _import_runtime(app_folder: str, packages: str, project: str) -> Any:
    of_worker = [path for path in sys.path if path not in (app_folder, project)]
    sys.path[:] = [packages, *of_worker, app_folder]
    sys.path_importer_cache.clear()
    import azure_functions_runtime  # imports the app's packages, so the path comes first

    azure_functions_runtime.start_threadpool_executor()
    return azure_functions_runtime


def main() -> None:
    """Run a worker until its host goes away."""
    parser = ArgumentParser()
    parser.add_argument("port", type=int, help="of the host's gRPC server")
    for name, meaning in (("app", "the app's folder"), ("packages", "the app's packages"), ("project", "this project")):
        parser.add_argument(name, help=meaning)
    arguments = parser.parse_args()
    runtime = _import_runtime(arguments.app, arguments.packages, arguments.project)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(arguments.port, runtime))


if __name__ == "__main__":
    main()
