"""How a viewer reads frames as octets: by the metadata alone."""

import numpy as np
from pydicom.dataset import Dataset

from tests.support.frame_encoders import Samples, rgb_of


def read_by_viewer(metadata: Dataset, frame: bytes) -> Samples:
    """A frame as cornerstone3D reads it, by the metadata; of native 4:2:2, as the standard says."""
    shape = metadata.Rows, metadata.Columns
    if metadata.BitsAllocated == 1:
        return np.unpackbits(np.frombuffer(frame, np.uint8), count=shape[0] * shape[1], bitorder="little").reshape(
            shape
        )
    dtype = f"<{'i' if metadata.PixelRepresentation else 'u'}{metadata.BitsAllocated // 8}"
    samples = np.frombuffer(frame, dtype)
    if metadata.SamplesPerPixel == 1:
        return samples.reshape(shape)
    interpretation = metadata.PhotometricInterpretation
    if interpretation == "YBR_FULL_422" and samples.size == 2 * shape[0] * shape[1]:
        return from_shared_chroma(samples.reshape(shape[0], -1, 4))
    if interpretation in ("RGB", "YBR_FULL") and metadata.PlanarConfiguration:
        samples = np.moveaxis(samples.reshape(3, *shape), 0, -1)
    samples = samples.reshape(*shape, 3)
    return rgb_of(samples) if interpretation == "YBR_FULL" else samples


def from_shared_chroma(pairs: Samples) -> Samples:
    chroma = np.repeat(pairs[:, :, 2:], 2, axis=1)
    return rgb_of(np.concatenate([pairs[:, :, :2].reshape(len(pairs), -1, 1), chroma], axis=-1))
