"""WassersteinGAN: fit, sample, score, save and load, for notebooks and scikit-learn."""

from wassergan.estimator.wasserstein_gan import WassersteinGAN

__all__ = ["WassersteinGAN"]
