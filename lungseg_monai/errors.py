"""Everything that lungseg_monai raises on purpose, drawn once.

LungsegError            anything below; never raised itself
├── UsageError          the request makes no sense (exit code 2)
├── NothingToDoError    no usable input at all (exit code 3)
├── IncompleteError     the work is done, but something was refused (exit code 1)
├── ConfigError         a setting, or a path in it, can't be right
├── DatasetError        dataset.json, datalist.json or predictions.json is missing, damaged, or contradicts the files
├── CheckpointError     a checkpoint is missing, damaged, or of another network
├── EvaluationError     one prediction can't be compared with its reference
├── ReportError         a run's files can't be read
├── ImageError          this image can't be segmented
└── ModelError          a bundle's weights are missing, damaged or not those it names, or a backend is not there

Files that can't be written raise data_prep's OutputError.
Each message says what is wrong, what came, what was wanted, and what to do next.
No message carries a patient's name, birth date or other identifying value.
"""


class LungsegError(Exception):
    """Base of all errors of lungseg_monai."""


class UsageError(LungsegError):
    """The request makes no sense."""


class NothingToDoError(LungsegError):
    """There is no usable input at all."""


class IncompleteError(LungsegError):
    """The work is done, but something was refused; the message names where that stands."""


class ConfigError(LungsegError):
    """A setting, or a path in it, can't be right."""


class DatasetError(LungsegError):
    """dataset.json, datalist.json or predictions.json is missing, damaged, or contradicts the files."""


class CheckpointError(LungsegError):
    """A checkpoint is missing, damaged, or of another network."""


class EvaluationError(LungsegError):
    """One prediction can't be compared with its reference."""


class ReportError(LungsegError):
    """A run's files can't be read."""


class ImageError(LungsegError):
    """This image can't be segmented."""


class ModelError(LungsegError):
    """A bundle's weights are missing, damaged or not those it names, or a backend is not there."""
