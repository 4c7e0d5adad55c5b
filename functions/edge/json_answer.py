"""An answer that is plain JSON."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response


def json_answer(value: Any, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that a value is, as `application/json`."""
    return Response(json.dumps(value), status, headers, media_type="application/json")
