"""A classifier between training samples and draws, and what it says of the ratio of their densities."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from wassergan.data import Batch
from wassergan.networks import critic_given, evaluating
from wassergan.sampling.refinement import RatioEstimate
from wassergan.training.batches import mapped
from wassergan.training.optimizers import FusedAdam

HELD_SHARE = 0.2  # of either side, by which the best weights are chosen, and its line is fitted
BATCH, RATE, MOST_STEPS, LOOKS = 128, 5e-4, 2000, 20
MOST_ROUNDS = 40  # that few samples are gone through
PATIENCE = 5  # looks without a better one
RIDGE = 1e-3
SMALLEST_GAIN = 1e-3  # nats per sample, against a classifier that says ½ of all


def trained_ratio(classifier: nn.Module, real: Batch, fake: Batch, *, seed: int) -> RatioEstimate:
    """Teach a network to tell real samples from draws, by the logistic loss; its logit is then log p / q.

    A fifth of the samples on either side is kept apart. On them the best weights are chosen, and a line of the score
    is fitted, as far as it foretells which is which (Platt 1999); else the ratio is 1 everywhere.

    Args:
        classifier: samples, and conditions if there are any, to scores; is trained.
        real: training samples in model space.
        fake: as many draws, as they are handed out, under conditions of the same distribution.
        seed: of the batches and the choice of what is kept apart.
    """
    rng = torch.Generator().manual_seed(seed)
    device = next(classifier.parameters()).device
    real, held_real = _parted(real, rng, device)
    fake, held_fake = _parted(fake, rng, device)
    held_scores = _train(classifier, real, fake, held_real, held_fake, rng)
    labels = torch.cat([torch.ones(len(held_real.samples)), torch.zeros(len(held_fake.samples))]).double()
    slope, intercept = _line(held_scores, labels)
    return RatioEstimate(classifier.eval(), slope, intercept, _auc(held_scores, labels))


def _parted(batch: Batch, rng: torch.Generator, device: torch.device) -> tuple[Batch, Batch]:
    count = len(batch.samples)
    order = torch.randperm(count, generator=rng)
    held = max(1, int(HELD_SHARE * count))

    def at(rows: Tensor) -> Batch:
        return mapped(batch, lambda values: values[rows].to(device))

    return at(order[held:]), at(order[:held])


def _train(
    classifier: nn.Module, real: Batch, fake: Batch, held_real: Batch, held_fake: Batch, rng: torch.Generator
) -> Tensor:
    """Leave the best weights in the classifier; the scores of what was kept apart, real samples first."""
    optimizer = FusedAdam(classifier.parameters(), lr=RATE, betas=(0.9, 0.999))
    count = min(len(real.samples), len(fake.samples))
    size = min(BATCH, count)
    steps = min(MOST_STEPS, max(LOOKS, MOST_ROUNDS * count // size))
    best, waited, weights, scores = float("inf"), 0, _copied(classifier), torch.zeros(0)
    for step in range(steps):
        optimizer.lr = RATE * (1 - step / steps)
        optimizer.zero_grad(set_to_none=True)
        sides = [_some(side, size, rng) for side in (real, fake)]
        with torch.enable_grad():
            of_real, of_fake = (critic_given(classifier, side.context)(side.samples).flatten() for side in sides)
            loss = functional.softplus(-of_real).mean() + functional.softplus(of_fake).mean()
            loss.backward()
        optimizer.step()
        if (step + 1) % max(1, steps // LOOKS) == 0:
            told = torch.cat([_scores(classifier, side) for side in (held_real, held_fake)])
            both = told.split([len(held_real.samples), len(held_fake.samples)])
            error = float(functional.softplus(-both[0]).mean() + functional.softplus(both[1]).mean())
            waited += 1
            if error < best:
                best, waited, weights, scores = error, 0, _copied(classifier), told
            if waited >= PATIENCE:
                break
    classifier.load_state_dict(weights)
    return scores if len(scores) else torch.cat([_scores(classifier, side) for side in (held_real, held_fake)])


def _some(side: Batch, size: int, rng: torch.Generator) -> Batch:
    rows = torch.randint(len(side.samples), (size,), generator=rng).to(side.samples.device)
    return mapped(side, lambda values: values[rows])


def _scores(classifier: nn.Module, side: Batch) -> Tensor:
    found = []
    with torch.no_grad(), evaluating(classifier):
        for rows in torch.arange(len(side.samples)).split(1024):
            some = mapped(side, partial(torch.index_select, dim=0, index=rows.to(side.samples.device)))
            found.append(critic_given(classifier, some.context)(some.samples).flatten().double().cpu())
    return torch.cat(found)


def _copied(module: nn.Module) -> Mapping[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _line(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """Slope and intercept of the logit, by Newton's steps with a little ridge; 0 and 0 where that gains nothing."""
    inputs = torch.stack([scores, torch.ones_like(scores)], 1)
    weights = torch.where(labels > 0, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())  # as if both were as many
    line = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for _ in range(50):
        chance = torch.sigmoid(inputs @ line)
        gradient = inputs.T @ (weights * (chance - labels)) + RIDGE * (line - torch.tensor([1.0, 0.0])) / len(labels)
        curvature = (inputs * (weights * chance * (1 - chance))[:, None]).T @ inputs + 1e-9 * torch.eye(2)
        step = torch.linalg.solve(curvature.double(), gradient)
        line = line - step.clamp(-1, 1)
        if step.abs().max() < 1e-9:
            break
    logits = inputs @ line
    error = (weights * functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")).sum()
    useless = not bool(line.isfinite().all()) or line[0] <= 0 or error > 0.6931471805599453 - SMALLEST_GAIN
    return (0.0, 0.0) if useless else (float(line[0]), float(line[1]))


def _auc(scores: Tensor, labels: Tensor) -> float:
    """The chance that a real sample scores higher than a draw; ties count half."""
    _, places, counts = scores.unique(return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[places]
    real = float(labels.sum())
    return (float(ranks[labels > 0].sum()) - real * (real + 1) / 2) / (real * (len(labels) - real))
