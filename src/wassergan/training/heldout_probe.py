"""What a trainer measures at a tick on samples that it was not trained on."""

import torch
from torch import nn

from wassergan.constraints import input_gradient_norms, points_between
from wassergan.data import Batch, Source
from wassergan.networks import SeriesDensityGenerator, TabularGenerator, evaluating
from wassergan.objectives import critic_gap
from wassergan.training.augment import UNCHANGED, Augmentation
from wassergan.training.batches import mapped
from wassergan.training.joint import SAMPLES, penalised
from wassergan.training.sampling import under
from wassergan.training.steps import packed, packed_batch, score_both
from wassergan.utils.rng import derived_rng

MEASURED_SAMPLES, MEASURED_NUMBERS = 512, 2**21  # at most; of volumes as many samples as hold so many numbers
LIKELY_SAMPLES, LIKELY_TOGETHER = 4096, 1024  # whose likelihood is measured: that of one differs much from another's


class HeldoutProbe:
    """The critic's gap between held-out and fake samples, and its gradient norms on segments between them.

    Args:
        source: of the held-out samples.
        latent_dim: numbers in a latent vector.
        pack: samples that the critic scores together.
        seed: of the choice of samples, and of the fakes: a stream of its own, so that training does not notice.
        device: of both networks.
        augmentation: of what the critic is given.
        penalty_on: what gradients are taken by.
    """

    def __init__(
        self,
        source: Source,
        *,
        latent_dim: int,
        pack: int,
        seed: int,
        device: torch.device,
        augmentation: Augmentation = UNCHANGED,
        penalty_on: str = SAMPLES,
    ) -> None:
        most = MEASURED_SAMPLES
        if len(source.shape) == 4:
            most = min(most, max(16, MEASURED_NUMBERS // source.shape_size))
        self._heldout = source.heldout_batch(source.heldout_positions(most, seed=seed))
        self._latent_dim, self._pack, self._seed, self._device = latent_dim, pack, seed, device
        self._augmentation, self._penalty_on = augmentation, penalty_on

    def packs(self, count: int) -> Batch:
        """So many packs of held-out samples as the critic is given them; of too few samples, some more than once."""
        return packed_batch(self._samples(count * self._pack), self._pack)

    def measure(self, generator: nn.Module, critic: nn.Module) -> dict[str, float]:
        """`critic_gap_heldout`, `gradient_norm_mean`, `gradient_norm_max`, in score units; changes neither network."""
        rng = derived_rng(self._seed, "measurement", device=self._device)
        held_out = self._samples(max(len(self._heldout.samples) // self._pack, 1) * self._pack)
        latent = torch.randn(len(held_out.samples), self._latent_dim, generator=rng, device=self._device)
        changed = held_out._replace(samples=self._augmentation.real(held_out.samples, rng))
        real, context = packed_batch(changed, self._pack)
        with torch.no_grad(), evaluating(generator), evaluating(critic):
            fake = packed(self._augmentation.both(generator(under(held_out.context, latent)), rng), self._pack)
            real_scores, fake_scores = score_both(critic, real, fake, context)
        with evaluating(critic):
            of, one, other = penalised(critic, context, self._penalty_on, real, fake)
            norms = input_gradient_norms(of, points_between(one, other, rng))
        return {
            "critic_gap_heldout": critic_gap(real_scores, fake_scores).item(),
            "gradient_norm_mean": norms.mean().item(),
            "gradient_norm_max": norms.max().item(),
        }

    def _samples(self, count: int) -> Batch:
        places = torch.arange(count) % len(self._heldout.samples)
        return mapped(self._heldout, lambda values: values[places].to(self._device, non_blocking=True))


class HeldoutLikelihood:
    """The likelihood of held-out samples, each column or step given the true ones before it; nothing is left out.

    Where training hides a part of what is given, so does this, the same at every measurement.

    Args:
        source: of the held-out samples.
        latent_dim: numbers in a latent vector.
        seed: of the choice of samples and of the latent vectors, which are the same at every measurement.
        device: of the generator.
    """

    def __init__(self, source: Source, *, latent_dim: int, seed: int, device: torch.device) -> None:
        batch = source.heldout_batch(source.heldout_positions(LIKELY_SAMPLES, seed=seed), whole=True)
        if source.context is not None and batch.context is not None and source.context.chances:
            rng = derived_rng(seed, "hidden of the likelihood")
            chances = torch.rand(len(batch.samples), source.context.chances, generator=rng)
            batch = batch._replace(context=source.context.hidden(batch.context, chances))
        self._heldout = batch
        self._latent_dim, self._seed, self._device = latent_dim, seed, device

    def measure(self, generator: nn.Module) -> dict[str, float]:
        """`negative_log_likelihood_heldout`, the mean over samples in nats; changes nothing."""
        assert isinstance(generator, TabularGenerator | SeriesDensityGenerator)
        rng, count = derived_rng(self._seed, "likelihood"), len(self._heldout.samples)
        latent = under(self._heldout.context, torch.randn(count, self._latent_dim, generator=rng))
        total = 0.0
        with torch.no_grad(), evaluating(generator):
            for inputs, some in zip(
                latent.split(LIKELY_TOGETHER), self._heldout.samples.split(LIKELY_TOGETHER), strict=True
            ):
                found = generator.log_likelihood(inputs.to(self._device), some.to(self._device))
                total -= found.double().sum().item()
        return {"negative_log_likelihood_heldout": total / count}
