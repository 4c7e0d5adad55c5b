"""Which function answers, by the host's rules."""

import re
from collections.abc import Iterable

import pytest
from azure.functions.decorators.function_app import Function

from local.routing import Route, RouteError, decoded, find, ordered
from local.server import routes_of
from shared.web.route_templates import match

GET = frozenset({"GET"})


def route(name: str, template: str, *methods: str) -> Route:
    return Route(name, template, frozenset(methods or GET))


def hidden(routes: Iterable[Route]) -> list[tuple[str, str]]:
    """Pairs of functions (first, second) where the first answers a path that the second's template matches."""
    tried = ordered(routes)
    pairs = []
    for index, second in enumerate(tried):
        # Each parameter gets a value that is not a literal of any template.
        spelled = re.sub(r"\{\*?\w+\}", "0.0", second.template)
        pairs += [
            (first.function_name, second.function_name)
            for first in tried[:index]
            if first.methods & second.methods and match(first.template, spelled) is not None
        ]
    return pairs


STUDY = route("RetrieveStudy", "{version}/studies/{study}", "GET", "HEAD")
FRAMES = route("RetrieveFrames", "{version}/studies/{study}/frames/{frames}")
BULKDATA = route("RetrieveBulkdata", "{version}/bulkdata/{*path}")
HEALTH = route("CheckHealth", "health")
STORE = route("StoreInstances", "{version}/studies", "POST")
ROUTES = ordered([STUDY, FRAMES, BULKDATA, HEALTH, STORE])


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/health", (HEALTH, {})),
        ("GET", "/HEALTH/", (HEALTH, {})),
        ("get", "/health", (HEALTH, {})),
        ("GET", "/health//", None),
        ("GET", "//health", None),
        ("GET", "/", None),
        ("GET", "/healthy", None),
        ("POST", "/health", None),
        ("HEAD", "/health", None),  # not listed: the host adds none to GET
        ("OPTIONS", "/v2/studies/1.2", None),
        ("HEAD", "/v2/studies/1.2", (STUDY, {"version": "v2", "study": "1.2"})),
        ("GET", "/V2/STUDIES/aBc/", (STUDY, {"version": "V2", "study": "aBc"})),
        ("GET", "/v2/studies", None),
        ("POST", "/v2/studies", (STORE, {"version": "v2"})),
        ("GET", "/v2//1.2", None),
        ("GET", "/v2/studies/1.2/more", None),
        ("GET", "/v2/studies/1/frames/1,2,3", (FRAMES, {"version": "v2", "study": "1", "frames": "1,2,3"})),
        ("GET", "/v2/studies/1%2F2", (STUDY, {"version": "v2", "study": "1%2F2"})),
        ("GET", "/v2/bulkdata/a/b/", (BULKDATA, {"version": "v2", "path": "a/b"})),
        ("GET", "/v2/bulkdata", (BULKDATA, {"version": "v2"})),
        ("GET", "/v2/bulk", None),
    ],
)
def test_find(method: str, path: str, expected: tuple[Route, dict[str, str]] | None) -> None:
    assert find(ROUTES, method, path) == expected


def test_the_first_by_name_ignoring_case_answers() -> None:
    by_id, recent = route("b_item", "items/{id}"), route("A_recent", "items/recent")
    found = find(ordered([by_id, recent]), "GET", "/items/recent")
    assert found == (recent, {})
    renamed = route("c_recent", "items/recent")
    assert find(ordered([renamed, by_id]), "GET", "/items/recent") == (by_id, {"id": "recent"})


def test_hidden_names_what_is_taken_by_an_earlier_route() -> None:
    routes = [
        route("a_item", "items/{id}"),
        route("b_recent", "items/recent"),
        route("c_post", "items/recent", "POST"),
        route("d_longer", "items/{id}/parts"),
        route("e_rest", "rest/{*path}"),
        route("f_deep", "rest/a/{b}"),
        route("g_same", "ITEMS/{other}"),
    ]
    assert hidden(routes) == [("a_item", "b_recent"), ("e_rest", "f_deep"), ("a_item", "g_same")]
    assert hidden(ROUTES) == []


def test_a_narrower_route_that_is_tried_first_hides_nothing() -> None:
    assert hidden([route("a_recent", "items/recent"), route("b_item", "items/{id}")]) == []


def test_no_route_of_the_app_hides_another(functions: list[Function]) -> None:
    assert hidden(routes_of(functions)) == []


def test_the_route_of_all_paths_is_tried_last(functions: list[Function]) -> None:
    *others, last = routes_of(functions)
    assert (last.function_name, last.template) == ("ZAnswerOtherPaths", "{*path}")
    assert [route.function_name for route in others if route.template == "{*path}"] == ["AnswerPreflight"]


@pytest.mark.parametrize(
    "template",
    [
        "/studies",
        "studies/",
        "studies//series",
        "",
        "studies/{study:int}",
        "studies/{study?}",
        "studies/{study=1}",
        "studies/{study}.dcm",
        "studies/{study}-{series}",
        "{*rest}/studies",
        "studies/{study",
        "studies/{{study}}",
        "studies/{study}/series/{Study}",
        "studies/*",
    ],
)
def test_templates_that_are_refused(template: str) -> None:
    with pytest.raises(RouteError, match=r"^Function: "):
        route("Function", template)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/v2/studies", "/v2/studies"),
        ("/v2/studies/1%2C2", "/v2/studies/1,2"),
        ("/%76%32", "/v2"),
        ("/a%2Fb%2fc", "/a%2Fb%2fc"),
        ("/%C3%A9%2F%C3%A9", "/é%2Fé"),
        ("/%E5%B1%B1", "/山"),
        ("/a%252Fb", "/a%2Fb"),
        ("/a+b", "/a+b"),
        ("/%", "/%"),
        ("/%zz", "/%zz"),
    ],
)
def test_decoded_keeps_encoded_slashes(raw: str, path: str) -> None:
    assert decoded(raw) == path
