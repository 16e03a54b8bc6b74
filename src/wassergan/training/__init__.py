"""The training loop and what it leaves on disk."""

from wassergan.training.checkpoint import Checkpoints, load_checkpoint, save_checkpoint
from wassergan.training.optimizers import OptimizerSettings, rate_schedule
from wassergan.training.runlog import RunLog, read_log
from wassergan.training.trainer import Trainer, sample_chunks

__all__ = [
    "Checkpoints",
    "OptimizerSettings",
    "RunLog",
    "Trainer",
    "load_checkpoint",
    "rate_schedule",
    "read_log",
    "sample_chunks",
    "save_checkpoint",
]
