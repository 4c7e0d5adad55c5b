"""The targets, by name.

The folder of a target's name in `corpus/` has the inputs that once failed it, in hexadecimal digits.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from types import MappingProxyType
from typing import Final

from tests.fuzzing import codestreams, data_sets, files, messages, pictures
from tests.fuzzing.target import Target

CORPUS: Final = Path(__file__).parent / "corpus"
_LINE_LENGTH: Final = 80  # 32 bytes

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "file": Target(
            check=files.check_file, seeds=files.file_seeds, tokens=files.FILE_TOKENS, runs=1_200, max_bytes=10_000
        ),
        "long_elements": Target(
            check=files.check_long_elements,
            seeds=files.file_seeds,
            tokens=files.FILE_TOKENS,
            runs=1_000,
            max_bytes=10_000,
        ),
        "data_set": Target(check=data_sets.check_data_set, seeds=data_sets.data_set_seeds, tokens=(), runs=1_500),
        "deflated": Target(
            check=files.check_deflated, seeds=files.data_set_seeds, tokens=files.FILE_TOKENS, runs=1_200
        ),
        "pixel_data": Target(
            check=files.check_pixel_data, seeds=files.pixel_data_seeds, tokens=files.FILE_TOKENS, runs=6_000
        ),
        "stored_frame_table": Target(
            check=files.check_stored_frame_table,
            seeds=files.stored_frame_table_seeds,
            tokens=files.FRAME_TABLE_TOKENS,
            runs=4_000,
        ),
        "picture": Target(
            check=pictures.check_picture,
            seeds=pictures.picture_seeds,
            tokens=files.FILE_TOKENS,
            runs=800,
            max_bytes=10_000,
        ),
        "multipart": Target(
            check=messages.check_multipart,
            seeds=messages.multipart_seeds,
            tokens=messages.MULTIPART_TOKENS,
            runs=2_000,
        ),
        "batch_answer": Target(
            check=messages.check_batch_answer,
            seeds=messages.batch_answer_seeds,
            tokens=messages.BATCH_TOKENS,
            runs=4_000,
        ),
        "media_type": Target(
            check=messages.check_media_type, seeds=messages.accept_seeds, tokens=messages.HEADER_TOKENS, runs=4_000
        ),
        "accept": Target(
            check=messages.check_accept, seeds=messages.accept_seeds, tokens=messages.HEADER_TOKENS, runs=2_000
        ),
        "conditions": Target(
            check=messages.check_conditions, seeds=messages.condition_seeds, tokens=messages.HEADER_TOKENS, runs=6_000
        ),
        "rendering_parameters": Target(
            check=messages.check_rendering_parameters,
            seeds=messages.rendering_seeds,
            tokens=messages.RENDERING_TOKENS,
            runs=4_000,
        ),
        "search": Target(
            check=messages.check_search, seeds=messages.search_seeds, tokens=messages.SEARCH_TOKENS, runs=3_000
        ),
        "jpeg": Target(
            check=codestreams.check_jpeg,
            seeds=codestreams.jpeg_seeds,
            tokens=codestreams.JPEG_TOKENS,
            runs=3_000,
            max_bytes=2_000,
        ),
        "jpeg_2000": Target(
            check=codestreams.check_jpeg_2000,
            seeds=codestreams.jpeg_2000_seeds,
            tokens=codestreams.JPEG_2000_TOKENS,
            runs=3_000,
            max_bytes=2_000,
        ),
    }
)


def failed_inputs(name: str) -> Iterator[bytes]:
    """The inputs that once failed a target."""
    return map(kept_input, sorted((CORPUS / name).glob("*.hex")))


def kept_input(path: Path) -> bytes:
    """The input that a file of `corpus/` keeps."""
    return bytes.fromhex(path.read_text())


def keep_input(name: str, label: str, data: bytes) -> None:
    """Keep an input that failed a target."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{label}.hex").write_text("\n".join([*wrap(data.hex(" ", -2), _LINE_LENGTH), ""]))
