"""Callbacks of a run: the protocol, and TensorBoard and a bar as two that follow it."""

from wassergan.callbacks.callback import Callback, CallbackList
from wassergan.callbacks.progress_bar import ProgressBar
from wassergan.callbacks.tensorboard import TensorBoardCallback, tensorboard_installed

__all__ = ["Callback", "CallbackList", "ProgressBar", "TensorBoardCallback", "tensorboard_installed"]
