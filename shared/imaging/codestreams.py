"""The header of an encoded frame, read before a codec does, which would allocate whatever the header says.

Only what decides how much work the frame makes is read: its size, and the parts it is cut into; and what it says of its
colors, which counts where the data set says otherwise. The codecs read the rest. Two kinds are known: JPEG and JPEG-LS
(ISO/IEC 10918-1 Annex B, 14495-1 Annex C), and JPEG 2000 with HTJ2K (ISO/IEC 15444-1 Annex A, 15444-15), which may come
in a JP2 file (15444-1 Annex I) though PS3.5 A.4.4 forbids it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from struct import Struct, error
from typing import Final

from shared.errors import NotAcceptable

BASELINE: Final = 0xC0
EXTENDED: Final = 0xC1
PROGRESSIVE: Final = 0xC2
LOSSLESS: Final = 0xC3
JPEG_LS: Final = 0xF7
JPEG_2000: Final = 0x51

_START_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0), JPEG_LS}) - {0xC4, 0xC8, 0xCC}  # SOFn, not DHT, JPG, DAC
_START_OF_SCAN: Final = 0xDA
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xDA)})  # TEM, RSTn, SOI, EOI
_MARKER: Final = re.compile(rb"\xff+([^\xff])")  # any number of fill bytes may precede a marker
_MAX_SEGMENTS: Final = 2000
_MAX_SCANS: Final = 16  # four components need four; each scan costs work on a whole image, for a few bytes

_LENGTH: Final = Struct(">H")
_JPEG_FRAME: Final = Struct(">BHHB")
_JPEG_COMPONENT_BYTES: Final = 3  # an identifier, sampling factors, a table
_JFIF, _ADOBE = 0xE0, 0xEE
_APPLICATIONS: Final = {_JFIF: b"JFIF\0", _ADOBE: b"Adobe"}  # APP0, APP14: how they begin
_ADOBE_TRANSFORM: Final = 11  # where it stands: 0 for none, 1 for YCbCr
_MOST_READ_BYTES: Final = 32  # of a segment: the others are not needed here

_COD, _COC, _SOT, _SOD = 0xFF52, 0xFF53, 0xFF90, 0xFF93
_SIZ: Final = Struct(">H8IH")
_COMPONENT: Final = Struct(">BBB")
# Scod or Scoc, what else precedes the style, and the style: levels, width, height, and more that is not read.
_CODING_STYLES: Final = {_COD: Struct(">B4xBBB2x"), _COC: Struct(">xBBBB2x")}
_MCT: Final = 4  # where COD has the multiple component transformation: 1 for one
_MAX_COMPONENTS: Final = 4
_MAX_LEVELS: Final = 32
_MAX_HEADERS: Final = 16_384
# Decoders look for more markers within segments that they do not know; what those hide would go unread here.
_IN_BOTH_HEADERS: Final = frozenset({_COD, _COC, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF5F, 0xFF64})  # QCD, QCC, RGN, POC, COM
_IN_MAIN_HEADER: Final = _IN_BOTH_HEADERS | {0xFF50, 0xFF55, 0xFF57, 0xFF59, 0xFF60, 0xFF63}  # CAP TLM PLM CPF PPM CRG
_IN_TILE_HEADER: Final = _IN_BOTH_HEADERS | {0xFF58, 0xFF61}  # PLT, PPT
_TILE_PART: Final = re.compile(rb"\xff\x90\x00\x0a")  # within packets, no byte over 0x8F follows 0xFF
_SOT_BYTES: Final = 12

_JP2_SIGNATURE: Final = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_BOX: Final = Struct(">L4s")
_LONG_BOX: Final = Struct(">Q")
_MAX_BOXES: Final = 200


@dataclass(frozen=True, slots=True)
class CodestreamHeader:
    """What a codestream announces. `bits_per_sample` is that of the component with the most.

    `process` is the marker of the JPEG process, such as BASELINE, or JPEG_2000. `colors` are those of three components
    once they are decoded, as it says: "RGB", "YBR_FULL", or "" where it does not. `offset` is where in the frame the
    codestream begins. `tiles` and `blocks` are how many tiles, and code blocks or precincts, JPEG 2000 cuts the image
    into; `blocks` is an upper estimate. For JPEG they are 1 and 0.
    """

    process: int
    rows: int
    columns: int
    components: int
    bits_per_sample: int
    colors: str = ""
    offset: int = 0
    tiles: int = 1
    blocks: int = 0


def jpeg_header(frame: bytes) -> CodestreamHeader:
    """The header of a JPEG or JPEG-LS frame, in time linear in its length, whatever it claims.

    Raises NotAcceptable where there is none, or one with no size or two, or more scans than an image needs.
    """
    found = None
    components = b""
    applications = {}
    position = 0
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.match(frame, position)
        if marker is None or (position == 0 and not frame.startswith(b"\xff\xd8")):
            break
        code, position = marker[1][0], marker.end()
        if code == _START_OF_SCAN:
            return _with_few_scans(frame, found and replace(found, colors=_jpeg_colors(components, applications)))
        if code in _WITHOUT_LENGTH:
            continue
        end = _segment_end(frame, position)
        content = frame[position + _LENGTH.size : min(end, position + _MOST_READ_BYTES)]
        if code in _START_OF_FRAME:
            if found is not None or len(content) < _JPEG_FRAME.size:
                break
            bits, rows, columns, component_count = _JPEG_FRAME.unpack_from(content)
            found = CodestreamHeader(code, rows, columns, component_count, bits)
            components = content[_JPEG_FRAME.size :]
        elif code in _APPLICATIONS and content.startswith(_APPLICATIONS[code]):
            applications[code] = content
        position = end
    raise NotAcceptable("The frame does not begin with the header of a JPEG image.")


def jpeg_2000_header(frame: bytes) -> CodestreamHeader:
    """The header of a JPEG 2000 or HTJ2K frame, in time linear in its length, whatever it claims.

    Raises NotAcceptable where there is none, or one that DICOM has no use for: more than four components, components
    of different sizes, or extensions (ISO/IEC 15444-2).
    """
    try:
        return _jpeg_2000_header(frame, _codestream_offset(frame))
    except (error, OverflowError):  # a box may say that it has 2**64 bytes
        raise NotAcceptable("The header of the JPEG 2000 frame is cut short.") from None


def _jpeg_colors(components: bytes, applications: Mapping[int, bytes]) -> str:
    """What the components are, by what other readers go by: identifiers, sampling factors, and markers.

    Neither of these need be there: then only the data set knows.
    """
    identifiers, sampling_factors = components[::_JPEG_COMPONENT_BYTES], components[1::_JPEG_COMPONENT_BYTES]
    if identifiers in (b"RGB", b"rgb"):
        return "RGB"
    if _JFIF in applications or len(set(sampling_factors)) > 1:
        return "YBR_FULL"
    transform = applications.get(_ADOBE, b"")[_ADOBE_TRANSFORM : _ADOBE_TRANSFORM + 1]
    return {b"\0": "RGB", b"\1": "YBR_FULL"}.get(transform, "")


def _with_few_scans(frame: bytes, header: CodestreamHeader | None) -> CodestreamHeader:
    if header is None or not (header.rows and header.columns and header.components):
        raise NotAcceptable("The header of the JPEG frame does not say how large the image is.")
    if frame.count(bytes((0xFF, _START_OF_SCAN))) > _MAX_SCANS:
        raise NotAcceptable(f"The JPEG frame has more than {_MAX_SCANS} scans.")
    return header


def _segment_end(frame: bytes, position: int) -> int:
    """The end of the segment whose length stands at `position`. Raises NotAcceptable if it is not within the frame."""
    if position + _LENGTH.size <= len(frame):
        length: int = _LENGTH.unpack_from(frame, position)[0]
        if length >= _LENGTH.size and position + length <= len(frame):
            return position + length
    raise NotAcceptable("The header of the frame is cut short.")


def _codestream_offset(frame: bytes) -> int:
    """Where the codestream begins: at 0, or in the first box for one."""
    if not frame.startswith(_JP2_SIGNATURE):
        return 0
    position = 0
    for _ in range(_MAX_BOXES):
        length, kind = _BOX.unpack_from(frame, position)
        head_bytes = _BOX.size
        if length == 1:
            length = _LONG_BOX.unpack_from(frame, position + head_bytes)[0]
            head_bytes += _LONG_BOX.size
        if kind == b"jp2c":
            return position + head_bytes
        if length < head_bytes:
            break
        position += length
    raise NotAcceptable("The frame is a JP2 file without a codestream.")


def _jpeg_2000_header(frame: bytes, offset: int) -> CodestreamHeader:
    if frame[offset : offset + 4] != b"\xff\x4f\xff\x51":
        raise NotAcceptable("The frame does not begin with the header of a JPEG 2000 image.")
    position = offset + 4
    _, x_end, y_end, x, y, tile_width, tile_height, tile_x, tile_y, components = _SIZ.unpack_from(frame, position + 2)
    if not (x < x_end and y < y_end and tile_width and tile_height and tile_x <= x and tile_y <= y):
        raise NotAcceptable("The header of the JPEG 2000 frame does not say how large the image is.")
    if not 0 < components <= _MAX_COMPONENTS:
        raise NotAcceptable(f"The JPEG 2000 frame has {components} components, where images have up to four.")
    depths = []
    for index in range(components):
        depth, x_step, y_step = _COMPONENT.unpack_from(frame, position + 2 + _SIZ.size + index * _COMPONENT.size)
        if (x_step, y_step) != (1, 1):
            raise NotAcceptable("The components of the JPEG 2000 frame are not all as large as the image.")
        depths.append((depth & 0x7F) + 1)
    rows, columns = y_end - y, x_end - x
    main_header = _segment_end(frame, position)
    return CodestreamHeader(
        process=JPEG_2000,
        rows=rows,
        columns=columns,
        components=components,
        bits_per_sample=max(depths),
        colors="RGB" if _is_transformed(frame, main_header) else "",
        offset=offset,
        tiles=-(-(x_end - tile_x) // tile_width) * -(-(y_end - tile_y) // tile_height),
        blocks=components * _most_blocks(frame, main_header, rows, columns),
    )


def _is_transformed(frame: bytes, position: int) -> bool:
    """Whether the codec undoes a transform of colors, which is made of RGB (PS3.5 8.2.4, ISO/IEC 15444-1 A.6.1)."""
    segments = islice(_segments(frame, position, _IN_MAIN_HEADER, _SOT), _MAX_HEADERS)
    return next((frame[start + _MCT : start + _MCT + 1] == b"\1" for code, start, _ in segments if code == _COD), False)


def _most_blocks(frame: bytes, position: int, rows: int, columns: int) -> int:
    """How many blocks a component has at most, by any coding style of the image or of a tile."""
    most = 0
    for count, (code, start, end) in enumerate(_headers(frame, position)):
        if count > _MAX_HEADERS:
            raise NotAcceptable(f"The JPEG 2000 frame has more than {_MAX_HEADERS} marker segments.")
        if code in _CODING_STYLES:
            most = max(most, _blocks(frame[start:end], _CODING_STYLES[code], rows, columns))
    return most


def _headers(frame: bytes, position: int) -> Iterator[tuple[int, int, int]]:
    """The marker segments of the main header from `position` on, then those of all tile-parts."""
    for code, start, end in _segments(frame, position, _IN_MAIN_HEADER, _SOT):
        yield code, start, end
        position = end
    for tile_part in _TILE_PART.finditer(frame, position):
        yield from _segments(frame, tile_part.start() + _SOT_BYTES, _IN_TILE_HEADER, _SOD)


def _segments(frame: bytes, position: int, known: frozenset[int], last: int) -> Iterator[tuple[int, int, int]]:
    """The marker of each segment, and where its content begins and ends, up to the marker `last`."""
    while position < len(frame) and (marker := _LENGTH.unpack_from(frame, position)[0]) != last:
        if marker not in known:
            raise NotAcceptable("The JPEG 2000 frame has a header that is not known here.")
        end = _segment_end(frame, position + 2)
        yield marker, position + 4, end
        position = end


def _blocks(segment: bytes, style: Struct, rows: int, columns: int) -> int:
    """How many code blocks or precincts the bands of all resolutions have (ISO/IEC 15444-1 B.6, B.7, Table A.15)."""
    has_precincts, levels, block_width, block_height = style.unpack_from(segment)
    precincts = segment[style.size :] if has_precincts & 1 else b"\xff" * (levels + 1)
    if levels > _MAX_LEVELS or len(precincts) <= levels:
        raise NotAcceptable("The JPEG 2000 frame has an impossible coding style.")
    count = 0
    for level, precinct in enumerate(precincts[levels::-1]):
        # Above the lowest resolution, a precinct is spread over bands of half its sides.
        width = min((block_width & 0x0F) + 2, max((precinct & 0x0F) - 1, 0))
        height = min((block_height & 0x0F) + 2, max((precinct >> 4) - 1, 0))
        count += ((columns >> level + width) + 1) * ((rows >> level + height) + 1)
    return count
