"""Every error that this package raises on purpose.

    ExpertsError
    ├── ManifestError      a folder that must not be served: its manifest, a file or a sha256 is wrong
    ├── DeviceError        the device that was asked for is not there
    ├── ModelError         a model that does not load, or whose inputs or outputs are not those of its kind
    ├── PanelError         a panel put together wrongly (no expert, one id twice) or used after it was closed
    ├── ExportError        a model on disk that cannot be made an expert: its files, labels or outputs say why
    └── TrainingError      training that cannot start: data, a package or a checkpoint is missing or does not fit

What an expert raises while it advises is none of these: the executor turns it into the status ERROR of the passages
concerned.
"""


class ExpertsError(Exception):
    """What all errors of this package have in common."""


class ManifestError(ExpertsError):
    """An expert's folder is not as its manifest says, or the manifest is not one that this version reads."""


class DeviceError(ExpertsError):
    """The device that was asked for is not there."""


class ModelError(ExpertsError):
    """The model does not load, or does not have the inputs and outputs of its kind."""


class PanelError(ExpertsError):
    """The panel was put together wrongly, or used after it was closed."""


class ExportError(ExpertsError):
    """A model on disk cannot be made an expert."""


class TrainingError(ExpertsError):
    """Training cannot start: data, a package or a checkpoint is missing or does not fit."""
