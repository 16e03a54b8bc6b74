"""Wasserstein GANs for pictures, arrays and tables, with Wasserstein numbers that carry their guarantee.

The names below are imported when first used, so that `import wassergan` itself is immediate.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wassergan.errors import UserError, WorkError

if TYPE_CHECKING:
    from wassergan.data import Source, open_source
    from wassergan.estimator import WassersteinGAN
    from wassergan.export import export_run, open_export
    from wassergan.observers import Observer, Observers
    from wassergan.opening import open_sampler
    from wassergan.pairs import table_column_distances, table_distance
    from wassergan.runfolder import run_summary
    from wassergan.runs import resume_run, train_run
    from wassergan.settings import TrainSettings
    from wassergan.training import Trainer

__version__ = "0.1.0"

__all__ = [
    "Observer",
    "Observers",
    "Source",
    "TrainSettings",
    "Trainer",
    "UserError",
    "WassersteinGAN",
    "WorkError",
    "__version__",
    "export_run",
    "open_export",
    "open_sampler",
    "open_source",
    "resume_run",
    "run_summary",
    "table_column_distances",
    "table_distance",
    "train_run",
]

_HOMES = {
    "Observer": "observers",
    "Observers": "observers",
    "Source": "data",
    "TrainSettings": "settings",
    "Trainer": "training",
    "WassersteinGAN": "estimator",
    "export_run": "export",
    "open_export": "export",
    "open_sampler": "opening",
    "open_source": "data",
    "resume_run": "runs",
    "run_summary": "runfolder",
    "table_column_distances": "pairs",
    "table_distance": "pairs",
    "train_run": "runs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wassergan' has no attribute '{name}'")
    return getattr(import_module(f"wassergan.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
