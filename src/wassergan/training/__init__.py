"""The training loop and what it leaves on disk."""

from wassergan.training.calls import require_same_call
from wassergan.training.cuda_graphs import CudaRecorder
from wassergan.training.distributed import SINGLE_PROCESS, DistributedContext, launched, open_processes
from wassergan.training.divergence import DivergedError, divergence_in
from wassergan.training.gaps import match_gaps
from wassergan.training.optimizers import OptimizerSettings, lr_schedule
from wassergan.training.options import Averaging, Execution, Likelihood, Optimization
from wassergan.training.sampling import SAMPLING_CHUNK, sample_chunks, under
from wassergan.training.trainer import Trainer
from wassergan.training.two_point import TwoPoint, products_along

__all__ = [
    "SAMPLING_CHUNK",
    "SINGLE_PROCESS",
    "Averaging",
    "CudaRecorder",
    "DistributedContext",
    "DivergedError",
    "Execution",
    "Likelihood",
    "Optimization",
    "OptimizerSettings",
    "Trainer",
    "TwoPoint",
    "divergence_in",
    "launched",
    "lr_schedule",
    "match_gaps",
    "open_processes",
    "products_along",
    "require_same_call",
    "sample_chunks",
    "under",
]
