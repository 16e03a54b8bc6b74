"""Training under conditions, and critics that score packs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wassergan.constraints import CONSTRAINTS, get_constraint
from wassergan.data import Source, open_source
from wassergan.errors import UserError
from wassergan.networks import critic_given
from wassergan.training import Trainer, sample_chunks
from wassergan.training.steps import packed

CONSTRAINED = [name for name in CONSTRAINTS if name != "none"]


def labelled(shape: tuple[int, ...] = (1, 8, 8), count: int = 60) -> Source:
    """Pictures or vectors with a label of three levels, which is the row's number modulo 3."""
    numbers = np.random.default_rng(0)
    pictures = numbers.integers(0, 256, (count, *shape), dtype=np.uint8)
    vectors = numbers.normal(size=(count, *shape)).astype(np.float32)
    options: dict[str, Any] = {"layout": "NCHW"} if len(shape) == 3 else {}
    return open_source(pictures if len(shape) == 3 else vectors, labels=[i % 3 for i in range(count)], **options)


class Noting(nn.Module):
    """Keeps what it is given."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.seen = inner, []  # type: ignore[var-annotated]

    def forward(self, *given: Tensor) -> Tensor:
        self.seen.append(tuple(each.detach().clone() for each in given))
        result: Tensor = self.inner(*given)
        return result


@pytest.mark.parametrize(
    ("network", "constraint", "told"),
    [
        *((network, constraint, "concat") for network in ("mlp", "conv", "resnet") for constraint in CONSTRAINED),
        *(("conv", constraint, "projection") for constraint in ("lp", "gp", "r1r2", "clip")),
    ],
)
def test_every_network_trains_under_conditions_and_resumes_bit_for_bit(
    make_trainer: Callable[..., Trainer], network: str, constraint: str, told: str
) -> None:
    if network == "resnet" and constraint == "orthogonal":
        pytest.skip("a residual network has no certificate")
    parts: dict[str, Any] = {"network": network, "constraint": constraint, "critic_condition": told}
    whole, half, rest = (make_trainer(source=labelled(), critic_norm="none", **parts) for _ in range(3))
    before = [parameter.clone() for parameter in whole.generator.parameters()]
    whole.train(steps=4, tick_due=lambda step: False)
    half.train(steps=2, tick_due=lambda step: False)
    rest.load_state_dict(half.state_dict())
    rest.train(steps=4, tick_due=lambda step: False)
    for ours, theirs in zip(whole.generator.parameters(), rest.generator.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert any(not torch.equal(a, b) for a, b in zip(before, whole.generator.parameters(), strict=True))
    record = whole.read_statistics()
    assert np.isfinite([record["critic_gap_heldout"], record["gradient_norm_mean"]]).all()


def test_fakes_are_drawn_and_scored_under_the_conditions_of_the_real_samples(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(source=labelled((4,)), constraint="clip", batch_size=6, critic_steps=2)
    steps = trainer._runner
    steps.generator = generator = Noting(trainer.generator)
    steps.critic = critic = Noting(trainer.critic)
    steps._closed_form = None  # through the critic's own forward pass
    drawn = []
    draw = trainer._inputs._batches.draw
    monkeypatch.setattr(trainer._inputs._batches, "draw", lambda: drawn.append(draw()) or drawn[-1])  # type: ignore[func-returns-value]
    trainer.train(steps=1, tick_due=lambda step: False)
    generator_inputs = [each for (each,) in generator.seen]
    contexts = [batch.context for batch in drawn]
    assert torch.equal(generator_inputs[0][:, :3], torch.cat(contexts))  # type: ignore[arg-type]  # both critic steps in one pass
    assert torch.equal(generator_inputs[1][:, :3], contexts[-1])  # type: ignore[arg-type]
    for (samples, told), batch in zip(critic.seen[:2], drawn, strict=True):
        assert torch.equal(samples[:6], batch.samples)
        assert torch.equal(told, torch.cat([batch.context, batch.context]))  # type: ignore[list-item]
    assert torch.equal(critic.seen[2][1], contexts[-1])  # type: ignore[arg-type]
    assert len({tuple(latent.tolist()) for inputs in generator_inputs for latent in inputs[:, 3:]}) == 18


def test_samples_follow_their_conditions_and_hang_on_seed_and_number_alone() -> None:
    source = labelled((4,))

    class Telling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs[:, :3]

    def drawn(count: int, seed: int) -> Tensor:
        chunks = sample_chunks(Telling().eval(), count, latent_dim=2, seed=seed, conditions=source.conditions)
        return torch.cat(list(chunks))

    assert source.conditions is not None
    assert torch.equal(drawn(1500, 1), source.conditions.vectors(0, 1500, seed=1))
    assert torch.equal(drawn(1100, 1), drawn(1500, 1)[:1100])
    assert not torch.equal(drawn(1100, 1), drawn(1100, 2))


@pytest.mark.parametrize("network", ["mlp", "conv", "resnet"])
def test_a_critic_scores_the_same_samples_by_their_conditions(
    make_trainer: Callable[..., Trainer], network: str
) -> None:
    trainer = make_trainer(source=labelled(), network=network, critic_norm="none")
    samples = torch.randn(2, 1, 8, 8)
    first, second = (critic_given(trainer.critic, torch.eye(3)[[level, level]])(samples) for level in (0, 1))
    assert not torch.allclose(first, second)


def test_packs_lie_side_by_side() -> None:
    assert packed(torch.arange(8.0).view(4, 2), 2).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    pictures = torch.arange(4 * 2 * 3 * 3).view(4, 2, 3, 3)
    assert torch.equal(packed(pictures, 2)[1], torch.cat([pictures[2], pictures[3]]))


@pytest.mark.parametrize("shape", [(4,), (1, 8, 8)])
@pytest.mark.parametrize("source_of", ["plain", "labelled"])
def test_a_critic_of_packs_sees_so_many_samples_at_once(
    make_trainer: Callable[..., Trainer], make_source: Callable[..., Source], shape: tuple[int, ...], source_of: str
) -> None:
    source = labelled(shape) if source_of == "labelled" else make_source(shape)
    trainer = make_trainer(source=source, constraint="clip", batch_size=6, critic_steps=1, pack=3)
    trainer._runner.critic = critic = Noting(trainer.critic)
    trainer._runner._closed_form = None
    trainer.train(steps=1, tick_due=lambda step: False)
    first, *_ = critic.seen
    assert first[0].shape == (4, 3 * shape[0], *shape[1:])  # two packs of real samples, two of fakes
    assert len(first) == (2 if source_of == "labelled" else 1)
    if source_of == "labelled":
        assert first[1].shape == (4, 9)


def test_the_penalty_of_a_pack_is_that_of_the_packed_critic(make_trainer: Callable[..., Trainer]) -> None:
    """A linear critic on packs of two has slope ‖(w, w)‖ = √2 ‖w‖."""
    weight = torch.tensor([3.0, 4.0])
    critic = nn.Linear(4, 1)
    critic.weight.data = torch.cat([weight, weight])[None]
    real, fake = torch.randn(6, 2), torch.randn(6, 2)
    penalty = get_constraint("gp", penalty_weight=1.0).penalty(
        critic, packed(real, 2), packed(fake, 2), torch.Generator().manual_seed(0)
    )
    assert penalty.item() == pytest.approx((50**0.5 - 1) ** 2, rel=1e-5)


def test_a_batch_that_cannot_be_packed_is_refused(make_trainer: Callable[..., Trainer]) -> None:
    with pytest.raises(UserError, match="cannot be cut into packs: 8 samples per process in packs of 3"):
        make_trainer(pack=3)


def test_measurements_take_whole_packs(
    make_trainer: Callable[..., Trainer], make_source: Callable[..., Source]
) -> None:
    trainer = make_trainer(source=make_source((4,), count=50), pack=4)  # 5 held out: one pack of them
    assert np.isfinite(trainer.read_statistics()["critic_gap_heldout"])
    few = make_trainer(source=make_source((4,), count=20), pack=4)  # 2 held out: both twice
    assert np.isfinite(few.read_statistics()["critic_gap_heldout"])
