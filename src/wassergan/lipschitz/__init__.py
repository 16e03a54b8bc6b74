"""Layers whose Lipschitz constant is known, and the certificate of a whole critic."""

from wassergan.lipschitz.activations import GroupSort, MaxMin
from wassergan.lipschitz.blocks import Averaged, Concatenated, Residual
from wassergan.lipschitz.certificate import Certificate, LayerBound, certify
from wassergan.lipschitz.convolution import AlmostOrthogonal, bound_convolution, convolution_bound
from wassergan.lipschitz.orthogonal import ORTHOGONALISERS, Orthogonal, orthogonalise
from wassergan.lipschitz.spectral import SpectralNorm, advance_spectral_norms, spectrally_normalise

__all__ = [
    "ORTHOGONALISERS",
    "AlmostOrthogonal",
    "Averaged",
    "Certificate",
    "Concatenated",
    "GroupSort",
    "LayerBound",
    "MaxMin",
    "Orthogonal",
    "Residual",
    "SpectralNorm",
    "advance_spectral_norms",
    "bound_convolution",
    "certify",
    "convolution_bound",
    "orthogonalise",
    "spectrally_normalise",
]
