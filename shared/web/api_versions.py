"""The versions of the API, which paths begin with: Microsoft's, whose v1 stores strictly, v2 leniently."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

ApiVersion = Literal["v1", "v2"]

API_VERSIONS: Final[tuple[ApiVersion, ...]] = get_args(ApiVersion)

UNVERSIONED: Final = ""
"""The name of a version that a path does not begin with."""

# Microsoft's clients of 2021 ask for the prerelease, and those before them for no version. Both mean what v1 is now.
API_NAMES: Final[Mapping[str, ApiVersion]] = MappingProxyType(
    {**{version: version for version in API_VERSIONS}, "v1.0-prerelease": "v1", UNVERSIONED: "v1"}
)
"""The versions by the names that paths give them, in lower case."""
