"""Images and regions in them, out of the formats that hospitals have, and volumes out of both.

Readers take hostile and broken files: whatever is wrong with one is a
:class:`~cdistrim.data.scan.CaseExcluded`, and nothing out of it is said, warned of or logged.
"""

from cdistrim.data.imaging.cropping import crop, crop_mask
from cdistrim.data.imaging.finding import FoundFiles, find_patient_files
from cdistrim.data.imaging.nifti import read_image, read_mask
from cdistrim.data.imaging.patient_files import CtSeries, PatientFiles, RegionFile, RegionKind
from cdistrim.data.imaging.segmentation import read_segmentation
from cdistrim.data.imaging.series import read_series
from cdistrim.data.imaging.structures import read_structure

__all__ = [
    "CtSeries",
    "FoundFiles",
    "PatientFiles",
    "RegionFile",
    "RegionKind",
    "crop",
    "crop_mask",
    "find_patient_files",
    "read_image",
    "read_mask",
    "read_segmentation",
    "read_series",
    "read_structure",
]
