import json
from http import HTTPStatus

from shared.web.problem_document import problem_document


def test_it_says_what_is_wrong() -> None:
    assert json.loads(problem_document(HTTPStatus.NOT_FOUND, "There is no such study.")) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such study.",
    }
