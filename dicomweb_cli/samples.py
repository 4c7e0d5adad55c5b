"""Writes synthetic DICOM files of several kinds: something to store, search and look at.

Each call makes new studies, whose pixels are those of the last. Needs NumPy and Pillow, unlike the other commands.
"""

from collections.abc import Iterator
from pathlib import Path

from dicomweb_cli.connection import CannotGoOn


def write_samples(folder: Path) -> Iterator[str]:
    """Write a study of each kind, file by file, to `modality/instance.dcm` in a folder; yield a line about each study.

    No file is replaced: all are named after new UIDs. Raises CannotGoOn without what makes pictures, and OSError where
    they cannot be written.
    """
    try:
        from pydicom import dcmwrite

        from dicomweb_cli.sample_documents import pdf, sr
        from dicomweb_cli.sample_pictures import cr, us
        from dicomweb_cli.sample_volumes import ct, mr
    except ModuleNotFoundError as error:
        needed = "Run `pip install numpy pillow`, or `pipx inject dicomweb-cli numpy pillow`."
        raise CannotGoOn(f"{error}. {needed}") from None
    for instances in (ct, mr, us, cr, sr, pdf):
        count = 0
        for instance in instances():
            path = folder / instance.Modality / f"{instance.SOPInstanceUID}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            dcmwrite(path, instance, enforce_file_format=True, overwrite=False)
            count += 1
        yield f"{count:3}  {path.parent}  {instance.StudyDescription}"
