"""`python -m examples.monai_volume STUDY SERIES`: a series of the service in a MONAI data set, ready for a network.

Needs `monai`, `torch` and `nibabel` beside what volume.py needs. DICOMWEB_URL and DICOMWEB_TOKEN mean the same.
"""

import sys
from typing import Any

import torch
from monai.data import Dataset, MetaTensor
from monai.transforms import Compose, Orientationd, ScaleIntensityRanged, Spacingd

from examples.volume import connect, read_series


def read(item: dict[str, str]) -> dict[str, Any]:
    """The item with its image: a channel of the series' voxels, with their place in the patient (RAS)."""
    volume = read_series(connect(), item["study"], item["series"])
    return {**item, "image": MetaTensor(torch.from_numpy(volume.voxels)[None], affine=volume.affine_ras)}


TRANSFORMS = Compose(
    [
        read,
        Orientationd("image", axcodes="RAS", labels=None),
        Spacingd("image", pixdim=(2.0, 2.0, 2.0), mode="bilinear"),
        ScaleIntensityRanged("image", a_min=-1000, a_max=1000, b_min=0.0, b_max=1.0, clip=True),
    ]
)


def main() -> None:
    """Print what the data set makes of a series."""
    if len(sys.argv) != 3:
        sys.exit("Usage: python -m examples.monai_volume STUDY SERIES")
    data_set = Dataset([{"study": sys.argv[1], "series": sys.argv[2]}], TRANSFORMS)  # or CacheDataset, of any number
    image = data_set[0]["image"]
    print("Image:", " x ".join(map(str, image.shape)), "(channel, x, y, z)")
    print("Spacing:", " x ".join(f"{length:.4g}" for length in image.pixdim), "mm")
    print("Values:", f"{image.min():.4g} to {image.max():.4g}")
    print("Affine to RAS:", image.affine, sep="\n")


if __name__ == "__main__":
    main()
