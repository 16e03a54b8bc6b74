"""Requirements on every generator and critic, including the user's own modules; checked once, before training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from wassergan.errors import UserError, is_of_memory

Critic = Callable[[Tensor], Tensor]
_SQUASHING = (nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Hardtanh, nn.Softmax, nn.LogSigmoid, nn.Softsign)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, the former mode afterwards; running statistics and random numbers do not change."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def critic_given(critic: nn.Module, context: Tensor | None) -> Critic:
    """A critic as a function of the samples alone: their context is fixed, and a penalty does not perturb it.

    Args:
        critic: maps (n, ...), and (n, k) if there is a context, to n scores.
        context: of each sample, (n, k), or None.
    """
    return critic if context is None else lambda samples: critic(samples, context)


def check_critic(critic: nn.Module, samples: Tensor, context: Tensor | None = None) -> None:
    """Refuse a critic that squashes its score or does not give one score per sample.

    Args:
        critic: maps (n, ...), and (n, k) if there is a context, to (n,) or (n, 1).
        samples: at least 2 samples in model space, on the critic's device.
        context: of each, (n, k), if samples are drawn under conditions.

    Raises:
        UserError: with the reason.
    """
    leaves = [module for module in critic.modules() if not list(module.children())]
    if leaves and isinstance(leaves[-1], _SQUASHING):
        raise UserError(
            f"The critic ends in {type(leaves[-1]).__name__}, which squashes its score",
            hint="end it in a linear layer: a Wasserstein critic is no probability",
        )
    with evaluating(critic), torch.no_grad():
        scores = _applied("critic", critic_given(critic, context), samples, "samples of the data's shape")
    if scores.shape not in ((len(samples),), (len(samples), 1)):
        raise UserError(
            "The critic must give one score per sample",
            found=f"shape {tuple(scores.shape)} for {len(samples)} samples",
            hint="return the scores without averaging over the batch",
        )


def check_generator(generator: nn.Module, latent: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a generator whose samples do not have the shape of the data.

    Args:
        generator: maps (n, latent_dim) to (n, *shape).
        latent: at least 2 latent vectors, on the generator's device.
        shape: one sample in model space.

    Raises:
        UserError: with what it returned.
    """
    with evaluating(generator), torch.no_grad():
        samples = _applied("generator", generator, latent, "latent vectors (after conditions, if there are any)")
    if tuple(samples.shape) != (len(latent), *shape):
        raise UserError(
            "The generator's samples do not have the shape of the data",
            found=f"{tuple(samples.shape[1:])} instead of {shape}",
        )


def _applied(noun: str, network: Callable[[Tensor], Tensor], inputs: Tensor, what: str) -> Tensor:
    try:
        outputs = network(inputs)
    except (TypeError, IndexError, RuntimeError) as error:
        if is_of_memory(error) or isinstance(error, UserError):
            raise
        raise UserError(
            f"The {noun} cannot be applied to {what}", found=f"a batch of shape {tuple(inputs.shape)}: {error}"
        ) from error
    if not isinstance(outputs, Tensor):
        raise UserError(f"The {noun} must return a tensor", found=type(outputs).__name__)
    return outputs
