import pytest

from shared.web.entity_tags import caching_headers, entity_tag, names_tag


def test_tells_facts_apart() -> None:
    tags = {entity_tag("a", "b"), entity_tag("ab"), entity_tag("a", "b", None), entity_tag("a", ["b"]), entity_tag()}
    assert len(tags) == 5
    assert entity_tag("a", 1) == entity_tag("a", 1)


def test_is_quoted_and_may_be_a_boundary() -> None:
    tag = entity_tag("a")
    assert tag[0] == tag[-1] == '"'
    assert tag.strip('"').isalnum()
    assert len(tag) <= 70


@pytest.mark.parametrize("header", ['"a"', 'W/"a"', '"b", "a"', '"b",W/"a" ', "*", " * "])
def test_a_header_that_names_it(header: str) -> None:
    assert names_tag(header, '"a"')


@pytest.mark.parametrize("header", [None, "", '"b"', "a", '"A"', '"a', 'W/"b"'])
def test_a_header_that_does_not(header: str | None) -> None:
    assert not names_tag(header, '"a"')


def test_a_browser_may_keep_the_answer_for_its_user_and_has_to_ask_each_time() -> None:
    assert caching_headers('"a"') == {
        "ETag": '"a"',
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Accept-Encoding",
    }
