"""One table of multipart messages, for the decoder and the encoder."""

from dataclasses import dataclass, field

from shared.multipart import Headers
from tests.support.multipart_parts import Part


def part(body: bytes, **headers: str) -> Part:
    return Part(Headers({name.replace("_", "-"): value for name, value in headers.items()}), body)


def dicom(body: bytes) -> Part:
    return part(body, Content_Type="application/dicom")


def bare(body: bytes) -> Part:
    return part(body)


def wire(*bodies: bytes) -> bytes:
    """The canonical message with parts of application/dicom."""
    return (
        b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n" for body in bodies) + b"--b--\r\n"
    )


@dataclass
class Message:
    """Parts, the bytes that the encoder makes from them, and other bytes with the same meaning."""

    parts: list[Part]
    canonical: bytes
    variants: dict[str, bytes] = field(default_factory=dict)


MESSAGES = {
    "no part": Message(
        [],
        b"--b--\r\n",
        {
            "from .NET's MultipartContent": b"--b\r\n\r\n--b--\r\n",
            "from dicomweb-client": b"\r\n--b--",
            "several that are not there": b"--b\r\n\r\n--b\r\n\r\n--b--",
            "after a preamble": b"nothing to see\r\n--b--\r\n",
        },
    ),
    "one part": Message(
        [dicom(b"DICM")],
        wire(b"DICM"),
        {
            "CRLF before the first delimiter": b"\r\n" + wire(b"DICM"),
            "no CRLF after the close delimiter": wire(b"DICM").removesuffix(b"\r\n"),
            "half a CRLF after the close delimiter": wire(b"DICM").removesuffix(b"\n"),
            "from dicomweb-client": b"\r\n" + wire(b"DICM").removesuffix(b"\r\n"),
            "preamble": b"This is a multipart message.\r\n" + wire(b"DICM"),
            "preamble of delimiters that are none": b"--a\r\n\n--b\r\n x--b\r\n\r--b\r\n" + wire(b"DICM"),
            "preamble of line ends": b"\r\r\n\n\r\n\r\n" + wire(b"DICM"),
            "epilogue": wire(b"DICM") + b"Goodbye.\r\n--b\r\n\r\n--b--\r\n",
            "padding": wire(b"DICM").replace(b"--b\r\n", b"--b \t \r\n"),
            "as much padding as is taken": wire(b"DICM").replace(b"--b\r\n", b"--b" + b" " * 128 + b"\r\n"),
            "padding of the close delimiter": wire(b"DICM").replace(b"--b--", b"--b--\t "),
            "padding of the close delimiter without CRLF": wire(b"DICM").replace(b"--b--\r\n", b"--b--\t "),
            "no space before the value": wire(b"DICM").replace(b": ", b":"),
            "spaces around the value": wire(b"DICM").replace(b": application/dicom", b":\t application/dicom \t"),
            "folded header": wire(b"DICM").replace(b": ", b":\r\n\t"),
            "part that is not there before": b"--b\r\n\r\n" + wire(b"DICM"),
            "part that is not there after": wire(b"DICM").replace(b"--b--", b"--b\r\n\r\n--b--"),
        },
    ),
    "three parts": Message([dicom(b"A"), dicom(b"B\r\n"), dicom(b"")], wire(b"A", b"B\r\n", b"")),
    "part without headers": Message([bare(b"AB")], b"--b\r\n\r\nAB\r\n--b--\r\n"),
    "part without headers that begins with a header": Message([bare(b"A: b\r\n")], b"--b\r\n\r\nA: b\r\n\r\n--b--\r\n"),
    "part without headers, of line ends": Message([bare(b"\r\n\r\n")], b"--b\r\n\r\n\r\n\r\n\r\n--b--\r\n"),
    "empty part": Message(
        [dicom(b"")],
        wire(b""),
        {"without its blank line": b"--b\r\nContent-Type: application/dicom\r\n\r\n--b--\r\n"},
    ),
    "empty part without headers": Message([bare(b"")], b"--b\r\n\r\n\r\n--b--\r\n"),
    "empty parts of both kinds": Message(
        [dicom(b""), bare(b""), dicom(b"")],
        b"--b\r\nContent-Type: application/dicom\r\n\r\n\r\n--b\r\n\r\n\r\n" + wire(b""),
    ),
    "several headers": Message(
        [part(b"A", X_Second="2", Content_Type='a/b; c="d"; e=f', X_Empty="", X_Text="\u00fc \u00ff")],
        b'--b\r\nX-Second: 2\r\nContent-Type: a/b; c="d"; e=f\r\nX-Empty: \r\nX-Text: \xfc \xff\r\n\r\nA\r\n--b--\r\n',
        {
            "folded": b'--b\r\nX-Second:\r\n 2\r\nContent-Type: a/b;\r\n c="d";\r\n e=f\r\nX-Empty: \r\n \r\n'
            b"X-Text: \xfc\r\n \xff\r\n\r\nA\r\n--b--\r\n"
        },
    ),
    "true Content-Length": Message(
        [part(b"AB", Content_Length="2")], b"--b\r\nContent-Length: 2\r\n\r\nAB\r\n--b--\r\n"
    ),
    **{
        f"encoding {name}": Message(
            [part(b"A", Content_Transfer_Encoding=name)],
            b"--b\r\nContent-Transfer-Encoding: " + name.encode() + b"\r\n\r\nA\r\n--b--\r\n",
        )
        for name in ("binary", "8bit", "7BIT")
    },
    **{
        f"body {body!r}": Message([dicom(body)], wire(body))
        for body in (
            b"ends in LF\n",
            b"ends in CR\r",
            b"ends in CRLF\r\n",
            b"ends in blank lines\r\n\r\n\r\n",
            b"\r\nbegins with CRLF",
            b"\n--b\r\nlone LF",
            b"\r--b--\r\nlone CR",
            b"\r\r\n--",
            b"--\r\n--\r\n-",
            b"has\r\n\r\nblank: line\r\n\r\n",
            b"x--b--\r\n",
            b"-",
            b"\r\n--B--\r\n",
            b"\r\n--a\r\n",
            b"\r\n-b--",
            b"\r\r\r\r\n\r\n-\r\n--\r",
            bytes(range(256)),
        )
    },
}
