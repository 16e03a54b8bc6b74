"""Spectral normalisation that stays fixed between optimiser steps."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

WARM_UP_ITERATIONS = 200  # 50 leave σ up to 3 % short on random square matrices, 200 half a per cent
ITERATIONS_PER_STEP = 3  # one, as in the paper, lets σ drift by 3 % at a learning rate of 1e-2


class SpectralNorm(nn.Module):
    """Parametrisation W ↦ W / σ(W), where σ = uᵀ W v and W is seen as the matrix (out, rest).

    u and v are buffers. They move only in `advance`, never in forward: two forward passes of one step use the
    same weight, and evaluation leaves the buffers alone. Source: Miyato et al. 2018, arXiv 1802.05957, algorithm 1.
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        # A fixed start: power iteration does not depend on it, and building a network draws no random number for it.
        start = normalize(matrix.sum(dim=0) + matrix[0], dim=0)
        self.register_buffer("right", start)
        self.register_buffer("left", normalize(matrix @ start, dim=0))
        self.advance(weight, iterations=0 if weight.is_meta else WARM_UP_ITERATIONS)

    def forward(self, weight: Tensor) -> Tensor:
        """Divide by σ, in full precision; the gradient reaches the weight through σ too."""
        with torch.autocast(weight.device.type, enabled=False):
            # Copies, since a later `advance` writes in place while an older graph may still need these values.
            sigma = torch.dot(self.left.clone(), weight.flatten(1) @ self.right.clone())
            return weight / sigma

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Assigning a weight stores it unnormalised."""
        return weight

    @torch.no_grad()
    def advance(self, weight: Tensor, *, iterations: int = 1) -> None:
        """Power iterations on the unnormalised weight, in place."""
        matrix = weight.flatten(1)
        for _ in range(iterations):
            normalize(matrix.mT @ self.left, dim=0, out=self.right)
            normalize(matrix @ self.right, dim=0, out=self.left)


def spectrally_normalise(network: nn.Module) -> None:
    """Parametrise every linear and convolution weight that is not parametrised yet, in place."""
    for module in list(network.modules()):
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) and not parametrize.is_parametrized(
            module
        ):
            # `unsafe` skips a trial pass, which the meta device cannot run.
            parametrize.register_parametrization(
                module, "weight", SpectralNorm(module.weight), unsafe=module.weight.is_meta
            )


def advance_spectral_norms(network: nn.Module) -> None:
    """Update σ for every spectrally normalised weight of the network."""
    for module in network.modules():
        if isinstance(module, parametrize.ParametrizationList):
            for step in module:
                if isinstance(step, SpectralNorm):
                    step.advance(module.original, iterations=ITERATIONS_PER_STEP)
