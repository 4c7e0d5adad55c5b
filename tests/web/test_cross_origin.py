import pytest

from shared.web.cross_origin import preflight_headers, sharing_headers

VIEWER = "https://viewer.example.org"


def test_an_allowed_origin_may_read() -> None:
    headers = sharing_headers(frozenset({VIEWER}), VIEWER)
    assert headers["Access-Control-Allow-Origin"] == VIEWER
    assert {"ETag", "Warning", "Content-Location", "Content-Range"} <= set(
        headers["Access-Control-Expose-Headers"].split(", ")
    )
    assert "Access-Control-Allow-Credentials" not in headers


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example.org", f"{VIEWER}.evil.org", f"{VIEWER}:444"])
def test_any_other_origin_may_not(origin: str | None) -> None:
    assert sharing_headers(frozenset({VIEWER}), origin) == {}
    assert sharing_headers(frozenset(), origin) == {}


@pytest.mark.parametrize("origin", [None, "null", VIEWER])
def test_any_origin_may_where_the_setting_says_so(origin: str | None) -> None:
    assert sharing_headers(frozenset({"*"}), origin)["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("http://localhost:3000", True),
        ("http://localhost", False),
        ("https://localhost:3000", False),
        ("http://localhost.example.org:3000", False),
        ("null", False),
        (None, False),
    ],
)
def test_an_origin_of_any_port_may_where_the_setting_says_so(origin: str | None, is_allowed: bool) -> None:
    headers = sharing_headers(frozenset({"http://localhost:*"}), origin)
    assert headers.get("Access-Control-Allow-Origin") == (origin if is_allowed else None)


def test_a_preflight_allows_the_headers_that_are_asked_for() -> None:
    headers = preflight_headers(["GET", "HEAD"], "authorization,x-new")
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert headers["Access-Control-Allow-Headers"] == "authorization,x-new"
    assert "Access-Control-Allow-Headers" not in preflight_headers(["GET"], None)
