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

SHARED_CHROMA: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
"""The Photometric Interpretations whose native pixels share chroma: four samples for two pixels (C.7.6.3.1.2)."""

_NUMBER_OF_FRAMES: Final = "00280008"
_SAMPLES_PER_PIXEL: Final = "00280002"
_PHOTOMETRIC_INTERPRETATION: Final = "00280004"
_ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_BITS_ALLOCATED: Final = "00280100"

_BITS_BY_TAG: Final = {FLOAT_PIXEL_DATA: 32, DOUBLE_FLOAT_PIXEL_DATA: 64}  # PS3.3 C.7.6.24, C.7.6.25
_LEAST_SHARE: Final = 15 / 16  # of a last frame that counts though it is cut short


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
            promised = _number(metadata, _NUMBER_OF_FRAMES) or 1
            whole_frames, remaining_bits = divmod(scanner.value_bytes * 8, frame_bits)
            is_nearly_whole = remaining_bits >= frame_bits * _LEAST_SHARE
            frame_count = min(promised, whole_frames + is_nearly_whole)
            if not frame_count:
                raise FrameUnavailable("Pixel Data is shorter than a frame.")
            is_swapped = scanner.is_big_endian and scanner.head.vr == "OW" and _bits_allocated(scanner, metadata) <= 8
            return FrameTable(**table, frame_count=frame_count, frame_bits=frame_bits, is_swapped=is_swapped)
        # The offsets of the fragments, and of the byte after the last one.
        offsets = [data_set_offset + offset for offset in scanner.fragment_offsets]
        offsets.append(table["value_offset"] + scanner.value_bytes)
        # A video is one stream; none of its frames can be read alone (PS3.5 8.2.5).
        promised = 1 if is_video(transfer_syntax_uid) else _number(metadata, _NUMBER_OF_FRAMES)
        first_fragments = _first_fragments(scanner, offsets, promised, extended_offsets[0])
        frame_count = len(first_fragments) - 1
        return FrameTable(
            **table,
            frame_count=frame_count,
            fragment_offsets=array("Q", offsets),
            first_fragments=array("Q", first_fragments),
            padded_frames=_padded_frames(offsets, frame_count, extended_offsets),
        )
    except FrameUnavailable as reason:
        return FrameTable(**table, frame_count=0, unavailable=str(reason))


def frames_remarks(metadata: Mapping[str, Any], table: FrameTable | None, transfer_syntax_uid: str) -> tuple[str, ...]:
    """What of the frames of an instance cannot be read, or is not as Number of Frames (0028,0008) says, in words."""
    if table is None or not table.value_bytes or is_video(transfer_syntax_uid):
        return ()
    if table.unavailable:
        return (f"No frame can be retrieved: {table.unavailable}",)
    promised, found = _number(metadata, _NUMBER_OF_FRAMES), table.frame_count
    if found < promised:
        return (f"Number of Frames is {promised}, but Pixel Data has {found}; these can be retrieved.",)
    if found > 1 and not promised:
        return (f"Number of Frames is missing, but Pixel Data has {found}; these can be retrieved.",)
    return ()


def _frame_bits(scanner: PixelDataScanner, metadata: Mapping[str, Any]) -> int:
    samples = _number(metadata, _SAMPLES_PER_PIXEL) or 1
    sample_bits = _number(metadata, _ROWS) * _number(metadata, _COLUMNS) * _bits_allocated(scanner, metadata)
    frame_bits = sample_bits * samples
    if samples == 3 and _first_value(metadata, _PHOTOMETRIC_INTERPRETATION) in SHARED_CHROMA:
        # Decoders of JPEG leave three samples behind, with the name of what was encoded.
        value_bytes = ((_number(metadata, _NUMBER_OF_FRAMES) or 1) * frame_bits + 7) // 8
        is_full = scanner.value_bytes - value_bytes == value_bytes % 2
        frame_bits = frame_bits if is_full else sample_bits * 2
    if not frame_bits:
        raise FrameUnavailable("Rows, Columns or Bits Allocated is missing, or 0.")
    return frame_bits


def _bits_allocated(scanner: PixelDataScanner, metadata: Mapping[str, Any]) -> int:
    return _BITS_BY_TAG.get(scanner.head.tag) or _number(metadata, _BITS_ALLOCATED)


def _first_fragments(
    scanner: PixelDataScanner, offsets: Sequence[int], promised: int, extended_offset_table: bytes
) -> Sequence[int]:
    """The index of each frame's first fragment, and the number of fragments, by the most reliable evidence.

    `promised` is how many frames there should be, 0 where that is not said: no more are told apart, and fewer only
    where an offset table or the fragments themselves show that there are not as many.
    """
    fragment_count = len(offsets) - 1
    if not fragment_count:
        raise FrameUnavailable("Pixel Data is empty.")
    one_each = range(fragment_count + 1)
    by_table = _by_offset_table(offsets, bytes(scanner.offset_table), extended_offset_table)
    by_begins, by_ends = _by_begins_of_image(scanner.begins_of_image), _by_ends_of_image(scanner.ends_of_image)
    # Where images begin and end as one, a number of fragments that is the number of frames is only a coincidence.
    as_promised = [by_table, by_begins if by_begins == by_ends else one_each, by_begins]
    if by_begins is None or len(by_begins) <= promised:
        as_promised.append(by_ends)
    for found in as_promised if promised > 1 else ():
        if found is not None and len(found) == promised + 1:
            return found
    for found in (by_table, by_begins):
        if found is not None and len(found) > 2:
            return found[: promised + 1] if promised else found
    if promised <= 1:
        return (0, fragment_count)
    if by_begins is not None and (by_begins == by_ends or fragment_count < promised):
        return by_begins
    if fragment_count < promised:
        return one_each
    raise FrameUnavailable(
        f"Pixel Data has {fragment_count} fragments for {promised} frames, and no offset table that fits them."
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


def _by_offset_table(offsets: Sequence[int], basic: bytes, extended: bytes) -> Sequence[int] | None:
    """Each frame's first fragment by an offset table, or None if it is empty or does not fit the fragments."""
    table, code, size = (basic, "L", 4) if basic else (extended, "Q", 8)
    if not table or len(table) % size:
        return None
    index_of = {offset - offsets[0]: index for index, offset in enumerate(offsets[:-1])}
    starts = unpack(f"<{len(table) // size}{code}", table)
    first_fragments = [*(index_of.get(start, -1) for start in starts), len(offsets) - 1]
    is_in_order = all(first < following for first, following in pairwise(first_fragments))
    return first_fragments if first_fragments[0] == 0 and is_in_order else None


def _by_begins_of_image(begins_of_image: Sequence[int]) -> Sequence[int] | None:
    """Each frame's first fragment by where images begin, or None if the first fragment does not begin one."""
    first_fragments = [index for index, is_begin in enumerate(begins_of_image) if is_begin]
    return [*first_fragments, len(begins_of_image)] if first_fragments[:1] == [0] else None


def _by_ends_of_image(ends_of_image: Sequence[int]) -> Sequence[int]:
    """Each frame's first fragment by where images end."""
    first_fragments = [0, *(index for index, is_end in enumerate(ends_of_image, 1) if is_end)]
    if first_fragments[-1] != len(ends_of_image):
        first_fragments.append(len(ends_of_image))
    return first_fragments


def _number(metadata: Mapping[str, Any], tag: str) -> int:
    """A positive whole number, or 0 when there is none."""
    value = _first_value(metadata, tag)
    return value if isinstance(value, int) and value > 0 else 0


def _first_value(metadata: Mapping[str, Any], tag: str) -> Any:
    return (metadata.get(tag, {}).get("Value") or [None])[0]
