"""Lookup tables in data sets: their descriptors and data (PS3.3 C.11.1.1, C.11.2.1.1 and C.7.6.3.1.5-6)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from shared.imaging.frame_attributes import words_of

_MAX_ENTRIES: Final = 65536  # described as 0: PS3.3 C.11.1.1
_MAX_BITS: Final = 16
_DISCRETE, _LINEAR, _INDIRECT = range(3)  # the segments of PS3.3 C.7.9.2


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Maps values to `entries` of `bits` bits each. `first_value` and all below it map to the first.

    `bits` is 1 to 16: what the descriptor states, unless no entry could be so large, or all are below its quarter.
    """

    first_value: int
    entries: NDArray[np.uint16]
    bits: int

    def map(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The entries for whole `values`; those above the last map to the last."""
        indices = np.clip(np.nan_to_num(values) - float(self.first_value), 0, len(self.entries) - 1)
        return self.entries[indices.astype(np.intp)].astype(np.float64)


def lookup_table(
    item: Dataset,
    *,
    is_signed: bool,
    descriptor: str = "LUTDescriptor",
    data: str = "LUTData",
    segmented_data: str | None = None,
) -> LookupTable | None:
    """The table in an item of Modality or VOI LUT Sequence, or of a palette's color; None where it is not valid.

    The last three are the keywords of its attributes; `is_signed` is whether the values it maps may be negative. A
    table shorter than described ends where its data ends.
    """
    described = words_of(item, descriptor)
    if len(described) != 3:
        return None
    count, first_value, bits = (int(word) for word in described)
    count = count or _MAX_ENTRIES
    if is_signed and first_value >= 0x8000:
        first_value -= 0x10000
    entries = _entries(words_of(item, data), count, bits)
    if not len(entries) and segmented_data:
        entries = _expanded(words_of(item, segmented_data), count, bits)
    if not len(entries):
        return None
    needed_bits = max(int(entries.max()).bit_length(), 1)
    # Descriptors often state the bits that are allocated, or those of other images.
    is_plausible = needed_bits <= bits <= min(needed_bits + 1, _MAX_BITS)
    return LookupTable(first_value, entries, bits if is_plausible else needed_bits)


def _entries(words: NDArray[np.uint16], count: int, bits: int) -> NDArray[np.uint16]:
    """Entries of up to 8 bits stand two to a word, or, from some writers, one; also where they are said to have 16."""
    if len(words) < count and (bits <= 8 or 2 * len(words) in (count, count + 1)):
        return words.view(np.uint8)[:count].astype(np.uint16)
    return words[:count]


def _expanded(words: NDArray[np.uint16], count: int, bits: int) -> NDArray[np.uint16]:
    """The entries that segments stand for (PS3.3 C.7.9.2), up to the first invalid one."""
    units = (words.view(np.uint8) if bits <= 8 else words).tolist()
    unit_bits, unit_bytes = (8, 1) if bits <= 8 else (16, 2)
    address_units = 4 // unit_bytes
    entries: list[int] = []
    position = 0
    while len(entries) < count and position + 1 < len(units):
        kind, length = units[position : position + 2]
        if kind != _INDIRECT:
            position = _expand(units, position, entries)
        else:
            address = units[position + 2 : position + 2 + address_units]
            repeated = sum(unit << unit_bits * place for place, unit in enumerate(address)) // unit_bytes
            position += 2 + address_units
            for _ in range(length):
                if len(entries) >= count or repeated < 0:
                    break
                repeated = _expand(units, repeated, entries)
        if position < 0:
            break
    return np.array(entries[:count], np.uint16)


def _expand(units: list[int], position: int, entries: list[int]) -> int:
    """Append the entries of a discrete or linear segment. Return where the next one begins; -1 if this one is invalid.

    A segment has at least one entry, so a table never has more segments than entries.
    """
    kind, length = (*units[position : position + 2], -1, 0)[:2]
    begin = position + 2
    if kind == _DISCRETE and 0 < length <= len(units) - begin:
        entries.extend(units[begin : begin + length])
        return begin + length
    if kind == _LINEAR and length and entries and begin < len(units):
        last = entries[-1]
        entries.extend(last + round((units[begin] - last) * step / length) for step in range(1, length + 1))
        return begin + 1
    return -1
