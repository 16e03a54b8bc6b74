"""Who is told how a run goes: the protocol, and TensorBoard as one that follows it."""

from wassergan.observers.observer import Observer, Observers
from wassergan.observers.tensorboard import TensorBoardObserver, tensorboard_installed

__all__ = ["Observer", "Observers", "TensorBoardObserver", "tensorboard_installed"]
