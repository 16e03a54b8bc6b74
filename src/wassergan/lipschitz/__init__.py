"""Layers whose Lipschitz constant is known, and the certificate of a whole critic."""

from wassergan.lipschitz.activations import GroupSort as GroupSort
from wassergan.lipschitz.activations import MaxMin as MaxMin
from wassergan.lipschitz.blocks import Averaged as Averaged
from wassergan.lipschitz.blocks import Concatenated as Concatenated
from wassergan.lipschitz.blocks import Residual as Residual
from wassergan.lipschitz.certificate import Certificate as Certificate
from wassergan.lipschitz.certificate import LayerBound as LayerBound
from wassergan.lipschitz.certificate import certify as certify
from wassergan.lipschitz.convolution import AlmostOrthogonal as AlmostOrthogonal
from wassergan.lipschitz.convolution import bound_convolution as bound_convolution
from wassergan.lipschitz.convolution import convolution_bound as convolution_bound
from wassergan.lipschitz.orthogonal import ORTHOGONALISERS as ORTHOGONALISERS
from wassergan.lipschitz.orthogonal import Orthogonal as Orthogonal
from wassergan.lipschitz.orthogonal import orthogonalise as orthogonalise
from wassergan.lipschitz.spectral import SpectralNorm as SpectralNorm
from wassergan.lipschitz.spectral import advance_spectral_norms as advance_spectral_norms
from wassergan.lipschitz.spectral import spectrally_normalise as spectrally_normalise
