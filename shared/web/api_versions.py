"""The versions of the API, the first segment of every path: Microsoft's, whose v1 stores strictly, v2 leniently."""

from typing import Final, Literal, get_args

ApiVersion = Literal["v1", "v2"]

API_VERSIONS: Final[tuple[ApiVersion, ...]] = get_args(ApiVersion)
