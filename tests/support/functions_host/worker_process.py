"""The worker as the host sees it: starts it, asks it over gRPC for the app's functions, and has it run them."""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from local.azurite import ROOT
from tests.support.functions_host.messages import SERVICE, UNLIMITED, protos

ENVIRONMENT: Final = ROOT / ".venv-worker"
"""Where `make test-worker` installs the worker's Python, and in `app/` the app's packages."""

IS_INSTALLED: Final = (ENVIRONMENT / ".installed").exists()
"""Whether it was installed completely."""

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 5

_LEVELS: Final = (5, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL, logging.NOTSET)

_logger = logging.getLogger("functions_host")


class HostError(Exception):
    """What keeps the host from serving the app, or from running one of its functions."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function as the worker has indexed it; `trigger` is its binding, as in a function.json."""

    name: str
    function_id: str
    trigger: Mapping[str, Any]

    @property
    def is_http(self) -> bool:
        """Whether requests call it."""
        return bool(self.trigger["type"] == "httpTrigger")


@asynccontextmanager
async def running(app_folder: Path) -> AsyncIterator["Worker"]:
    """A worker that has loaded every function of the app; it ends with the context. Raises HostError."""
    if not IS_INSTALLED:
        raise HostError("Azure's Python worker is not installed: run `make setup-worker`.")
    server = grpc.aio.server(options=UNLIMITED)
    port = server.add_insecure_port("127.0.0.1:0")
    worker = Worker()
    handler = grpc.stream_stream_rpc_method_handler(
        worker.event_stream, protos.StreamingMessage.FromString, protos.StreamingMessage.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"EventStream": handler}),))
    await server.start()
    try:
        await worker.start(app_folder, port)
        yield worker
    finally:
        await worker.stop()
        await server.stop(None)


class Worker:
    """A worker's process, and the host's end of its stream of messages."""

    def __init__(self) -> None:
        self.functions: Mapping[str, Function] = {}
        self.http_uri = ""
        self._to_send: asyncio.Queue[Any] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[Any]] = {}  # by the kind of message, or the invocation
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.Task[None] | None = None

    async def start(self, app_folder: Path, port: int) -> None:
        """Start the process, and have it index and load the functions, in the host's order. Raises HostError."""
        began = time.perf_counter()
        started = self._expect("start_stream")
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
        self._process = await asyncio.create_subprocess_exec(
            ENVIRONMENT / "bin/python",
            *("-P", "-m", "tests.support.functions_host.worker_main"),
            *(str(port), str(app_folder), str(ENVIRONMENT / "app"), str(ROOT)),
            cwd=app_folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
        )
        self._ended = asyncio.create_task(self._fail_answers_at_the_end(self._process))
        await _within_start(started, "start_stream")
        request = protos.WorkerInitRequest(host_version="4.1037.0", function_app_directory=str(app_folder))
        begun = await self._ask("worker_init_response", worker_init_request=request)
        check(begun.result, "The worker could not index the app")
        self.http_uri = begun.capabilities.get("HttpUri", "")
        if not self.http_uri:
            raise HostError("The worker announced no HttpUri: no function takes a Request of the FastAPI extension.")
        request = protos.FunctionsMetadataRequest(function_app_directory=str(app_folder))
        indexed = await self._ask("function_metadata_response", functions_metadata_request=request)
        check(indexed.result, "The worker could not describe the functions")
        for metadata in indexed.function_metadata_results:
            request = protos.FunctionLoadRequest(function_id=metadata.function_id, metadata=metadata)
            loaded = await self._ask("function_load_response", function_load_request=request)
            check(loaded.result, f"The worker could not load {metadata.name}")
        self.functions = {metadata.name: _function(metadata) for metadata in indexed.function_metadata_results}
        _logger.info("%d functions loaded in %.1f s.", len(self.functions), time.perf_counter() - began)

    async def wait(self) -> None:
        """Wait until the process ends by itself."""
        assert self._ended
        await self._ended

    async def stop(self) -> None:
        """End the process, with all requests in it."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)

    def invoke(
        self, function: Function, invocation_id: str, data: Any, metadata: Mapping[str, Any]
    ) -> asyncio.Future[Any]:
        """Have a function run on its trigger's data; the result is an InvocationResponse, or raises HostError."""
        answer = self._expect(invocation_id)
        request = protos.InvocationRequest(
            invocation_id=invocation_id,
            function_id=function.function_id,
            input_data=[protos.ParameterBinding(name=function.trigger["name"], data=data)],
            trigger_metadata=metadata,
        )
        self._to_send.put_nowait(protos.StreamingMessage(invocation_request=request))
        return answer

    async def event_stream(self, received: AsyncIterator[Any], context: object) -> AsyncIterator[Any]:
        """The gRPC method that the worker calls: messages either way, until one side ends."""
        reading = asyncio.create_task(self._read(received))
        try:
            while True:
                yield await self._to_send.get()
        finally:
            reading.cancel()

    async def _read(self, received: AsyncIterator[Any]) -> None:
        async for message in received:
            kind = message.WhichOneof("content")
            content = getattr(message, kind)
            if kind == "rpc_log":
                logging.getLogger(content.category).log(_LEVELS[content.level], "%s", content.message)
                continue
            answer = self._answers.get(content.invocation_id if kind == "invocation_response" else kind)
            if answer and not answer.done():
                answer.set_result(content)

    def _expect(self, key: str) -> asyncio.Future[Any]:
        if self._ended and self._ended.done():
            raise HostError("The worker has ended.")
        answer = self._answers[key] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._answers.pop(key))
        return answer

    async def _ask(self, kind_of_answer: str, **content: Any) -> Any:
        answer = self._expect(kind_of_answer)
        self._to_send.put_nowait(protos.StreamingMessage(**content))
        return await _within_start(answer, kind_of_answer)

    async def _fail_answers_at_the_end(self, process: asyncio.subprocess.Process) -> None:
        status = await process.wait()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(HostError(f"The worker ended with status {status}."))


async def _within_start(answer: asyncio.Future[Any], kind: str) -> Any:
    try:
        return await asyncio.wait_for(answer, _START_SECONDS)
    except TimeoutError:
        raise HostError(f"The worker has sent no {kind} in {_START_SECONDS} seconds.") from None


def check(result: Any, failure: str) -> None:
    """Raise HostError, with the worker's reason, unless the result is a success."""
    if result.status != protos.StatusResult.Success:
        raise HostError(f"{failure}: {result.exception.message}\n{result.exception.stack_trace}")


def _function(metadata: Any) -> Function:
    bindings = [json.loads(binding) for binding in metadata.raw_bindings]
    triggers = [binding for binding in bindings if binding["type"].endswith("Trigger")]
    if len(triggers) != 1:
        raise HostError(f"{metadata.name} has {len(triggers)} triggers.")
    return Function(metadata.name, metadata.function_id, triggers[0])
