"""Everything that lungseg-prep raises on purpose, drawn once.

PrepError                    anything below; never raised itself
├── UsageError               the request makes no sense (exit code 2)
├── NothingToDoError         no usable input at all (exit code 3)
├── OutputError              the output folder can't be written, or the disk is full
├── DicomError               a DICOM object can't be used; the message names the tag
│   ├── UnreadableFileError  truncated, damaged, or not what its name promises
│   ├── SeriesError          one CT series can't become one volume
│   │   └── GeometryError    ... because of where its slices lie
│   └── RtstructError        an RTSTRUCT or one of its ROIs can't be used
├── RemoteError              a store behind a URL can't be reached, or denies (data_prep.remote.trouble)
├── MaskError                a mask can't be exported; it costs no other
└── DatasetError             dataset.json or datalist.json is missing, damaged, or contradicts the files

Each message says what is wrong, what came, what was wanted, and what to do next.
No message carries a patient's name, birth date or other identifying value.
"""


class PrepError(Exception):
    """Base of all errors of data_prep."""


class UsageError(PrepError):
    """The request makes no sense."""


class NothingToDoError(PrepError):
    """There is no usable input at all."""


class OutputError(PrepError):
    """The output can't be written."""


class DicomError(PrepError):
    """A DICOM object can't be used."""


class UnreadableFileError(DicomError):
    """A file is truncated, damaged, or not what its name promises."""


class SeriesError(DicomError):
    """One CT series can't become one volume."""


class GeometryError(SeriesError):
    """The slices of a series don't form one regular grid."""


class RtstructError(DicomError):
    """An RTSTRUCT or one of its ROIs can't be used."""


class MaskError(PrepError):
    """A mask can't be exported; it costs no other."""


class DatasetError(PrepError):
    """dataset.json or datalist.json is missing, damaged, or contradicts the files."""
