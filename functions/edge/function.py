"""The one decorator of HTTP functions, and the list that it fills.

Every request passes here: it is observed, its token and API version are checked, the handler of its function answers,
every error becomes a problem document, and every answer gets the common headers. A probe only gets the headers.
"""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import update_wrapper

import azure.functions as func
from starlette.requests import Request
from starlette.responses import Response

from functions.edge.app import App, app_of_process
from functions.edge.headers import with_headers
from functions.edge.observation import observed
from functions.edge.problems import problem_of
from functions.edge.request import answer_work, api_version, check_lengths
from functions.edge.sign_in import check_sign_in
from functions.routes import ROUTES, functions_of
from shared.web.http_function import Answers, HttpFunction

Handler = Callable[[Request, App], Awaitable[Response]]
HostHandler = Callable[[Request], Awaitable[Response]]

_handlers: dict[str, HostHandler] = {}


def function(name: str) -> Callable[[Handler], HostHandler]:
    """Make a handler the function of the row `name` of ROUTES; its docstring's first line says what it does.

    Raises KeyError where there is no such row.
    """
    row = ROUTES[name]

    def decorate(handler: Handler) -> HostHandler:
        async def answer(req: Request) -> Response:
            if row.answers is Answers.OTHER_PATHS and (unversioned := _unversioned(req)):
                return await unversioned(req)
            app = app_of_process()
            if row.is_probe:
                return with_headers(req, await handler(req, app), app.settings)

            async def answered(req: Request) -> Response:
                return with_headers(req, await _answer(row, handler, req, app), app.settings)

            return await observed(row, req, app, answered)

        update_wrapper(answer, handler, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        del answer.__wrapped__  # type: ignore[attr-defined] # the worker would read the handler's signature
        _handlers[name] = answer
        return answer

    return decorate


def register(app: func.FunctionApp) -> None:
    """Add all HTTP functions to the app. Raises KeyError for a row of ROUTES without a handler."""
    for row in ROUTES.values():
        trigger = app.route(row.route, methods=row.methods, auth_level=func.AuthLevel.ANONYMOUS)
        app.function_name(row.name)(trigger(_handlers[row.name]))


def summaries() -> dict[str, str]:
    """What each function does, in a sentence, by the function's name."""
    return {name: (handler.__doc__ or "").partition("\n")[0] for name, handler in _handlers.items()}


def _unversioned(req: Request) -> HostHandler | None:
    """What answers a path without version, whose parameters the request gets; None where nothing does."""
    for row, parameters in functions_of(req.path_params.get("path", "")):
        if req.method in row.methods:
            req.scope["path_params"] = dict(parameters)
            return _handlers[row.name]
    return None


async def _answer(row: HttpFunction, handler: Handler, req: Request, app: App) -> Response:
    try:
        app.check()
        work = answer_work(req)
        await work.enter(await check_sign_in(req, row.permission, app))
        if "version" in req.path_params:
            api_version(req)
        check_lengths(req, app.settings)
        from shared.storage.availability import unavailable_storage  # the storage SDKs

        with unavailable_storage():
            # A store waits for the client's bytes, and takes turns by itself.
            async with nullcontext() if row.answers is Answers.STORE else work.at_work():
                response = await handler(req, app)
    except Exception as error:  # noqa: BLE001 -- every error is answered
        return await problem_of(error, handler.__name__, req)
    return _head(response) if req.method == "HEAD" else response


def _head(response: Response) -> Response:
    """The answer to HEAD: the answer to GET without its body, and without a length where GET has none."""
    head = Response(status_code=response.status_code, headers=dict(response.headers))
    if "content-length" not in response.headers:
        del head.headers["content-length"]
    return head
