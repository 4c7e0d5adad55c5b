"""The page that a service shows at its root: where things are, and nothing of what it holds."""

import html
import json
from typing import Final

from shared.version import VERSION
from shared.web.content_negotiation import Offer

FRONT_PAGE: Final = (Offer("application/json", False), Offer("text/html", False))
"""The page for programs, and for browsers."""

_TITLE: Final = "DICOMweb on Azure Functions"


def front_page(media_type: str, root_url: str, api_name: str, viewer_url: str) -> str:
    """The page in a media type of FRONT_PAGE; `viewer_url` is empty where there is no viewer.

    `root_url` is the service's, without a version and without slash at its end; `api_name` is the version that the
    links lead to.
    """
    api_url = f"{root_url}/{api_name}"
    links = {
        "studies": f"{api_url}/studies",
        "description": f"{api_url}/api.yaml",
        "health": f"{root_url}/health",
        **({"viewer": viewer_url} if viewer_url else {}),
    }
    if media_type != "text/html":
        return json.dumps({"service": _TITLE, "version": VERSION, "links": links}, indent=1)
    return _PAGE.format(
        title=_TITLE,
        version=html.escape(VERSION),
        api_url=html.escape(api_url),
        items="\n".join(
            f'<li><a href="{html.escape(url)}">{html.escape(url)}</a>: {_MEANINGS[name]}</li>'
            for name, url in links.items()
        ),
    )


_MEANINGS: Final = {
    "studies": "search for studies, with a token where sign-in is required",
    "description": "every route, its parameters and answers (OpenAPI)",
    "health": "whether the service reaches its storage",
    "viewer": "look at images",
}

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<p>Version {version}. Give clients the URL <code>{api_url}</code></p>
<ul>
{items}
</ul>
</body>
</html>
"""
