import pytest

from shared.settings import SettingsError
from shared.web.cross_origin import allowed_origins, preflight_headers, sharing_headers

VIEWER = "https://viewer.example.org"


def test_origins_are_separated_by_commas() -> None:
    assert allowed_origins("") == allowed_origins(" , ") == frozenset()
    assert allowed_origins(f"{VIEWER}, http://localhost:3000 ,") == {VIEWER, "http://localhost:3000"}
    assert allowed_origins("HTTPS://Viewer.example.org") == {VIEWER}
    assert allowed_origins("http://[::1]:8080") == {"http://[::1]:8080"}
    assert allowed_origins("*") == {"*"}


@pytest.mark.parametrize(
    "setting",
    [
        f"{VIEWER}/",
        f"{VIEWER}/app",
        "viewer.example.org",
        "https://*.example.org",
        "null",
        "ftp://x",
        f"{VIEWER} http://x",
    ],
)
def test_what_no_browser_sends_is_refused(setting: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        allowed_origins(setting)


def test_an_allowed_origin_may_read() -> None:
    headers = sharing_headers(frozenset({VIEWER}), VIEWER)
    assert headers["Access-Control-Allow-Origin"] == VIEWER
    assert {"ETag", "Warning", "Content-Location", "Content-Range"} <= set(
        headers["Access-Control-Expose-Headers"].split(", ")
    )
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example.org", f"{VIEWER}.evil.org", f"{VIEWER}:444"])
def test_any_other_may_not(origin: str | None) -> None:
    assert sharing_headers(frozenset({VIEWER}), origin) == {}
    assert sharing_headers(frozenset(), origin) == {}


@pytest.mark.parametrize("origin", [None, "null", VIEWER])
def test_any_may_where_the_setting_says_so(origin: str | None) -> None:
    assert sharing_headers(frozenset({"*"}), origin)["Access-Control-Allow-Origin"] == "*"


def test_a_preflight_allows_the_headers_that_are_asked_for() -> None:
    headers = preflight_headers(["GET", "HEAD"], "authorization,x-new")
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert headers["Access-Control-Allow-Headers"] == "authorization,x-new"
    assert "Access-Control-Allow-Headers" not in preflight_headers(["GET"], None)
