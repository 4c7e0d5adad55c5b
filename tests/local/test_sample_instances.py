"""The generated instances: what they depict and that they never change."""

from io import BytesIO

import pydicom
import pytest

from local.sample_instances import sample_instances

INSTANCES = sample_instances()
DATASETS = {name: pydicom.dcmread(BytesIO(file)) for name, file in INSTANCES.items()}


def pixel(name: str, x: int, y: int) -> tuple[int, int, int]:
    dataset = DATASETS[name]
    start = (y * dataset.Columns + x) * 3
    red, green, blue = dataset.PixelData[start : start + 3]
    return red, green, blue


def test_there_are_three_of_one_study_and_two_series() -> None:
    assert sorted(INSTANCES) == ["blue-circle", "green-square", "red-triangle"]
    assert len({dataset.StudyInstanceUID for dataset in DATASETS.values()}) == 1
    series = {name: dataset.SeriesInstanceUID for name, dataset in DATASETS.items()}
    assert series["green-square"] == series["red-triangle"] != series["blue-circle"]
    assert len({dataset.SOPInstanceUID for dataset in DATASETS.values()}) == 3


def test_they_are_the_same_each_time() -> None:
    assert sample_instances() == INSTANCES


@pytest.mark.parametrize(
    ("name", "strongest", "inside", "outside"),
    [
        ("blue-circle", 2, [(128, 128), (128, 36), (40, 128)], [(0, 0), (50, 50), (255, 255)]),
        ("green-square", 1, [(128, 128), (50, 50), (205, 205)], [(0, 0), (40, 128), (128, 220)]),
        ("red-triangle", 0, [(128, 128), (128, 40), (40, 220)], [(0, 0), (60, 60), (200, 60), (128, 240)]),
    ],
)
def test_each_is_a_coloured_shape_on_white(
    name: str, strongest: int, inside: list[tuple[int, int]], outside: list[tuple[int, int]]
) -> None:
    for x, y in inside:
        colour = pixel(name, x, y)
        assert colour.index(max(colour)) == strongest
    assert {pixel(name, x, y) for x, y in outside} == {(255, 255, 255)}


@pytest.mark.parametrize("name", INSTANCES)
def test_each_is_a_whole_part_10_file(name: str) -> None:
    dataset = DATASETS[name]
    assert INSTANCES[name][128:132] == b"DICM"
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert len(dataset.PixelData) == dataset.Rows * dataset.Columns * 3
    assert (dataset.PhotometricInterpretation, dataset.ImageComments) == ("RGB", name)
