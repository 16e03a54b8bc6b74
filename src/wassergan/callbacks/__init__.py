"""Who is told how a run goes: the protocol, and TensorBoard and a bar as two that follow it."""

from wassergan.callbacks.callback import Observer, Observers
from wassergan.callbacks.progress_bar import BarObserver
from wassergan.callbacks.tensorboard import TensorBoardObserver, tensorboard_installed

__all__ = ["BarObserver", "Observer", "Observers", "TensorBoardObserver", "tensorboard_installed"]
