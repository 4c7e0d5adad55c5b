"""Every media type that the conformance statement lists for a resource is sent when it is asked for."""

import re
from collections.abc import Iterator

import httpx
import pytest
from pydicom.uid import EncapsulatedPDFStorage

from tests.support.documents import CONFORMANCE, rows
from tests.support.messages import parts
from tests.support.served_instances import dataset, part10, stored

# What T stands for in frames of an image that is stored in Explicit VR Little Endian.
FRAME_TYPES = ("application/octet-stream", "image/jp2", "image/jls", "image/dicom-rle")
SUFFIXES = {
    "study": [""],
    "series": [""],
    "instance": [""],
    "metadata": ["/metadata"],
    "frames": ["/frames/1"],
    "bulkdata": ["/bulkdata/00420011"],
    "all bulkdata": ["/bulkdata"],
    "pixeldata": ["/pixeldata"],
    "rendered": ["/rendered", "/frames/1/rendered"],
    "thumbnail": ["/thumbnail", "/frames/1/thumbnail"],
}


def media_types() -> Iterator[tuple[str, str]]:
    """Each resource of the table with each media type; multipart ones as in an Accept header."""
    for names, listed in rows(CONFORMANCE, "resource"):
        for name in names.split(", "):
            for found in re.findall(r'multipart/related; type=(?:"[^"]+"|T)|[a-z]+/[a-z0-9+.-]+', listed):
                types = FRAME_TYPES if found.endswith("=T") else ("",)
                for each in types:
                    yield name, found.removesuffix("T") + (f'"{each}"' if each else "")
            if name == "frames":
                yield from ((name, alone) for alone in FRAME_TYPES)
            if name in ("rendered", "thumbnail"):
                yield from (
                    (name, f'multipart/related; type="{each}"') for each in ("image/jpeg", "image/png", "image/gif")
                )
            if name == "bulkdata":
                yield from (
                    (name, accept) for accept in ("application/pdf", 'multipart/related; type="application/pdf"')
                )


CASES = sorted({case for case in media_types() if not case[1].endswith("multipart/related")})


@pytest.fixture(scope="module")
def path(service: httpx.Client) -> Iterator[str]:
    image = dataset(
        Rows=64,
        Columns=64,
        PixelData=bytes(64 * 64),
        EncapsulatedDocument=b"%PDF",
        MIMETypeOfEncapsulatedDocument="application/pdf",
    )
    path = stored(service, part10(image))
    yield path
    service.delete(path)


def test_the_table_is_read() -> None:
    assert {name for name, _ in CASES} == set(SUFFIXES)
    assert len(CASES) > 30


@pytest.mark.parametrize(("name", "accept"), CASES)
def test_a_media_type(service: httpx.Client, path: str, name: str, accept: str) -> None:
    levels = {"study": 3, "series": 5}.get(name, 7)
    for suffix in SUFFIXES[name]:
        response = service.get("/".join(path.split("/")[:levels]) + suffix, headers={"Accept": accept})
        assert response.status_code == 200, response.text
        content_type = response.headers["Content-Type"]
        if not accept.startswith("multipart"):
            assert content_type.partition(";")[0] == accept
            continue
        wanted = accept.partition("type=")[2].strip('"')
        assert f'type="{wanted}"' in content_type
        sent = [headers["content-type"].partition(";")[0] for headers, _ in parts(response)]
        assert sent == [wanted] * (2 if name == "all bulkdata" else 1)


def test_a_document_is_rendered_as_it_is(service: httpx.Client) -> None:
    document = dataset(SOPClassUID=EncapsulatedPDFStorage, PixelData=None, EncapsulatedDocument=b"%PDF")
    path = stored(service, part10(document))
    for accept in ("application/pdf", 'multipart/related; type="application/pdf"'):
        response = service.get(f"{path}/rendered", headers={"Accept": accept})
        body = parts(response)[0][1] if "multipart" in accept else response.content
        assert body == b"%PDF"
    service.delete(path)
