"""Wasserstein GANs for pictures, arrays and tables, with Wasserstein numbers that carry their guarantee."""

from wassergan.errors import UserError

__version__ = "0.1.0"

__all__ = ["UserError", "__version__"]
