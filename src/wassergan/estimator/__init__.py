"""WassersteinGAN: fit, sample, score, save and load, for notebooks and scikit-learn.

It is imported when first used: scikit-learn's base classes load scipy.stats and pandas, which takes seconds.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wassergan.estimator.wasserstein_gan import WassersteinGAN

__all__ = ["WassersteinGAN"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'wassergan.estimator' has no attribute '{name}'")
    from wassergan.estimator.wasserstein_gan import WassersteinGAN

    globals()[name] = WassersteinGAN
    return WassersteinGAN


def __dir__() -> list[str]:
    return sorted(__all__)
