"""`python -m local.viewer_site FOLDER --service … --authority … --client … --scope …`: the viewer as a static site.

Writes the pages of OHIF that `make viewer` has fetched into a folder, configured for a service whose users sign in, and
the configuration that Azure Static Web Apps needs for them.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from local.viewer import CONFIGURATION, VIEWER, configuration

# https://learn.microsoft.com/azure/static-web-apps/configuration
_STATIC_WEB_APP: Final[dict[str, Any]] = {
    # Paths that name no file are routes of the viewer, which reads them by script.
    "navigationFallback": {"rewrite": "/index.html", "exclude": ["/*.{css,ico,js,json,mjs,png,svg,wasm,woff2}"]},
    "mimeTypes": {".wasm": "application/wasm"},
    "globalHeaders": {
        "Content-Security-Policy": "frame-ancestors 'self'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    },
}


def sign_in(authority: str, client: str, scope: str) -> dict[str, Any]:
    """An item of OHIF's `oidc`: the code flow with PKCE, at an OpenID Connect authority."""
    return {
        "authority": authority,
        "client_id": client,
        "redirect_uri": "/callback",
        "post_logout_redirect_uri": "/logout-redirect.html",
        "response_type": "code",
        # Without the last, a token is renewed in a frame, which browsers that block third-party cookies do not allow.
        "scope": f"openid profile {scope} offline_access",
        "automaticSilentRenew": True,
        "revokeAccessTokenOnSignout": False,  # Entra has no endpoint for it
    }


def write(folder: Path, script: str) -> None:
    """Write the site, with OHIF's app-config.js, into a folder that does not exist; raises FileExistsError."""
    shutil.copytree(VIEWER, folder, ignore=shutil.ignore_patterns(".*"))
    (folder / CONFIGURATION).write_text(script)
    (folder / "staticwebapp.config.json").write_text(json.dumps(_STATIC_WEB_APP, indent=2))


def main(arguments: list[str]) -> int:
    """Write the site that the arguments describe; return 1 where that is impossible."""
    parser = argparse.ArgumentParser(prog="python -m local.viewer_site", description="Write the viewer's site.")
    parser.add_argument("folder", type=Path, help="the folder to write; must not exist")
    parser.add_argument("--service", required=True, help="URL of the service, with its version")
    parser.add_argument("--authority", required=True, help="who signs its users in: an OpenID Connect issuer")
    parser.add_argument("--client", required=True, help="client ID of the viewer there")
    parser.add_argument("--scope", required=True, help="scope of the service; one for reading alone offers no uploads")
    chosen = parser.parse_args(arguments)
    is_writable = not chosen.scope.endswith("/Dicom.Read")
    script = configuration(chosen.service, sign_in(chosen.authority, chosen.client, chosen.scope), is_writable)
    if not VIEWER.exists():
        print("The viewer is not installed: run `make viewer`.", file=sys.stderr)
        return 1
    try:
        write(chosen.folder, script)
    except FileExistsError:
        print(f"{chosen.folder} already exists: remove it, or name another folder.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
