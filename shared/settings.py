"""What an operator can set: read once from the environment, frozen, passed in. Documented in docs/configuration.md."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_HOST: Final = re.compile(r"\*|(\*\.)?[a-z0-9_\-]+(\.[a-z0-9_\-]+)*")
_ORIGIN: Final = re.compile(r"\*|https?://(?:[a-z0-9.\-]+|\[[0-9a-f:]+\])(?::(?:[0-9]{1,5}|\*))?")

_MOST_DAYS: Final = 36_500  # more, taken from now, may be no date any more


class SettingsError(Exception):
    """A setting that is missing or cannot be read; the message names it and says what is allowed."""


def is_safe_url(url: str) -> bool:
    """Whether an answer from a URL surely comes from its host: over https, or over http on the same machine."""
    parts = _split(url)
    return parts is not None and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK))


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None where it names no host."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname else None
    except ValueError:
        return None


# Parsers of a variable's text. Each raises SettingsError, which names the variable, for what it does not allow.


def _text(_: str, text: str) -> str:
    return text


def _flag(variable: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _refused(variable, "true or false", text)
    return text.lower() == "true"


def _number(variable: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise _refused(variable, "a whole number above 0", text)
    return int(text)


def _days(variable: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5 or not 1 <= int(text) <= _MOST_DAYS:
        raise _refused(variable, f"a whole number from 1 to {_MOST_DAYS}", text)
    return int(text)


def _listed(_: str, text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _hosts(variable: str, text: str) -> tuple[str, ...]:
    hosts = tuple(host.lower() for host in _listed(variable, text))
    for host in hosts:
        if not _HOST.fullmatch(host) and not _is_network(host):
            raise _refused(variable, "host names, *.example.org, *, or networks such as 10.1.0.0/16", host)
    return hosts


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _origins(variable: str, text: str) -> frozenset[str]:
    origins = frozenset(origin.lower() for origin in _listed(variable, text))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise _refused(variable, "origins such as https://viewer.example.org", origin)
    return origins


def _authority(variable: str, text: str) -> str:
    if not is_safe_url(text):
        raise _refused(variable, "an https URL", text)
    return text.rstrip("/")


def _base_url(variable: str, text: str) -> str:
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https"):
        raise _refused(variable, "a URL such as https://dicom.example.org", text)
    return text.rstrip("/")


def _refused(variable: str, allowed: str, text: str) -> SettingsError:
    return SettingsError(f"{variable} must be {allowed}, not {text!r}.")


def _setting(parse: Callable[[str, str], Any], default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"parse": parse, "meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The service's settings. The environment variable of a field is its name in upper case.

    URLs have no slash at the end. Origins are in lower case; `*` is any.
    """

    storage_connection_string: str = _setting(
        _text, "", "Connection string of the storage account that holds the archive: Azurite's when run locally."
    )
    storage_blob_endpoint: str = _setting(
        _text,
        "",
        "Blob endpoint of the storage account, such as https://name.blob.core.windows.net, to reach it by identity. "
        "With STORAGE_TABLE_ENDPOINT, instead of STORAGE_CONNECTION_STRING.",
    )
    storage_table_endpoint: str = _setting(_text, "", "Table endpoint of the same account.")
    storage_queue_endpoint: str = _setting(
        _text, "", "Queue endpoint of the same account. Empty: there are neither operations nor subscriptions."
    )
    identity_client_id: str = _setting(
        _text,
        "",
        "Client ID of the user-assigned managed identity that reaches storage. Empty: what DefaultAzureCredential of "
        "azure-identity finds, such as the sign-in of `az login`.",
    )
    create_storage: bool = _setting(
        _flag,
        False,
        "Create the blob container and the tables when they are first used. A deployment makes them itself.",
    )
    backup_blob_endpoint: str = _setting(
        _text,
        "",
        "Blob endpoint of another storage account, to which a timer backs the archive up each night. Empty: no timer.",
    )
    backup_connection_string: str = _setting(
        _text, "", "Connection string of that account, instead of BACKUP_BLOB_ENDPOINT: Azurite's when run locally."
    )
    backup_container: str = _setting(_text, "dicom-backup", "Container of the backup.")
    backup_retention_days: int = _setting(
        _days,
        30,
        "How long the backup keeps what the archive no longer has, in days from the backup that first found it gone.",
    )
    operation_retention_days: int = _setting(
        _days, 7, "How long an operation that has ended is kept, in days: Microsoft's service keeps 7."
    )
    subscription_hosts: tuple[str, ...] = _setting(
        _hosts,
        (),
        "Where subscriptions may send events: host names such as events.example.org, `*.example.org` for every host "
        "below one, `*` for any, separated by commas. Addresses, and networks such as 10.1.0.0/16, may be among them: "
        "others that are not public are never reached. Empty: there are no subscriptions.",
    )
    public_base_url: str = _setting(
        _base_url,
        "",
        "Scheme, host and port that clients use, such as https://dicom.example.org, put before the path of every URL "
        "in an answer. Empty: taken from the request.",
    )
    authority: str = _setting(
        _authority,
        "",
        "Whose tokens are accepted: the URL under which /.well-known/openid-configuration is found, such as "
        "https://login.microsoftonline.com/<tenant>/v2.0. Needs AUDIENCE.",
    )
    audience: tuple[str, ...] = _setting(
        _listed, (), "Audiences (`aud`) of the tokens that are accepted, separated by commas: this service's only."
    )
    anonymous_access: bool = _setting(
        _flag,
        False,
        "Serve everyone who reaches the service, without sign-in, instead of AUTHORITY and AUDIENCE. With neither, or "
        "with both, every request but /health gets 503.",
    )
    cors_origins: frozenset[str] = _setting(
        _origins,
        frozenset(),
        "Origins, such as https://viewer.example.org, whose pages may use the service in a browser, separated by "
        "commas; `*` for any, http://localhost:* for any port. The platform's own CORS setting stays empty.",
    )
    viewer_url: str = _setting(_base_url, "", "URL of a viewer for this service; the page at `/` links to it.")
    trust_forwarded: bool = _setting(
        _flag,
        False,
        "Whether X-Forwarded-Host, X-Forwarded-Proto and X-Forwarded-For say what clients used. True behind the "
        "Functions host, which sets them; anyone can send them to a service without a host in front.",
    )
    store_without_patient_id: bool = _setting(
        _flag,
        False,
        "Store instances without Patient ID, as de-identified research data may be, with a warning. If false, they are "
        "refused, as by Microsoft's service.",
    )
    max_request_bytes: int = _setting(
        _number,
        4 * 1024**3,
        "Largest body of a store request, in bytes, as sent and decoded. Over it: 413. Keep it below the host's own "
        "limit.",
    )
    max_parts: int = _setting(_number, 10_000, "Most parts (instances) of a store request. Over it: 413.")
    max_part_bytes: int = _setting(_number, 4 * 1024**3, "Largest instance, in bytes. Over it: 413.")
    max_header_bytes: int = _setting(
        _number,
        64 * 1024**2,
        "Largest part of an instance before its Pixel Data, in bytes, held in memory while it is parsed.",
    )
    max_inflated_bytes: int = _setting(
        _number, 1024**3, "Largest size, in bytes, to which a deflated instance may inflate: guards against zip bombs."
    )
    max_request_seconds: int = _setting(
        _number,
        1800,
        "Longest time a store or a delete may take, in seconds; then it is abandoned. What a process left behind is "
        "cleaned up after twice this time, so it must not be less than the host's functionTimeout.",
    )
    max_stalled_seconds: int = _setting(
        _number,
        60,
        "Longest time, in seconds, that a client may take to send the next 256 KiB of a request's body, over it: 408; "
        "and to take the next 256 KiB of an answer, which is then cut off.",
    )
    max_caller_requests: int = _setting(
        _number,
        32,
        "Most requests that one caller, by sign-in or else by address, may have under way in a process; the next ones "
        "wait. Over it for 10 seconds: 503. While other callers are at work, 4 of them are worked on at once.",
    )
    max_query_length: int = _setting(_number, 8192, "Longest query string, in characters. Over it: 400.")
    max_frames: int = _setting(
        _number, 1000, "Most frames in one frames request, over it: 400; and in one animated picture, over it: 406."
    )
    max_decoded_bytes: int = _setting(
        _number,
        64 * 1024**2,
        "Largest frame, in bytes when decoded, that is transcoded or rendered, and largest deflated instance, in bytes "
        "when inflated, of which a part is sent. Over it: 406.",
    )
    max_searched_postings: int = _setting(
        _number,
        100_000,
        "Most postings of the index, their lists, and instances named by UID that a search looks through, such as for "
        "a wildcard at the beginning of a value. "
        "Over it the search is cut, and a Warning says so.",
    )
    max_searched_studies: int = _setting(
        _number,
        10_000,
        "Most studies that a search reads to find its results. Over it the search is cut, and a Warning says so.",
    )
    max_search_limit: int = _setting(_number, 200, "Largest `limit` of a search: Microsoft's is 200. Over it: 400.")
    default_search_limit: int = _setting(_number, 100, "Results of a search that names no `limit`: Microsoft's is 100.")
    applicationinsights_connection_string: str = _setting(
        _text,
        "",
        "Connection string of the Application Insights that records requests and maintenance. Empty: none.",
    )
    applicationinsights_authentication_string: str = _setting(
        _text,
        "",
        "How to sign in there: Authorization=AAD;ClientId=<client id> for a user-assigned managed identity, "
        "Authorization=AAD for the system-assigned one. Empty: by the connection string alone.",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; a variable that is absent or empty leaves the default.

        Raises SettingsError for a value that does not fit its field. Settings are not checked against each other:
        neither who may sign in (`sign_in_problem`) nor whether a storage account is named.
        """
        values = {
            setting.name: setting.metadata["parse"](variable, text)
            for setting in fields(cls)
            if (text := environment.get(variable := setting.name.upper(), ""))
        }
        return cls(**values)

    def sign_in_problem(self) -> str | None:
        """Why the settings do not say who may use the service; None where they do."""
        if self.anonymous_access and (self.authority or self.audience):
            return "ANONYMOUS_ACCESS is true although AUTHORITY or AUDIENCE is set: choose one of the two."
        if not self.anonymous_access and not (self.authority and self.audience):
            return "Nobody can sign in: set AUTHORITY and AUDIENCE, or ANONYMOUS_ACCESS to true."
        return None
