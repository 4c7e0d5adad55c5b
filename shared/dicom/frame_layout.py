"""Tells the frames of Pixel Data apart, once it has passed: the Image Pixel module (PS3.3 C.7.6.3), PS3.5 8 and A.4.

An offset table is trusted only where it fits the fragments that are there and the number of frames; otherwise the
frames are told apart by other means. Where that fails, the frame table says so: the file is kept all the same.
"""

from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from struct import unpack
from typing import Any, Final

from shared.dicom.frame_table import FrameTable, FrameUnavailable
from shared.dicom.items import ITEM_HEAD_BYTES
from shared.dicom.pixel_data import DOUBLE_FLOAT_PIXEL_DATA, FLOAT_PIXEL_DATA, PixelDataScanner
from shared.dicom.transfer_syntaxes import NATIVE, is_video

_NUMBER_OF_FRAMES: Final = "00280008"
_SAMPLES_PER_PIXEL: Final = "00280002"
_PHOTOMETRIC_INTERPRETATION: Final = "00280004"
_ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_BITS_ALLOCATED: Final = "00280100"

_BITS_BY_TAG: Final = {FLOAT_PIXEL_DATA: 32, DOUBLE_FLOAT_PIXEL_DATA: 64}  # PS3.3 C.7.6.24, C.7.6.25
_LEAST_SHARE: Final = 15 / 16  # of a last frame that counts though it is cut short
_SHARED_CHROMA: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})  # four samples for two pixels: C.7.6.3.1.2


def frame_table(
    scanner: PixelDataScanner,
    metadata: Mapping[str, Any],
    data_set_offset: int,
    *,
    transfer_syntax_uid: str,
    extended_offsets: tuple[bytes, bytes] = (b"", b""),
) -> FrameTable:
    """The frames of a stored file whose data set begins at `data_set_offset`.

    `scanner` has passed all of Pixel Data, `metadata` describes it in DICOM JSON, and `extended_offsets` are the values
    of the Extended Offset Table and of its Lengths (PS3.3 C.7.6.3.1.8), b"" when absent. Only whole frames count,
    and a last one of which native Pixel Data lacks at most a sixteenth, up to Number of Frames.
    """
    table: dict[str, Any] = {
        "value_offset": data_set_offset + scanner.head.offset,
        "value_bytes": scanner.value_bytes,
        "is_encapsulated": scanner.is_encapsulated,
    }
    try:
        if (transfer_syntax_uid in NATIVE) == scanner.is_encapsulated:
            raise FrameUnavailable("Pixel Data is not encoded as its transfer syntax says.")
        if not scanner.is_encapsulated:
            frame_bits = _frame_bits(scanner, metadata)
            whole_frames, remaining_bits = divmod(scanner.value_bytes * 8, frame_bits)
            is_nearly_whole = remaining_bits >= frame_bits * _LEAST_SHARE
            frame_count = min(_frame_count(metadata), whole_frames + is_nearly_whole)
            if not frame_count:
                raise FrameUnavailable("Pixel Data is shorter than a frame.")
            return FrameTable(**table, frame_count=frame_count, frame_bits=frame_bits)
        # A video is one stream; none of its frames can be read alone (PS3.5 8.2.5).
        frame_count = 1 if is_video(transfer_syntax_uid) else _frame_count(metadata)
        # The offsets of the fragments, and of the byte after the last one.
        offsets = [data_set_offset + offset for offset in scanner.fragment_offsets]
        offsets.append(table["value_offset"] + scanner.value_bytes)
        padded_frames = _padded_frames(offsets, frame_count, extended_offsets)
        return FrameTable(
            **table,
            frame_count=frame_count,
            fragment_offsets=array("Q", offsets),
            first_fragments=array("Q", _first_fragments(scanner, offsets, frame_count)),
            padded_frames=padded_frames,
        )
    except FrameUnavailable as reason:
        return FrameTable(**table, frame_count=0, unavailable=str(reason))


def _frame_bits(scanner: PixelDataScanner, metadata: Mapping[str, Any]) -> int:
    bits_allocated = _BITS_BY_TAG.get(scanner.head.tag) or _number(metadata, _BITS_ALLOCATED)
    samples = _number(metadata, _SAMPLES_PER_PIXEL) or 1
    sample_bits = _number(metadata, _ROWS) * _number(metadata, _COLUMNS) * bits_allocated
    frame_bits = sample_bits * samples
    if samples == 3 and _first_value(metadata, _PHOTOMETRIC_INTERPRETATION) in _SHARED_CHROMA:
        # Decoders of JPEG leave three samples behind, with the name of what was encoded.
        value_bytes = (_frame_count(metadata) * frame_bits + 7) // 8
        is_full = scanner.value_bytes - value_bytes == value_bytes % 2
        frame_bits = frame_bits if is_full else sample_bits * 2
    if not frame_bits:
        raise FrameUnavailable("Rows, Columns or Bits Allocated is missing, or 0.")
    if scanner.is_big_endian and scanner.head.vr != "OB" and frame_bits % 16:
        raise FrameUnavailable("A frame ends within a word, whose bytes are in big endian order.")
    return frame_bits


def _first_fragments(scanner: PixelDataScanner, offsets: Sequence[int], frame_count: int) -> Sequence[int]:
    """The index of each frame's first fragment, and the number of fragments, by the most reliable evidence."""
    fragment_count = len(offsets) - 1
    if not fragment_count:
        raise FrameUnavailable("Pixel Data is empty.")
    by_table = _by_offset_table(offsets, frame_count, bytes(scanner.offset_table))
    if by_table is not None:
        return by_table
    if fragment_count == frame_count:
        return range(frame_count + 1)
    if frame_count == 1:
        return (0, fragment_count)
    by_markers = _by_ends_of_image(scanner.ends_of_image, frame_count)
    if by_markers is not None:
        return by_markers
    raise FrameUnavailable(
        f"Pixel Data has {fragment_count} fragments for {frame_count} frames, and no offset table that fits them."
    )


def _padded_frames(offsets: Sequence[int], frame_count: int, extended_offsets: tuple[bytes, bytes]) -> frozenset[int]:
    """The indices of the frames that are a byte shorter than their fragment, by an Extended Offset Table that fits.

    Such a table allows only one fragment a frame, so that is all it can say.
    """
    if not 8 * frame_count == 8 * (len(offsets) - 1) == len(extended_offsets[0]) == len(extended_offsets[1]):
        return frozenset()
    # Encapsulated Pixel Data is always in little endian (PS3.5 A.4).
    starts, lengths = (unpack(f"<{frame_count}Q", value) for value in extended_offsets)
    padded = set()
    for index, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        padding = offsets[index + 1] - offsets[index] - ITEM_HEAD_BYTES - length
        if offsets[0] + start != offsets[index] or padding not in (0, 1):
            return frozenset()
        if padding:
            padded.add(index)
    return frozenset(padded)


def _by_offset_table(offsets: Sequence[int], frame_count: int, table: bytes) -> Sequence[int] | None:
    """Each frame's first fragment by the Basic Offset Table, or None if the table does not fit."""
    if len(table) != 4 * frame_count:
        return None
    index_of = {offset - offsets[0]: index for index, offset in enumerate(offsets[:-1])}
    starts = unpack(f"<{frame_count}L", table)
    first_fragments = [*(index_of.get(start, -1) for start in starts), len(offsets) - 1]
    is_in_order = all(first < following for first, following in pairwise(first_fragments))
    return first_fragments if first_fragments[0] == 0 and is_in_order else None


def _by_ends_of_image(ends_of_image: Sequence[int], frame_count: int) -> Sequence[int] | None:
    """Each frame's first fragment by where images end, or None if there are not as many as frames."""
    first_fragments = [0, *(index for index, is_end in enumerate(ends_of_image, 1) if is_end)]
    if first_fragments[-1] != len(ends_of_image):
        first_fragments.append(len(ends_of_image))
    return first_fragments if len(first_fragments) == frame_count + 1 else None


def _frame_count(metadata: Mapping[str, Any]) -> int:
    return _number(metadata, _NUMBER_OF_FRAMES) or 1


def _number(metadata: Mapping[str, Any], tag: str) -> int:
    """A positive whole number, or 0 when there is none."""
    value = _first_value(metadata, tag)
    return value if isinstance(value, int) and value > 0 else 0


def _first_value(metadata: Mapping[str, Any], tag: str) -> Any:
    return (metadata.get(tag, {}).get("Value") or [None])[0]
