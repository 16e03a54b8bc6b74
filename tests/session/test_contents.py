"""What a checkpoint holds against what its settings describe: our own are never refused, others before they cost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.config.presets import resolve
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data.codec import pixel_codec
from wassergan.errors import UserError
from wassergan.session.build import constraint_of, networks_of
from wassergan.session.contents import require_described

SHAPE = (1, 8, 8)


def described(network: str, constraint: str) -> ResolvedSettings:
    asked = TrainSettings(
        network=network, constraint=constraint, latent_dim=3, generator_widths=(5, 4), critic_widths=(6,), maps=3
    )
    return resolve(asked, shape=SHAPE, train_count=100)


def state_of(settings: ResolvedSettings, shape: tuple[int, ...] = SHAPE, given: tuple[int, ...] = ()) -> dict[str, Any]:
    generator, critic = networks_of(settings, shape, pixel_codec("NHW"), context_shape=given)
    constraint_of(settings).prepare(critic)
    return {"average": generator.state_dict(), "generator": generator.state_dict(), "critic": critic.state_dict()}


@pytest.mark.parametrize("network", ["mlp", "residual", "conv", "resnet"])
@pytest.mark.parametrize("constraint", ["clip", "lp", "sn", "orthogonal"])
def test_what_is_described_without_numbers_is_what_is_built_with_them(network: str, constraint: str) -> None:
    if (network, constraint) == ("resnet", "orthogonal"):
        pytest.skip("no certificate: refused before training")
    for settings in (described(network, constraint), replace(described(network, constraint), pack=2)):
        require_described(settings, SHAPE, pixel_codec("NHW"), state_of(settings))
        require_described(settings, SHAPE, pixel_codec("NHW"), state_of(settings, given=(2,)), given=(2,))


@pytest.mark.parametrize("part", ["average", "generator", "critic"])
def test_the_first_tensor_that_differs_is_named(part: str) -> None:
    settings = described("mlp", "lp")
    for spoil, found in (
        (lambda state: state.pop("body.0.bias"), f"no body.0.bias of the {part}"),
        (lambda state: state.update(extra=torch.zeros(1)), f"a extra of the {part}"),
        (lambda state: state.update({"body.0.bias": torch.zeros(7)}), f"body.0.bias of the {part} is 7 float32, not "),
        (lambda state: state.update({"body.0.bias": state["body.0.bias"].double()}), "float64, not "),
        (lambda state: state.update({"body.0.bias": 3}), f"body.0.bias of the {part} is a int, not "),
    ):
        state = state_of(settings)
        spoil(state[part])
        with pytest.raises(UserError, match="does not hold what its settings describe") as error:
            require_described(settings, SHAPE, pixel_codec("NHW"), state)
        assert found in str(error.value)


@pytest.mark.parametrize(
    "shape",
    [(400, 20, 20), (60, 10, 10, 3), (60, 300), (60, 257), (60, 511)],
    ids=lambda shape: "x".join(map(str, shape)),
)
def test_a_default_run_on_257_to_511_numbers_reads_its_own_checkpoint(
    cli: Callable[..., Any], tmp_path: Path, quick_figures: None, shape: tuple[int, ...]
) -> None:
    rows = np.random.default_rng(0).integers(0, 256, shape)
    np.save(tmp_path / "rows.npy", rows.astype(np.uint8 if len(shape) == 3 else np.float32))
    run = tmp_path / "run"
    sized = () if len(rows) > 300 else ("--batch-size", 8)
    train = cli("train", tmp_path / "rows.npy", "--steps", 1, "--out", run, "--no-tensorboard", *sized)
    assert train.code == 0, train.err
    for verb in (("sample", run, "--out", tmp_path / "drawn.npy"), ("resume", run, "--steps", 2)):
        said = cli(*verb)
        assert said.code == 0, said.err
    assert np.load(tmp_path / "drawn.npy").shape == (64, *shape[1:])


def test_pictures_may_be_larger_than_all_weights_of_their_convolutions() -> None:
    shape = (1, 40, 40)
    asked = TrainSettings(network="conv", constraint="lp", latent_dim=1, maps=1)
    settings = resolve(asked, shape=shape, train_count=100)
    state = state_of(settings, shape)
    assert all(sum(each.numel() for each in state[part].values()) < 40 * 40 for part in state)
    require_described(settings, shape, pixel_codec("NHW"), state)


def test_margins_of_older_checkpoints_are_believed() -> None:
    settings = replace(described("mlp", "lp"), match_margins=True)
    state = state_of(settings)
    for part in ("average", "generator"):
        del state[part]["head.tails"]
    require_described(settings, SHAPE, pixel_codec("NHW"), state)
    del state["average"]["head.targets"]
    with pytest.raises(UserError, match="does not hold what its settings describe"):
        require_described(settings, SHAPE, pixel_codec("NHW"), state)
