import json

import pytest

from shared.dicom.bulk_data_uris import is_path, with_absolute_uris

URL = "https://dicom.example.org/v2/studies/1/series/2/instances/3"


def test_every_bulk_data_uri_becomes_absolute_and_nothing_else_changes() -> None:
    def metadata(prefix: str) -> dict[str, object]:
        nested = {"00091001": {"vr": "UN", "BulkDataURI": f"{prefix}bulkdata/00101002/1/00091001"}}
        return {
            "00080018": {"vr": "UI", "Value": ["3"]},
            "00101002": {"vr": "SQ", "Value": [nested, {}]},
            "00104000": {"vr": "LT", "Value": ['"BulkDataURI":"bulkdata/x"', "BulkDataURI", "山"]},
            "7FE00010": {"vr": "OW", "BulkDataURI": f"{prefix}bulkdata/7FE00010"},
        }

    text = json.dumps(metadata(""), separators=(",", ":"), ensure_ascii=False).encode()
    for size in (*range(1, 20), len(text)):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        absolute = list(with_absolute_uris(pieces, URL))
        assert json.loads(b"".join(absolute)) == metadata(f"{URL}/")
        assert b"" not in absolute[1:] or size < len('"BulkDataURI":"')


@pytest.mark.parametrize(
    "path", ["7FE00010", "7fe00010", "00880200/1/7FE00010", "00880200/12/00091001/999999999/0009AAAA"]
)
def test_paths(path: str) -> None:
    assert is_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "7FE0001",
        "7FE000100",
        "7FE0001G",
        "7FE00010/",
        "/7FE00010",
        "7FE00010/1",
        "7FE00010/0/7FE00010",
        "7FE00010/01/7FE00010",
        "7FE00010/1000000000/7FE00010",
        "7FE00010/7FE00010",
        "7FE00010/../7FE00010",
        "7FE00010\n",
        "٧FE00010",
    ],
)
def test_what_is_not_a_path(path: str) -> None:
    assert not is_path(path)
