"""What an operator can set: read once from the environment, frozen, passed in. Documented in docs/configuration.md."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self


class SettingsError(Exception):
    """A setting that is missing or cannot be read; the message names it and says what is allowed."""


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The service's settings. The environment variable of a field is its name in upper case."""

    storage_connection_string: str = _setting(
        "", "Connection string of the storage account that holds the archive: Azurite's when run locally."
    )
    storage_blob_endpoint: str = _setting(
        "",
        "Blob endpoint of the storage account, such as https://name.blob.core.windows.net, to reach it by identity. "
        "With STORAGE_TABLE_ENDPOINT, in the place of STORAGE_CONNECTION_STRING.",
    )
    storage_table_endpoint: str = _setting("", "Table endpoint of the same account.")
    identity_client_id: str = _setting(
        "",
        "Client ID of the user-assigned managed identity that reaches storage. Empty: what DefaultAzureCredential of "
        "azure-identity finds, such as the sign-in of `az login`.",
    )
    create_storage: bool = _setting(
        False, "Create the blob container and the tables when they are first used. A deployment makes them itself."
    )
    public_base_url: str = _setting(
        "",
        "Scheme, host and port that clients use, such as https://dicom.example.org, put before the path of every URL "
        "in an answer. Empty: taken from the request.",
    )
    authority: str = _setting(
        "",
        "Whose tokens are accepted: the URL under which /.well-known/openid-configuration is found, such as "
        "https://login.microsoftonline.com/<tenant>/v2.0. With it goes AUDIENCE.",
    )
    audience: str = _setting(
        "", "Audiences (`aud`) of the tokens that are accepted, separated by commas: of this service alone."
    )
    anonymous_access: bool = _setting(
        False,
        "Serve everyone who reaches the service, unasked, in the place of AUTHORITY and AUDIENCE. With neither, and "
        "with both, every request but /health gets 503.",
    )
    cors_origins: str = _setting(
        "",
        "Origins, such as https://viewer.example.org, whose pages may use the service in a browser, separated by "
        "commas; `*` for any. The platform's own CORS setting stays empty.",
    )
    trust_forwarded: bool = _setting(
        False,
        "Whether X-Forwarded-Host and X-Forwarded-Proto say what clients used. True behind the Functions host, which "
        "sets both; anyone can send them to a service that stands open.",
    )
    max_request_bytes: int = _setting(
        4 * 1024**3, "Largest body of a store request, in bytes. Over it: 413. Keep it below the host's own limit."
    )
    max_parts: int = _setting(10_000, "Most parts (instances) of a store request. Over it: 413.")
    max_part_bytes: int = _setting(4 * 1024**3, "Largest instance, in bytes. Over it: 413.")
    max_header_bytes: int = _setting(
        64 * 1024**2, "Largest part of an instance before its Pixel Data, in bytes, held in memory while it is parsed."
    )
    max_inflated_bytes: int = _setting(
        1024**3, "Largest size, in bytes, to which a deflated instance may inflate: guards against zip bombs."
    )
    max_request_seconds: int = _setting(
        1800,
        "Longest time a store or a delete may take, in seconds; then it is given up. What a process left behind is "
        "cleaned up after twice this time, so it must not be less than the host's functionTimeout.",
    )
    max_query_length: int = _setting(8192, "Longest query string of a search, in characters. Over it: 400.")
    max_frames: int = _setting(1000, "Most frames in one frames request. Over it: 400.")
    max_decoded_bytes: int = _setting(
        128 * 1024**2,
        "Largest frame, in bytes once it is decoded, that is transcoded or rendered, and largest deflated instance, "
        "inflated, of which a part is sent. Over it: 406.",
    )
    max_searched_postings: int = _setting(
        100_000,
        "Most entries of the index that a search looks through, such as for a wildcard at the beginning of a value. "
        "Over it the search is cut, and a Warning says so.",
    )
    max_searched_studies: int = _setting(
        10_000, "Most studies that a search reads to find its results. Over it it is cut, and a Warning says so."
    )
    max_search_limit: int = _setting(200, "Largest `limit` of a search: Microsoft's is 200. Over it: 400.")
    default_search_limit: int = _setting(100, "Results of a search that names no `limit`: Microsoft's is 100.")
    applicationinsights_connection_string: str = _setting(
        "", "Connection string of the Application Insights that is told of requests and maintenance. Empty: none is."
    )
    applicationinsights_authentication_string: str = _setting(
        "",
        "How to sign in there: Authorization=AAD;ClientId=<client id> for a user-assigned managed identity, "
        "Authorization=AAD for the system-assigned one. Empty: by the connection string alone.",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; a variable that is absent or empty leaves the default.

        Raises SettingsError for a value that does not fit its field.
        """
        values = {
            setting.name: _parse(setting, environment[setting.name.upper()])
            for setting in fields(cls)
            if environment.get(setting.name.upper())
        }
        return cls(**values)


def _parse(setting: Field[Any], text: str) -> Any:
    if setting.type is int:
        if not text.isascii() or not text.isdigit() or int(text) == 0:
            raise SettingsError(f"{setting.name.upper()} must be a whole number above 0, not {text!r}.")
        return int(text)
    if setting.type is bool:
        if text.lower() not in ("true", "false"):
            raise SettingsError(f"{setting.name.upper()} must be true or false, not {text!r}.")
        return text.lower() == "true"
    return text
