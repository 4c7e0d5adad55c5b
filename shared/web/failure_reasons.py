"""The codes for why an instance is not stored, or stored with a warning; most are those of Microsoft's service."""

from enum import IntEnum


class FailureReason(IntEnum):
    """Why an instance was not stored: Failure Reason (0008,1197). Kept in step with the conformance statement."""

    PROCESSING_FAILURE = 0x0110  # 272: not DICOM, or could not be processed
    VALIDATION_FAILED = 0xA900  # 43264: data set does not match SOP class; here: a required attribute is invalid
    STUDY_MISMATCH = 0xA901  # 43265: of a study other than the request names
    INSTANCE_EXISTS = 0xB00E  # 45070: already stored


class Duplicate(IntEnum):
    """How an INSTANCE_EXISTS compares with the stored instance: Error ID (0000,0903; PS3.7 E.1), our own codes."""

    IDENTICAL = 1
    DIFFERENT = 2


class WarningReason(IntEnum):
    """Why an instance that was stored comes with warnings: Warning Reason (0008,1196)."""

    VALIDATION = 1  # attributes are not valid
    DATA_SET_MISMATCH = 0xB007  # 45063: the file is not as the standard has it, and something had to be assumed
