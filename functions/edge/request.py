"""What a request names: the version of the API, a study, series or instance, frames, and what its client accepts."""

import re
from typing import Final

from starlette.requests import Request

from functions.edge.headers import client_scheme
from shared.dicom.identifiers import DEFAULT_PARTITION, InstanceIdentifiers, ResourceIdentifiers, StudyKey, uid_of_path
from shared.errors import BadRequest, NotAcceptable, NotFound
from shared.services.answer_work import AnswerWork
from shared.settings import Settings
from shared.web.api_versions import API_NAMES, API_VERSIONS, ApiVersion
from shared.web.content_negotiation import accept_of
from shared.web.media_types import MediaType

_HOST: Final = re.compile(r"[A-Za-z0-9._\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


MAX_HEADER_LENGTH: Final = 8192
"""The longest header that is parsed, in characters."""

PARSED_HEADERS: Final = (
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "content-encoding",
    "content-type",
    "host",
    "if-none-match",
    "if-range",
    "origin",
    "range",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
)
"""The headers that are parsed, besides Authorization."""


def answer_work(req: Request) -> AnswerWork:
    """What the answer to the request may hold and do."""
    work: AnswerWork = req.scope["answer_work"]
    return work


def api_name(req: Request) -> str:
    """The name that the path gives the version of the API, in lower case, as in API_NAMES."""
    name: str = req.path_params["version"].lower()
    return name


def api_version(req: Request) -> ApiVersion:
    """The version of the API that the path names; raises NotFound for a version that is not served."""
    version = API_NAMES.get(api_name(req))
    if version is None:
        raise NotFound(f"There is no such version of the API; there are {' and '.join(API_VERSIONS)}.")
    return version


def resource(req: Request) -> ResourceIdentifiers:
    """The study, series or instance that the path names; raises BadRequest for an invalid UID."""
    study, series, instance = (
        uid_of_path(req.path_params[name], name) if name in req.path_params else None
        for name in ("study", "series", "instance")
    )
    if study is None:
        raise BadRequest("The path names no study.")
    return ResourceIdentifiers(StudyKey(DEFAULT_PARTITION, study), series, instance)


def instance_identifiers(req: Request) -> InstanceIdentifiers:
    """The instance that the path names; raises BadRequest for an invalid UID."""
    study, series, instance = (uid_of_path(req.path_params[name], name) for name in ("study", "series", "instance"))
    return InstanceIdentifiers(StudyKey(DEFAULT_PARTITION, study), series, instance)


def check_lengths(req: Request, settings: Settings) -> None:
    """Raises BadRequest for a query string, or a header that is parsed, that takes too long to be parsed."""
    if len(req.scope["query_string"]) > settings.max_query_length:
        raise BadRequest(f"The query string is longer than {settings.max_query_length} characters.")
    for name in PARSED_HEADERS:
        if sum(map(len, req.headers.getlist(name))) > MAX_HEADER_LENGTH:
            raise BadRequest(f"The header {name} is longer than {MAX_HEADER_LENGTH} characters.")


def listed(req: Request, name: str) -> str | None:
    """A header that is a list, which may come in several lines (RFC 9110 5.3), as one; None where it is missing."""
    lines = req.headers.getlist(name)
    return ", ".join(lines) if lines else None


def frame_numbers(req: Request, max_frames: int) -> list[int]:
    """The frame numbers, from 1, in the path's list, such as ``1,2,3``; raises BadRequest for anything else."""
    numbers = req.path_params["frames"].split(",")
    if len(numbers) > max_frames:
        raise BadRequest(f"The frame list is longer than {max_frames} frames.")
    if not all(number.isascii() and number.isdigit() and len(number) < 10 and int(number) for number in numbers):
        raise BadRequest("The frame list must be frame numbers from 1, joined by commas.")
    return [int(number) for number in numbers]


def accepted(req: Request) -> tuple[MediaType, ...]:
    """The media ranges that the request accepts, by header or query parameter.

    Raises NotAcceptable where the `charset` parameter (PS3.18 8.3.3.2) does not allow UTF-8.
    """
    charsets = [
        name.partition(";")[0].strip().lower() for name in ",".join(req.query_params.getlist("charset")).split(",")
    ]
    if any(charsets) and not {"utf-8", "utf8", "*"} & set(charsets):
        raise NotAcceptable("Text is sent in UTF-8 only.")
    return accept_of(listed(req, "accept"), req.query_params.getlist("accept"))


def accepts_gzip(req: Request) -> bool:
    """Whether the client accepts gzipped content (RFC 9110 12.5.3)."""
    codings = (coding.partition(";") for coding in (listed(req, "accept-encoding") or "").lower().split(","))
    weights = {name.strip(): weight.replace(" ", "") for name, _, weight in codings}
    weight = weights.get("gzip", weights.get("*", "q=0"))
    return weight.removeprefix("q=").strip("0.") != "" or not weight


def query_string(req: Request) -> str:
    """The query string as it came, percent-encoded; raises BadRequest for bytes that are not UTF-8."""
    raw: bytes = req.scope["query_string"]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest("The query string is not UTF-8, percent-encoded.") from None


def service_url(req: Request, settings: Settings) -> str:
    """The service's URL as the client sees it: ``scheme://host/version``, or without version where the path has none.

    Raises BadRequest as `root_url` does.
    """
    return "/".join(filter(None, (root_url(req, settings), api_name(req))))


def root_url(req: Request, settings: Settings) -> str:
    """The service's URL as the client sees it, without a version.

    The public base URL of the settings; else what the host in front says that the client used, if the settings trust
    it; else the request's own Host. Raises BadRequest for an invalid Host.
    """
    base = settings.public_base_url
    if not base:
        scheme, host = client_scheme(req, settings), req.headers.get("host", "")
        if settings.trust_forwarded:
            host = _first(req.headers.get("x-forwarded-host")) or host
        if scheme not in ("http", "https") or not _HOST.fullmatch(host):
            raise BadRequest("The Host of the request is not a host name.")
        base = f"{scheme}://{host}"
    return base


def _first(header: str | None) -> str:
    return (header or "").partition(",")[0].strip()
