"""The query parameters of rendered resources: RESTful ones (PS3.18 8.3.5.1) and the URI Service's (PS3.18 9.5.1).

Both say the same in different words, and give the same `RenderingParameters`. Whether the region lies in the image, and
whether there is a color profile, is only known when the pixels are rendered.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.errors import BadRequest

MAX_VIEWPORT_PIXELS: Final = 8192
"""The largest width and height that an image is rendered in."""

THUMBNAIL_PIXELS: Final = 128
"""The side of the square that a thumbnail fits in, where the client asks for no viewport."""

DEFAULT_QUALITY: Final = 90
"""The quality of lossy images, from 1 to 100, where the client asks for none."""

_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,12}\.?[0-9]{0,12}|\.[0-9]{1,12})(?:[Ee][+-]?[0-9]{1,2})?")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_ANNOTATIONS: Final = frozenset({"patient", "technique"})


class WindowFunction(StrEnum):
    """How a window maps values to gray levels: VOI LUT Function, PS3.3 C.11.2.1.3."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


class IccProfile(StrEnum):
    """Which color profile the picture should have: PS3.18 8.3.5.1.5. YES is the data set's own."""

    NO = "no"
    YES = "yes"
    SRGB = "srgb"
    ADOBERGB = "adobergb"
    ROMMRGB = "rommrgb"


@dataclass(frozen=True, slots=True)
class Window:
    """A window on the output of the Modality LUT, both numbers in its units (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: WindowFunction = WindowFunction.LINEAR


@dataclass(frozen=True, slots=True)
class SourceRegion:
    """The part of an image that is rendered, and whether it is flipped.

    In pixels, or, where `is_fraction`, in fractions of the image's width and height. The origin is the image's top left
    corner; a width or height of None reaches to the other end.
    """

    left: float = 0.0
    top: float = 0.0
    width: float | None = None
    height: float | None = None
    is_fraction: bool = False
    is_flipped_horizontally: bool = False
    is_flipped_vertically: bool = False

    def box(self, columns: int, rows: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels of an image of that size, without what lies outside it.

        Raises BadRequest where nothing of the region lies in the image.
        """
        left, right = _span(self.left, self.width, columns, is_fraction=self.is_fraction)
        top, bottom = _span(self.top, self.height, rows, is_fraction=self.is_fraction)
        if left >= right or top >= bottom:
            raise BadRequest("The region asked for lies outside of the image.")
        return left, top, right, bottom


@dataclass(frozen=True, slots=True)
class RenderingParameters:
    """How to render. `viewport` is the columns and rows that the picture has to fit in, None for the image's own."""

    quality: int = DEFAULT_QUALITY
    viewport: tuple[int, int] | None = None
    region: SourceRegion = SourceRegion()
    window: Window | None = None
    icc_profile: IccProfile = IccProfile.YES


def parse(query: Iterable[tuple[str, str]]) -> RenderingParameters:
    """The parameters of a RESTful request, from the decoded names and values of its query.

    Names and keywords are taken in any case. Other parameters are left alone. `annotation` is checked and otherwise
    ignored: nothing is drawn on the image. Raises BadRequest, naming the parameter and what it may be.
    """
    texts = _texts(query, ("quality", "viewport", "window", "annotation", "iccprofile"))
    _check_annotation(texts.get("annotation"))
    viewport, region = _viewport(texts["viewport"]) if "viewport" in texts else (None, SourceRegion())
    return RenderingParameters(
        quality=_quality("quality", texts.get("quality")),
        viewport=viewport,
        region=region,
        window=_window(texts["window"]) if "window" in texts else None,
        icc_profile=_icc_profile(texts.get("iccprofile")),
    )


def parse_uri(query: Iterable[tuple[str, str]]) -> RenderingParameters:
    """The parameters of a request to the URI Service, from the decoded names and values of its query.

    As `parse`; the known ones are rows, columns, region, windowCenter with windowWidth, imageQuality and annotation.
    """
    names = ("rows", "columns", "region", "windowcenter", "windowwidth", "imagequality", "annotation")
    texts = _texts(query, names)
    _check_annotation(texts.get("annotation"))
    sides = [_side(name, texts[name]) if name in texts else MAX_VIEWPORT_PIXELS for name in ("columns", "rows")]
    return RenderingParameters(
        quality=_quality("imageQuality", texts.get("imagequality")),
        viewport=(sides[0], sides[1]) if "columns" in texts or "rows" in texts else None,
        region=_fractions(texts["region"]) if "region" in texts else SourceRegion(),
        window=_center_and_width(texts.get("windowcenter"), texts.get("windowwidth")),
    )


def _span(begin: float, length: float | None, side: int, *, is_fraction: bool) -> tuple[float, float]:
    unit = side if is_fraction else 1
    return begin * unit, side if length is None else min((begin + length) * unit, side)


def _texts(query: Iterable[tuple[str, str]], names: Sequence[str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in query:
        known = name.lower()
        if known in texts:
            raise BadRequest(f"The parameter {known} is given twice.")
        if known in names:
            texts[known] = value.strip()
    return texts


def _check_annotation(text: str | None) -> None:
    if text is not None and not {part.strip().lower() for part in text.split(",")} <= _ANNOTATIONS:
        raise BadRequest("The parameter annotation must be patient, technique, or both with a comma in between.")


def _quality(name: str, text: str | None) -> int:
    quality = DEFAULT_QUALITY if text is None else _whole(text)
    if not 1 <= quality <= 100:
        raise BadRequest(f"The parameter {name} must be a whole number from 1 to 100.")
    return quality


def _viewport(text: str) -> tuple[tuple[int, int], SourceRegion]:
    parts = [part.strip() for part in text.split(",")]
    if not 2 <= len(parts) <= 6:
        raise BadRequest("The parameter viewport must be vw,vh or vw,vh,sx,sy,sw,sh.")
    viewport = _side("viewport", parts[0]), _side("viewport", parts[1])
    left, top, width, height = (
        _decimal("viewport", part) if part else None for part in [*parts[2:], "", "", "", ""][:4]
    )
    if (left or 0) < 0 or (top or 0) < 0 or width == 0 or height == 0:
        raise BadRequest("The parameter viewport must have sx and sy from 0 up, and sw and sh other than 0.")
    return viewport, SourceRegion(
        left=left or 0.0,
        top=top or 0.0,
        width=width and abs(width),
        height=height and abs(height),
        is_flipped_horizontally=(width or 0) < 0,
        is_flipped_vertically=(height or 0) < 0,
    )


def _side(name: str, text: str) -> int:
    side = _whole(text)
    if not 1 <= side <= MAX_VIEWPORT_PIXELS:
        raise BadRequest(f"The parameter {name} must have a width and height from 1 to {MAX_VIEWPORT_PIXELS} pixels.")
    return side


def _fractions(text: str) -> SourceRegion:
    numbers = [_decimal("region", part) for part in text.split(",")]
    if len(numbers) == 4:
        left, top, right, bottom = numbers
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return SourceRegion(left, top, right - left, bottom - top, is_fraction=True)
    raise BadRequest("The parameter region must be xmin,ymin,xmax,ymax, each from 0 to 1, minimum below maximum.")


def _window(text: str) -> Window:
    center, width, function = [*text.split(","), "", "", ""][:3]
    name = function.strip().upper().replace("-", "_")
    if text.count(",") != 2 or name not in set(WindowFunction):
        raise BadRequest("The parameter window must be center,width,function: linear, linear-exact or sigmoid.")
    window = Window(_decimal("window", center), _decimal("window", width), WindowFunction(name))
    _check_width("window", window)
    return window


def _center_and_width(center: str | None, width: str | None) -> Window | None:
    if center is None and width is None:
        return None
    if center is None or width is None:
        raise BadRequest("The parameters windowCenter and windowWidth go together; one of them is missing.")
    window = Window(_decimal("windowCenter", center), _decimal("windowWidth", width))
    _check_width("windowWidth", window)
    return window


def _check_width(name: str, window: Window) -> None:
    if window.function is WindowFunction.LINEAR and window.width < 1:
        raise BadRequest(f"The parameter {name} must have a width of 1 or more.")
    if window.width <= 0:
        raise BadRequest(f"The parameter {name} must have a width over 0.")


def _icc_profile(text: str | None) -> IccProfile:
    if text is None:
        return IccProfile.YES
    if text.lower() not in set(IccProfile):
        raise BadRequest(f"The parameter iccprofile must be one of {', '.join(IccProfile)}.")
    return IccProfile(text.lower())


def _whole(text: str) -> int:
    return int(text) if _WHOLE.fullmatch(text) else -1


def _decimal(name: str, text: str) -> float:
    number = text.strip()
    if _DECIMAL.fullmatch(number) is None:
        raise BadRequest(f"The parameter {name} must be made of decimal numbers with commas in between.")
    return float(number)  # which takes off fewer kinds of space by itself
