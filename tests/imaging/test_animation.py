from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageSequence
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from shared.imaging.decoding import DecodedFrame
from shared.web.rendering_parameters import RenderingParameters
from tests.imaging.pictures import data_set, frame_of, opened, render

WINDOWED = {"WindowCenter": 128, "WindowWidth": 256}


def gray(level: int) -> DecodedFrame:
    return frame_of([[level, 0], [0, 255]])


def animated(
    frames: list[DecodedFrame], described: Dataset, frame_numbers: list[int] | None = None
) -> tuple[list[Image.Image], list[int]]:
    numbers = frame_numbers or list(range(1, len(frames) + 1))
    picture = opened(render(frames, described, "image/gif", RenderingParameters(), frame_numbers=numbers))
    shown = [(frame.copy(), frame.info["duration"]) for frame in ImageSequence.Iterator(picture)]
    return [frame for frame, _ in shown], [duration for _, duration in shown]


class TestFrames:
    def test_are_all_shown_in_their_order(self) -> None:
        pictures, _ = animated([gray(level) for level in (10, 200, 200, 30)], data_set(**WINDOWED))
        assert [picture.convert("L").getpixel((0, 0)) for picture in pictures] == [10, 200, 200, 30]

    def test_in_color_have_their_own_colors(self) -> None:
        frames = [
            frame_of([[[level, 0, column % 250] for column in range(300)]], photometric_interpretation="RGB")
            for level in (0, 250)
        ]
        pictures, _ = animated(frames, Dataset())
        for picture, frame in zip(pictures, frames, strict=True):
            assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - frame.samples).mean() < 1

    def test_are_shown_in_an_endless_loop(self) -> None:
        frames = [gray(1), gray(2)]
        data = render(frames, Dataset(), "image/gif", RenderingParameters(), frame_numbers=[1, 2])
        assert opened(data).info["loop"] == 0

    def test_that_are_alone_do_not_move(self) -> None:
        data = render([gray(1)], Dataset(), "image/gif", RenderingParameters(), frame_numbers=[1])
        assert b"NETSCAPE" not in data
        assert getattr(opened(data), "n_frames", 0) == 1

    def test_are_compressed_one_after_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        events: list[str] = []

        def frames() -> Iterator[DecodedFrame]:
            for _ in range(3):
                events.append("taken")
                yield gray(7)

        def compressed(*_: object, **__: object) -> list[bytes]:
            events.append("compressed")
            return []

        monkeypatch.setattr("shared.imaging.animation.getdata", compressed)
        render(frames(), Dataset(), "image/gif", RenderingParameters(), frame_numbers=[1, 2, 3])
        assert events == ["taken", "compressed"] * 3


class TestDurations:
    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ({}, 100),
            ({"FrameTime": 250}, 250),
            ({"FrameTime": 33.33}, 30),
            ({"FrameTime": 1}, 20),
            ({"FrameTime": 1e30}, 655_350),
            ({"FrameTime": 0, "CineRate": 5}, 200),
            ({"FrameTime": -40}, 100),
            ({"CineRate": 25}, 40),
            ({"RecommendedDisplayFrameRate": 10, "CineRate": 25}, 100),
            ({"FrameTime": 250, "RecommendedDisplayFrameRate": 10}, 250),
            ({"CineRate": 0}, 100),
        ],
    )
    def test_are_those_of_the_data_set(self, attributes: dict[str, float], expected: int) -> None:
        _, durations = animated([gray(1), gray(2), gray(3)], data_set(**attributes))
        assert durations == [expected] * 3

    def test_of_a_vector_last_until_the_next_frame(self) -> None:
        described = data_set(FrameTimeVector=[0, 50, 300, 100])
        _, durations = animated([gray(level) for level in range(4)], described)
        assert durations == [50, 300, 100, 100]

    def test_of_a_vector_are_found_by_the_number_of_the_frame(self) -> None:
        described = data_set(FrameTimeVector=[0, 50, 300, 100])
        _, durations = animated([gray(1), gray(2), gray(3)], described, [2, 1, 9])
        assert durations == [300, 50, 100]

    def test_that_cannot_be_read_are_the_default(self) -> None:
        tag = Tag(0x00180040)
        described = Dataset({tag: RawDataElement(tag, "IS", 6, b"1e400 ", 0, False, True)})
        assert animated([gray(1), gray(2)], described)[1] == [100, 100]
