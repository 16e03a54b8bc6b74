"""Wasserstein GANs for pictures, arrays and tables, with Wasserstein numbers that carry their guarantee.

The names below are imported when first used, so that `import wassergan` itself is immediate.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wassergan.errors import UserError, WorkError
from wassergan.utils.version import __version__

if TYPE_CHECKING:
    from wassergan.callbacks import Callback, CallbackList
    from wassergan.config.settings import TrainSettings
    from wassergan.config.verbs import CompleteSettings, EvaluateSettings
    from wassergan.data import Source, open_source
    from wassergan.distances import W1Estimator, exact_w1, sliced_w1, w1, w1_interval
    from wassergan.estimator.wasserstein_gan import WassersteinGAN
    from wassergan.evaluation.datasets import table_column_distances, table_distance
    from wassergan.lipschitz import certify
    from wassergan.runs.evaluate import evaluate_run
    from wassergan.runs.export import export_run, open_export
    from wassergan.runs.train import resume_run, train_run
    from wassergan.session.restore import open_sampler
    from wassergan.session.run_content import run_summary
    from wassergan.training import Trainer

__all__ = [
    "Callback",
    "CallbackList",
    "CompleteSettings",
    "EvaluateSettings",
    "Source",
    "TrainSettings",
    "Trainer",
    "UserError",
    "W1Estimator",
    "WassersteinGAN",
    "WorkError",
    "__version__",
    "certify",
    "evaluate_run",
    "exact_w1",
    "export_run",
    "open_export",
    "open_sampler",
    "open_source",
    "resume_run",
    "run_summary",
    "sliced_w1",
    "table_column_distances",
    "table_distance",
    "train_run",
    "w1",
    "w1_interval",
]

_HOMES = {
    "Callback": "wassergan.callbacks",
    "CallbackList": "wassergan.callbacks",
    "CompleteSettings": "wassergan.config.verbs",
    "EvaluateSettings": "wassergan.config.verbs",
    "Source": "wassergan.data",
    "TrainSettings": "wassergan.config.settings",
    "Trainer": "wassergan.training",
    "W1Estimator": "wassergan.distances",
    "WassersteinGAN": "wassergan.estimator.wasserstein_gan",
    "certify": "wassergan.lipschitz",
    "evaluate_run": "wassergan.runs.evaluate",
    "exact_w1": "wassergan.distances",
    "export_run": "wassergan.runs.export",
    "open_export": "wassergan.runs.export",
    "open_sampler": "wassergan.session.restore",
    "open_source": "wassergan.data",
    "resume_run": "wassergan.runs.train",
    "run_summary": "wassergan.session.run_content",
    "sliced_w1": "wassergan.distances",
    "table_column_distances": "wassergan.evaluation.datasets",
    "table_distance": "wassergan.evaluation.datasets",
    "train_run": "wassergan.runs.train",
    "w1": "wassergan.distances",
    "w1_interval": "wassergan.distances",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wassergan' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
