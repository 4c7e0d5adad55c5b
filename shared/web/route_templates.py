"""Templates of routes, as the Azure Functions host reads them.

Only the forms that the app uses are known: literals, ``{name}`` for a whole segment and a final ``{*name}``.
"""

import re
from typing import Final

PARAMETER: Final = re.compile(r"\{(\*?)([A-Za-z_][A-Za-z0-9_]*)\}")
"""A parameter of a template: ``*`` if it takes the rest of the path, and its name."""


def match(template: str, path: str) -> dict[str, str] | None:
    """The parameters of a decoded path; None where it does not fit the template, which has no leading slash.

    Literals match in any case; the path may have a slash at either end. An empty rest of the path is left out.
    """
    segments = template.split("/")
    given = path.removeprefix("/").removesuffix("/").split("/")
    parameters: dict[str, str] = {}
    for index, segment in enumerate(segments):
        parameter = PARAMETER.fullmatch(segment)
        if parameter and parameter[1]:
            rest = "/".join(given[index:])
            return {**parameters, parameter[2]: rest} if rest else parameters
        if index >= len(given) or not given[index]:
            return None
        if parameter:
            parameters[parameter[2]] = given[index]
        elif segment.lower() != given[index].lower():
            return None
    return parameters if len(given) == len(segments) else None
