import numpy as np
import pytest
from pydicom.dataset import Dataset

from shared.errors import NotAcceptable
from shared.imaging.icc_profiles import SRGB_PROFILE
from shared.web.rendering_parameters import IccProfile, RenderingParameters
from tests.imaging.pictures import data_set, frame_of, opened, render, rendered

# The profile of sRGB with red and blue exchanged, by the names of its tags.
PROFILE = SRGB_PROFILE.replace(b"rXYZ", b"----", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"----", b"bXYZ", 1)
GRAY = frame_of([[10, 20]])
RED = frame_of([[[255, 0, 0]] * 4] * 4, photometric_interpretation="RGB")


class TestColorProfile:
    @pytest.mark.parametrize("media_type", ["image/jpeg", "image/png"])
    @pytest.mark.parametrize(
        "described",
        [data_set(ICCProfile=PROFILE), data_set(OpticalPathSequence=[data_set(ICCProfile=PROFILE + b"\0\0")])],
        ids=["image", "optical path"],
    )
    def test_of_the_data_set_goes_with_color(self, media_type: str, described: Dataset) -> None:
        picture = opened(render([RED], described, media_type, RenderingParameters(), frame_numbers=[1]))
        assert picture.info["icc_profile"] == PROFILE

    @pytest.mark.parametrize(
        "profile",
        [b"", PROFILE[:-2], b"\0" * 200, PROFILE.replace(b"RGB ", b"CMYK", 1), PROFILE.replace(b"acsp", b"----")],
    )
    def test_that_is_not_for_rgb_is_left_out(self, profile: bytes) -> None:
        described = data_set(ICCProfile=profile)
        assert (
            "icc_profile"
            not in opened(render([RED], described, "image/png", RenderingParameters(), frame_numbers=[1])).info
        )

    @pytest.mark.parametrize("icc_profile", [IccProfile.YES, IccProfile.SRGB])
    def test_is_left_out_of_gray(self, icc_profile: IccProfile) -> None:
        parameters = RenderingParameters(icc_profile=icc_profile)
        described = data_set(ICCProfile=PROFILE)
        picture = opened(render([GRAY], described, "image/png", parameters, frame_numbers=[1]))
        assert "icc_profile" not in picture.info

    def test_is_left_out_where_not_wanted(self) -> None:
        parameters = RenderingParameters(icc_profile=IccProfile.NO)
        described = data_set(ICCProfile=PROFILE)
        picture = opened(render([RED], described, "image/png", parameters, frame_numbers=[1]))
        assert "icc_profile" not in picture.info
        assert np.asarray(picture)[0, 0].tolist() == [255, 0, 0]

    def test_of_srgb_comes_with_its_colors(self) -> None:
        frame = frame_of([[[200, 100, 50]]], photometric_interpretation="RGB")
        parameters = RenderingParameters(icc_profile=IccProfile.SRGB)
        picture = opened(render([frame], data_set(ICCProfile=PROFILE), "image/png", parameters, frame_numbers=[1]))
        pixel = picture.getpixel((0, 0))
        assert isinstance(pixel, tuple)
        assert pixel == pytest.approx((50, 100, 200), abs=1)
        assert picture.info["icc_profile"] == SRGB_PROFILE

    @pytest.mark.parametrize("profile", [b"", PROFILE[:300].replace(PROFILE[:4], (300).to_bytes(4, "big"))])
    def test_that_makes_no_transform_leaves_the_colors(self, profile: bytes) -> None:
        parameters = RenderingParameters(icc_profile=IccProfile.SRGB)
        described = data_set(ICCProfile=profile)
        assert rendered(RED, described, parameters)[0, 0].tolist() == [255, 0, 0]

    @pytest.mark.parametrize("icc_profile", [IccProfile.ADOBERGB, IccProfile.ROMMRGB])
    def test_that_is_not_offered_is_refused(self, icc_profile: IccProfile) -> None:
        with pytest.raises(NotAcceptable, match="no, yes, srgb"):
            rendered(RED, parameters=RenderingParameters(icc_profile=icc_profile))
