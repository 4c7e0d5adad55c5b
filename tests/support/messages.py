"""Multipart messages as the tutorial's client makes and reads them: by requests-toolbelt and text, not our codec."""

from collections.abc import Iterable

import httpx
from requests_toolbelt import MultipartDecoder  # type: ignore[import-untyped]

MULTIPART_DICOM = 'multipart/related; type="application/dicom"; boundary=tutorial'
ANY_DICOM_PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def multipart(files: Iterable[bytes], part_type: str = "application/dicom") -> bytes:
    """A multipart/related body with the boundary `tutorial`."""
    head = f"--tutorial\r\nContent-Type: {part_type}\r\n\r\n".encode()
    return b"".join(head + file + b"\r\n" for file in files) + b"--tutorial--\r\n"


def parts(response: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """The headers, names in lower case, and bodies of a multipart answer's parts."""
    decoder = MultipartDecoder(response.content, response.headers["Content-Type"])
    return [
        ({name.decode().lower(): value.decode() for name, value in part.headers.items()}, part.content)
        for part in decoder.parts
    ]
