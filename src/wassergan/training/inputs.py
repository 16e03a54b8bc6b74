"""What the steps of a turn are given: fresh real batches and fresh latents, from streams that can be saved."""

from typing import Any

import torch
from torch import Tensor

from wassergan.data import Batch, Source
from wassergan.training.batches import BatchStream, mapped
from wassergan.training.options import Batching
from wassergan.training.sampling import under
from wassergan.training.turn import Iteration
from wassergan.utils.rng import restore_rng, sharded_rng
from wassergan.utils.shard import WHOLE, BatchShard


class StepInputs:
    """Draws turns.

    Args:
        source: of the real samples.
        batching: samples per step, over all processes, and critic steps.
        latent_dim: numbers in a latent vector, drawn from N(0, 1).
        seed: of the order of the samples, and of the latents.
        device: that the steps are taken on.
        shard: which rows of each batch are drawn.
        further: numbers behind the generator's last latent vectors, for a second draw under the same conditions.

    Raises:
        UserError: the source holds too few samples.
    """

    def __init__(
        self,
        source: Source,
        batching: Batching,
        latent_dim: int,
        *,
        seed: int,
        device: torch.device,
        shard: BatchShard = WHOLE,
        further: int = 0,
    ) -> None:
        self._source = source
        self._batches = BatchStream(source, batching.batch_size, seed=seed, shard=shard, device=device)
        self._latent_rng = sharded_rng(seed, "latent", device=device, shard=shard)
        self._latent_shape = (batching.batch_size // shard.count, latent_dim)
        self._further = further
        self._critic_steps, self._seed, self._device = batching.critic_steps, seed, device
        self._shares_fakes = batching.share_fakes

    def draw(self) -> Iteration:
        """The next turn, on the device.

        Latents stand under the conditions of the real samples, the generator's under those of the last critic step,
        which has none of its own if both share their fakes.
        """
        batches = tuple(self._real() for _ in range(self._critic_steps))
        alone = batches[:-1] if self._shares_fakes else batches
        latents = [self._latent(context) for _, context in alone]
        last = self._latent(batches[-1].context)
        if self._further:
            last = torch.cat([last, self._latent_rng.normal_rows(self._latent_shape[0], self._further)], 1)
        return Iteration(batches, (*latents, last))

    def error_ahead(self) -> Exception | None:
        """The error with which the next turn cannot be drawn, found out before anything of its steps is done."""
        try:
            self._batches.require(self._critic_steps)
            self._source.require_same()  # after the reads: what was read before the change is what was read
        except Exception as error:  # whatever readers raise: the state is sound, and is saved first
            return error
        return None

    def state_dict(self) -> dict[str, Any]:
        """The position in the data and the random state."""
        return {"batches": self._batches.state_dict(), "latent_rng": self._latent_rng.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a trainer's state."""
        self._batches.load_state_dict(state["batches"])
        restore_rng(self._latent_rng, state["latent_rng"], self._seed, "latent", state["step"])

    def knows_streams(self, state: dict[str, Any]) -> bool:
        """Whether the random streams of a trainer's state go on here; those of another kind of device cannot."""
        return bool(state["latent_rng"].numel() == self._latent_rng.get_state().numel())

    def _real(self) -> Batch:
        return mapped(self._batches.draw(), lambda values: values.to(self._device, non_blocking=True))

    def _latent(self, context: Tensor | None) -> Tensor:
        return under(context, self._latent_rng.normal_rows(*self._latent_shape))
