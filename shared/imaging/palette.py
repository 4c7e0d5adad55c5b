"""Turns frames of PALETTE COLOR into pictures in RGB (PS3.3 C.7.6.3.1.2, C.7.9)."""

from typing import Final

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from shared.imaging.decoding import DecodedFrame
from shared.imaging.frame_attributes import numbers_of
from shared.imaging.lookup_tables import LookupTable, lookup_table
from shared.imaging.sample_values import Levels, Values, drawn_in_rgb, mapping

Palette = tuple[LookupTable, ...]
"""The tables of red, green and blue."""

_COLORS: Final = ("Red", "Green", "Blue")


def palette_of(data_set: Dataset) -> Palette | None:
    """The tables of Red, Green and Blue Palette Color Lookup Table (PS3.3 C.7.9); None where one of them is missing."""
    tables = [
        lookup_table(
            data_set,
            is_signed=numbers_of(data_set, "PixelRepresentation") == (1,),
            descriptor=f"{color}PaletteColorLookupTableDescriptor",
            data=f"{color}PaletteColorLookupTableData",
            segmented_data=f"Segmented{color}PaletteColorLookupTableData",
        )
        for color in _COLORS
    ]
    palette = tuple(table for table in tables if table)
    return palette if len(palette) == len(_COLORS) else None


def palette_picture(frame: DecodedFrame, palette: Palette) -> Image.Image:
    """A frame of PALETTE COLOR in RGB of 8 bits each."""
    # By their values, because palettes often state the wrong number of bits.
    shift = 8 if any(table.entries.max() > 255 for table in palette) else 0

    def colors_of(stored: Values) -> Levels:
        return np.stack([(table.map(stored).astype(np.uint16) >> shift).astype(np.uint8) for table in palette], axis=-1)

    to_colors = mapping(frame, colors_of)
    return drawn_in_rgb(frame.samples, lambda samples: Image.fromarray(to_colors(samples)))
