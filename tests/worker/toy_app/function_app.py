"""An app that shows what reaches its functions."""

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator
from uuid import UUID

import azure.functions as func
from azurefunctions.extensions.http.fastapi import (  # type: ignore[import-untyped]
    JSONResponse,
    PlainTextResponse,
    Request,
    Response,
    StreamingResponse,
)

BLOCK = bytes(1 << 16)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
running = 0
ended: list[str] = []  # how streams ended


@app.function_name("Describe")
@app.route("studies/{study}/series/{series}/{*rest}", methods=["GET", "HEAD"])
async def describe(req: Request) -> Response:
    return JSONResponse(
        {"parameters": req.path_params, "query": req.query_params.multi_items(), "headers": req.headers.items()}
    )


@app.function_name("Digest")
@app.route("digest", methods=["POST"])
async def digest(req: Request) -> Response:
    size, sha256 = 0, hashlib.sha256()
    try:
        async for chunk in req.stream():
            size += len(chunk)
            sha256.update(chunk)
    except BaseException as error:
        ended.append(type(error).__name__)
        raise
    return JSONResponse([size, sha256.hexdigest()])


@app.function_name("Refuse")
@app.route("refuse", methods=["POST"])
async def refuse(req: Request) -> Response:
    return PlainTextResponse("unread", 413)


@app.function_name("Download")
@app.route("download/{mib}", methods=["GET"])
async def download(req: Request) -> Response:
    async def blocks() -> AsyncIterator[bytes]:
        try:
            for _ in range(int(req.path_params["mib"]) * 16):
                yield BLOCK
                await asyncio.sleep(0)
            if "break" in req.query_params:
                raise ZeroDivisionError
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    return StreamingResponse(blocks())


@app.function_name("Ended")
@app.route("ended", methods=["GET"])
async def how_streams_ended(req: Request) -> Response:
    return JSONResponse(ended)


@app.function_name("Wait")
@app.route("wait", methods=["GET"])
async def wait(req: Request) -> Response:
    global running
    running += 1
    response = PlainTextResponse(str(running))
    await asyncio.sleep(0.5)
    running -= 1
    return response


@app.function_name("Fail")
@app.route("fail", methods=["GET"])
async def fail(req: Request) -> Response:
    raise ZeroDivisionError("on purpose")


@app.function_name("Tick")
@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
async def tick(timer: func.TimerRequest) -> None:
    logging.info("Ticked, past due: %s, MOOD=%s.", timer.past_due, os.environ["MOOD"])


@app.function_name("Receive")
@app.queue_trigger(arg_name="message", queue_name="toys", connection="Storage")
async def receive(message: func.QueueMessage) -> None:
    logging.info("Received %r for the %d. time.", message.get_body().decode(), message.dequeue_count)
    if not message.get_body():
        raise ZeroDivisionError("nothing received")


work = func.Blueprint()


@work.function_name("Inspect")
@work.queue_trigger(arg_name="message", queue_name="toys-poison", connection="Storage")
async def inspect(message: func.QueueMessage) -> None:
    times = message.insertion_time, message.expiration_time, message.time_next_visible
    facts = [
        UUID(message.id).version,
        message.pop_receipt,
        message.dequeue_count,
        *(time and time.tzinfo for time in times),
    ]
    logging.info("Inspected %s: %s.", message.get_json()["unit"], ", ".join(map(str, facts)))


app.register_functions(work)
