"""Augmentation against loops over pixels, against autograd, over a resume, in two processes and on a tape."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wassergan.data import Source
from wassergan.errors import UserError
from wassergan.training import DistributedContext, Trainer
from wassergan.training.augment import OPERATIONS, Augmentation, augmentation_of, mirrored
from wassergan.utils.rng import uniform_rows

MakeTrainer = Callable[..., Trainer]
ALL = Augmentation(("translate", "cutout", "color", "mirror"), mirrors_data=True)
NEVER = lambda step: False  # noqa: E731


def whole(count: int, number: float) -> int:
    return min(int(number * count), count - 1)


def by_loops(name: str, picture: np.ndarray, numbers: Iterator[float]) -> np.ndarray:
    """One picture (C, H, W) as the paper's code changes it, pixel by pixel."""
    channels, height, width = picture.shape
    changed = np.zeros_like(picture)
    if name == "color":
        changed = picture + next(numbers) - 0.5
        if channels > 1:
            grey = changed.mean(0)
            changed = grey + (changed - grey) * 2 * next(numbers)
        level = changed.mean()
        return level + (changed - level) * (next(numbers) + 0.5)
    if name == "translate":
        down, right = (
            whole(2 * int(side / 8 + 0.5) + 1, next(numbers)) - int(side / 8 + 0.5) for side in (height, width)
        )
        for row in range(height):
            for column in range(width):
                if 0 <= row - down < height and 0 <= column - right < width:
                    changed[:, row, column] = picture[:, row - down, column - right]
        return changed
    if name == "cutout":
        sizes = [int(side / 2 + 0.5) for side in (height, width)]
        centres = [whole(side + 1 - size % 2, next(numbers)) for side, size in zip((height, width), sizes, strict=True)]
        for row in range(height):
            for column in range(width):
                inside = all(
                    centre - size // 2 <= place < centre - size // 2 + size
                    for place, centre, size in zip((row, column), centres, sizes, strict=True)
                )
                changed[:, row, column] = 0 if inside else picture[:, row, column]
        return changed
    return picture[:, :, ::-1] if next(numbers) < 0.5 else picture


@given(
    name=st.sampled_from(sorted(OPERATIONS)),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 19), st.integers(1, 19)),
    seed=st.integers(0, 2**31),
)
def test_each_operation_changes_every_picture_as_loops_over_its_pixels_do(
    name: str, shape: tuple[int, ...], seed: int
) -> None:
    pictures = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))
    rng, again = (torch.Generator().manual_seed(seed) for _ in range(2))
    found = OPERATIONS[name](pictures, rng)
    drawn = torch.stack([uniform_rows(again, pictures).flatten() for _ in range(3)])
    for picture, changed, numbers in zip(pictures.numpy(), found.numpy(), drawn.T.tolist(), strict=True):
        np.testing.assert_allclose(changed, by_loops(name, picture, iter(numbers)), atol=1e-12)


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_pass_through_every_operation(name: str) -> None:
    pictures = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: OPERATIONS[name](x, torch.Generator().manual_seed(3)), [pictures])


def test_pictures_of_a_batch_are_changed_each_in_its_own_way_and_real_ones_like_fake_ones() -> None:
    pictures = torch.randn(1, 3, 12, 12).expand(64, -1, -1, -1)
    for name, operation in OPERATIONS.items():
        changed = operation(pictures, torch.Generator().manual_seed(0))
        assert len(changed.flatten(1).unique(dim=0)) > 1, name
    rngs = [torch.Generator().manual_seed(5) for _ in range(2)]
    once = Augmentation(("translate", "color"))
    assert torch.equal(once.real(pictures, rngs[0]), once.both(pictures, rngs[1]))
    assert not Augmentation() and torch.equal(Augmentation().real(pictures, rngs[0]), pictures)


def test_mirrored_data_are_flipped_half_of_the_time_and_fakes_never() -> None:
    pictures = torch.arange(4.0).expand(4000, 1, 2, 4)
    only = Augmentation(mirrors_data=True)
    real = only.real(pictures, torch.Generator().manual_seed(0))
    flipped = (real == pictures.flip(3)).flatten(1).all(1)
    assert ((real == pictures).flatten(1).all(1) ^ flipped).all() and 1850 < int(flipped.sum()) < 2150
    assert torch.equal(only.both(pictures, torch.Generator()), pictures)


def weights(trainer: Trainer) -> dict[str, Tensor]:
    networks = {"generator": trainer.generator, "critic": trainer.critic, "average": trainer.averaged_generator}
    return {
        f"{owner}.{name}": value.clone()
        for owner, network in networks.items()
        for name, value in network.state_dict().items()
    }


@pytest.mark.parametrize("network", ["mlp", "conv", "resnet"])
def test_a_resumed_training_is_the_one_that_was_not_stopped_bit_for_bit(
    make_trainer: MakeTrainer, network: str
) -> None:
    def make() -> Trainer:
        return make_trainer(network=network, augmentation=ALL, pack=2)

    unbroken, half = make(), make()
    unbroken.train(steps=8, tick_due=NEVER)
    half.train(steps=4, tick_due=lambda step: step == 3, on_tick=lambda trainer: trainer.read_statistics() and None)  # type: ignore[arg-type]
    rest = make()
    rest.load_state_dict(half.state_dict())
    rest.train(steps=8, tick_due=NEVER)
    torch.testing.assert_close(weights(rest), weights(unbroken), rtol=0, atol=0)
    plain = make_trainer(network=network, pack=2)
    plain.train(steps=8, tick_due=NEVER)
    assert any(not torch.equal(each, weights(plain)[name]) for name, each in weights(rest).items())


@pytest.mark.parametrize(("network", "constraint"), [("mlp", "lp"), ("conv", "gp"), ("conv", "clip")])
def test_closed_forms_and_autograd_take_the_same_steps(
    float64: None, double_source: Callable[[], Source], make_trainer: MakeTrainer, network: str, constraint: str
) -> None:
    trainers = [
        make_trainer(source=double_source(), network=network, constraint=constraint, augmentation=ALL) for _ in range(2)
    ]
    assert trainers[0]._runner._closed_form is not None
    trainers[1]._runner._closed_form = None
    for trainer in trainers:
        trainer.train(steps=4, tick_due=NEVER)
    torch.testing.assert_close(weights(trainers[0]), weights(trainers[1]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_two_processes_at_half_the_batch_are_one_at_the_whole(
    spawn: Callable[..., list[Any]],
    float64: None,
    double_source: Callable[[], Source],
    make_trainer: MakeTrainer,
    network: str,
) -> None:
    def train(processes: DistributedContext) -> dict[str, np.ndarray]:
        source = double_source()
        trainer = make_trainer(source=source, network=network, augmentation=ALL, processes=processes)
        trainer.train(steps=4, tick_due=NEVER)
        return {name: value.numpy() for name, value in weights(trainer).items()}

    alone = train(DistributedContext())
    for each in spawn(train):
        for name, value in each.items():
            np.testing.assert_allclose(value, alone[name], rtol=0, atol=1e-6, err_msg=name)


def test_what_the_critic_measures_at_a_tick_is_of_augmented_samples(make_trainer: MakeTrainer) -> None:
    """A critic that sums what it is shown sees less of pictures of which a quarter is cut out."""
    rng = torch.Generator().manual_seed(0)
    bright = torch.full((512, 1, 8, 8), 1.0)
    cut = Augmentation(("cutout",)).both(bright, rng)
    assert 0.72 < float(cut.mean()) < 0.88  # the box is a quarter, less where it hangs over the edge
    plain, changed = make_trainer(), make_trainer(augmentation=Augmentation(("cutout",)))
    found = [each.read_statistics()["critic_gap_heldout"] for each in (plain, changed)]
    assert found[0] != found[1]


def test_names_and_samples_that_do_not_suit_are_refused() -> None:
    assert augmentation_of("none", shape=(4,)) == Augmentation()
    assert augmentation_of("translate, mirror", shape=(1, 8, 8)).operations == ("translate", "mirror")
    with pytest.raises(UserError, match=r"augmentation.*'blur'"):
        augmentation_of("blur", shape=(1, 8, 8), channels=1)
    with pytest.raises(UserError, match="for pictures and fields.*mirror=True"):
        augmentation_of("none", mirror=True, shape=(4,))
    with pytest.raises(UserError, match="Colours are changed in pictures alone"):
        augmentation_of("color", shape=(1, 8, 8))


def test_flips_are_their_own_inverse() -> None:
    pictures = torch.randn(16, 2, 3, 5)
    twice = mirrored(mirrored(pictures, torch.Generator().manual_seed(1)), torch.Generator().manual_seed(1))
    assert torch.equal(twice, pictures)


def test_the_critic_is_given_real_and_fake_changed_alike(make_trainer: MakeTrainer) -> None:
    """A box of zeros stands in each: eight-bit levels are never 0 in model space, and tanh hardly ever is."""
    seen: list[Tensor] = []
    trainer = make_trainer(augmentation=Augmentation(("cutout",)))
    trainer._runner._closed_form = None
    trainer.critic.register_forward_hook(lambda module, given, out: seen.append(given[0].detach().clone()))
    trainer.train(steps=1, tick_due=NEVER)
    scored = [each for each in seen[:-1] if len(each) == 16]  # real and fake together
    assert scored
    for both in scored:
        assert ((both == 0).flatten(1).sum(1) >= 4).all()


def test_the_generator_is_taught_through_the_changes(make_trainer: MakeTrainer) -> None:
    """Where every fake is cut out completely, there is nothing to learn from."""
    trainer = make_trainer(augmentation=Augmentation(("cutout",)))
    before = {name: value.clone() for name, value in trainer.generator.state_dict().items()}
    whole = {"cutout": lambda pictures, rng: pictures * 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wassergan.training.augment.OPERATIONS", whole)
        trainer.train(steps=2, tick_due=NEVER)
    torch.testing.assert_close(dict(trainer.generator.state_dict()), before, rtol=0, atol=0)
