"""Statistics of batch normalisation for a generator whose weights were not trained with any: an average of weights."""

import math
from collections import Counter

import torch
from torch import Tensor, nn

from wassergan.data import Conditions
from wassergan.training.sampling import under
from wassergan.utils.rng import derived_rng

MOST_ROWS, FEWEST_ROWS = 512, 64
NUMBERS = 2**22  # in all samples that are drawn together


def batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The layers that normalise by running statistics in evaluation mode."""
    layers = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    return [layer for layer in layers if layer.running_mean is not None and layer.running_var is not None]


@torch.no_grad()
def calibrate_batch_norms(
    generator: nn.Module,
    shape: tuple[int, ...],
    *,
    latent_dim: int,
    seed: int,
    conditions: Conditions | None = None,
) -> None:
    """Replace the running statistics by those that the generator's own activations have, over one large batch.

    Running statistics belong to the weights they were gathered with. Averaged weights make activations of other means
    and smaller deviations. Source: Izmailov et al. 2018, arXiv 1803.05407, section 3.2.

    Args:
        generator: in evaluation mode; nothing but the statistics changes.
        shape: of a sample; large ones are drawn in smaller numbers.
        latent_dim: numbers in a latent vector.
        seed: of the latents and conditions.
        conditions: to draw under, if the generator was trained under some.
    """
    layers = batch_norms(generator)
    rows = max(FEWEST_ROWS, min(MOST_ROWS, NUMBERS // math.prod(shape)))
    context = None if conditions is None else conditions.vectors(0, rows, seed=seed)
    latent = torch.randn(rows, latent_dim, generator=derived_rng(seed, "batch norms"))
    uses: Counter[nn.Module] = Counter()

    def measure(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # In evaluation mode the layer then normalises by what it was just given, as it does in training.
        assert isinstance(layer, nn.modules.batchnorm._BatchNorm)
        assert layer.running_mean is not None and layer.running_var is not None
        uses[layer] += 1
        values = inputs[0].to(layer.running_mean.dtype).transpose(0, 1).flatten(1)
        layer.running_mean.lerp_(values.mean(1), 1 / uses[layer])
        layer.running_var.lerp_(values.var(1), 1 / uses[layer])

    hooks = [layer.register_forward_pre_hook(measure) for layer in layers]
    try:
        generator(under(context, latent).to(next(generator.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
