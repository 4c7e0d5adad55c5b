"""`python -m local.viewer`: the OHIF viewer at http://localhost:3000, on the service of `make run`.

Environment: VIEWER_PORT (3000) of the viewer, and what `python -m local` reads. If a service runs at PORT (7071), the
viewer uses it, else one is started; both are served until interrupted.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from threading import Event, Thread
from typing import Any, Final

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from local import __main__ as service
from local import azurite
from local.azurite import ROOT, LocalError
from local.background import is_healthy
from local.ports import is_taken

VIEWER: Final = ROOT / ".viewer"
"""Where `local/setup.sh viewer` unpacks the pages of OHIF."""

CONFIGURATION: Final = "app-config.js"
"""OHIF's name for its configuration file."""

_DEFAULT_PORT: Final = 3000


def main() -> int:
    """Serve the viewer, and the service unless it runs, until SIGINT or SIGTERM; return 1 on failure."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        port = azurite.port_of("VIEWER_PORT", _DEFAULT_PORT)
        service_port = azurite.port_of("PORT", service.DEFAULT_PORT)
        base_url = f"http://localhost:{service_port}"
        with serving(port, configuration(f"{base_url}/v2")) as origin:
            is_running = is_healthy(base_url)
            if is_running and not _is_allowed(origin, base_url):
                raise LocalError(
                    f"{base_url} does not allow pages of {origin}: start it without CORS_ORIGINS, or with that one."
                )
            print(f"Viewer: {origin}{'' if is_running else ', once the service is up'} (Ctrl-C stops).", flush=True)
            if is_running:  # otherwise the service says this
                print(f"To store something to look at: {service.samples_command(service_port)}", flush=True)
                Event().wait()
            if allowed := os.environ.get("CORS_ORIGINS"):
                os.environ["CORS_ORIGINS"] = f"{allowed},{origin}"
            os.environ.setdefault("VIEWER_URL", origin)
            return service.main([])
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1


def configuration(service_url: str, sign_in: dict[str, Any] | None = None, is_writable: bool = True) -> str:
    """OHIF's app-config.js for a service at a URL, version included.

    `sign_in` is an item of its `oidc`; without one nobody signs in. Uploads are offered only to a writable service.
    """
    data_source = {
        "friendlyName": "DICOMweb on Azure Functions",
        "qidoRoot": service_url,
        "wadoRoot": service_url,
        "wadoUriRoot": service_url,
        "qidoSupportsIncludeField": True,
        "supportsFuzzyMatching": True,
        "supportsWildcard": True,
        "enableStudyLazyLoad": True,
        "imageRendering": "wadors",
        # By script, which sends the token along, and as pictures that the server renders.
        "thumbnailRendering": "thumbnail",
        "thumbnailRequestStrategy": "fetch",
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True},
        # Not pdf: fetched by script, it shows whatever a browser does with the sandbox that the service puts it in.
        "singlepart": "bulkdata,video",
        "dicomUploadEnabled": is_writable,
    }
    values: dict[str, Any] = {
        "routerBasename": "/",
        "showStudyList": True,
        "extensions": [],
        "modes": [],
        "showWarningMessageForCrossOrigin": True,
        "showCPUFallbackMessage": True,
        "strictZSpacingForVolumeViewport": True,
        "groupEnabledModesFirst": True,
        "maxNumRequests": {"interaction": 100, "thumbnail": 5, "prefetch": 25},
        "defaultDataSourceName": "dicomweb",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "dicomweb",
                "configuration": data_source,
            }
        ],
    }
    if sign_in is not None:
        values["oidc"] = [sign_in]
    return f"window.config = {json.dumps(values, indent=2)};\n"


class _Pages(StaticFiles):
    """The viewer's files. A path that names no file is a route of the viewer, which reads it by script."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or PurePosixPath(path).suffix:
                raise
            response = await super().get_response("index.html", scope)
        response.headers["Cache-Control"] = "no-cache"  # the next version has the same URLs
        return response


@contextmanager
def serving(port: int, script: str) -> Iterator[str]:
    """Serve the viewer on a port of localhost, with `script` as its configuration; yields its origin.

    Raises LocalError where it is not installed or the port is taken.
    """
    if not VIEWER.exists():
        raise LocalError("The viewer is not installed: run `make viewer`.")
    if is_taken(port):
        raise LocalError(f"Port {port} is taken: choose another for the viewer with VIEWER_PORT=<number>.")

    async def app_config(_: Request) -> Response:
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    app = Starlette(routes=[Route(f"/{CONFIGURATION}", app_config), Mount("/", _Pages(directory=VIEWER, html=True))])
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", ws="none", access_log=False, log_config=None)
    )
    thread = Thread(target=server.run)
    thread.start()
    while thread.is_alive() and not server.started:
        time.sleep(0.05)
    try:
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _is_allowed(origin: str, base_url: str) -> bool:
    """Whether the service lets pages of the origin read its answers."""
    answer = httpx.options(f"{base_url}/v2/studies", headers={"Origin": origin}, timeout=10)
    return answer.headers.get("Access-Control-Allow-Origin") in (origin, "*")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
