"""Why an instance is not stored, or stored with a warning: the codes, most of them those of Microsoft's service."""

from enum import IntEnum
from typing import Final


class FailureReason(IntEnum):
    """Why an instance was not stored: Failure Reason (0008,1197). Kept in step with the conformance statement."""

    PROCESSING_FAILURE = 0x0110  # 272: not DICOM, or could not be processed
    VALIDATION_FAILED = 0xA900  # 43264: data set does not match SOP class; here: a required attribute is not valid
    STUDY_MISMATCH = 0xA901  # 43265: of another study than the request names
    INSTANCE_EXISTS = 0xB00E  # 45070: stored already


class Duplicate(IntEnum):
    """What an INSTANCE_EXISTS is of the instance stored already: Error ID (0000,0903; PS3.7 E.1), codes of our own."""

    IDENTICAL = 1
    DIFFERENT = 2


VALIDATION_WARNING: Final = 1
"""Warning Reason (0008,1196) of an instance that is stored although searchable attributes are not valid (v2)."""
