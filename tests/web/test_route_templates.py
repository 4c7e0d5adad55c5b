import pytest

from shared.web.route_templates import match


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("health", "health", {}),
        ("health", "/health", {}),
        ("health", "/HEALTH/", {}),
        ("health", "/health//", None),
        ("health", "//health", None),
        ("health", "/healthy", None),
        ("health", "/", None),
        ("{version}/studies", "/v2/studies", {"version": "v2"}),
        ("{version}/studies", "/v2", None),
        ("{version}/studies/{study}", "/V2/STUDIES/aBc/", {"version": "V2", "study": "aBc"}),
        ("{version}/studies/{study}", "/v2/studies/", None),
        ("{version}/studies/{study}", "/v2//1.2", None),
        ("{version}/studies/{study}", "/v2/studies/1%2F2", {"version": "v2", "study": "1%2F2"}),
        ("{version}/studies/{study}", "/v2/studies/1.2/more", None),
        ("{version}/bulkdata/{*path}", "/v2/bulkdata/a/b/", {"version": "v2", "path": "a/b"}),
        ("{version}/bulkdata/{*path}", "/v2/bulkdata/", {"version": "v2"}),
        ("{version}/bulkdata/{*path}", "/v2/bulkdata", {"version": "v2"}),
        ("{version}/bulkdata/{*path}", "/v2/bulk", None),
        ("{version}/bulkdata/{*path}", "/v2", None),
    ],
)
def test_match(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert match(template, path) == expected
