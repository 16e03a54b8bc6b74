"""Who is told how a run goes: the protocol, and TensorBoard and a bar as two that follow it."""

from wassergan.observers.bar import BarObserver
from wassergan.observers.observer import Observer, Observers
from wassergan.observers.tensorboard import TensorBoardObserver, tensorboard_installed

__all__ = ["BarObserver", "Observer", "Observers", "TensorBoardObserver", "tensorboard_installed"]
