"""Runs whose critic is told conditions by the weights of its last layer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import Source, open_source
from wassergan.errors import UserError
from wassergan.modality.recipes import resolve_for
from wassergan.networks import ConvCritic, MLPCritic, ProjectionCritic
from wassergan.runs.train import resume_run, train_run
from wassergan.session import build
from wassergan.session.restore import open_sampler


def labelled_pictures(*shape: int) -> tuple[np.ndarray[Any, Any], list[int]]:
    """Pictures of three labels; the label is a bright column."""
    pictures = np.random.default_rng(0).integers(0, 60, (60, *shape), np.uint8)
    labels = [row % 3 for row in range(60)]
    for picture, label in zip(pictures, labels, strict=True):
        picture[:, label] = 255
    return pictures, labels


def labelled(*shape: int) -> Source:
    pictures, labels = labelled_pictures(*shape)
    return open_source(pictures, labels=labels)


def critic_of(source: Source, **asked: Any) -> Any:
    return build.build_trainer(resolve_for(TrainSettings(batch_size=8, **asked), source), source).critic


def test_the_recipe_for_pictures_projects_where_there_are_conditions_and_a_penalty() -> None:
    assert isinstance(critic_of(labelled(12, 12)), ProjectionCritic)
    assert isinstance(critic_of(labelled(12, 12), constraint="gp"), ProjectionCritic)
    assert isinstance(critic_of(labelled(12, 12), penalty_on="both"), ProjectionCritic)
    unlabelled = open_source(np.random.default_rng(0).integers(0, 255, (60, 12, 12), np.uint8))
    assert isinstance(critic_of(unlabelled), ConvCritic)
    # Where the constraint is on the weights, or in recipes of others, the condition stands beside the picture.
    for asked in ({"constraint": "sn"}, {"constraint": "clip"}, {"preset": "wgan-gp"}, {"critic_condition": "concat"}):
        assert isinstance(critic_of(labelled(12, 12), **asked), ConvCritic), asked
    assert isinstance(critic_of(labelled(8, 8)), MLPCritic)


@pytest.mark.parametrize("constraint", ["sn", "orthogonal"])
def test_constraints_on_weights_refuse_it(constraint: str) -> None:
    with pytest.raises(UserError, match=f"without a bound on its slope.*{constraint}"):
        critic_of(labelled(12, 12), constraint=constraint, critic_condition="projection")


def test_it_is_refused_where_there_are_no_conditions() -> None:
    unlabelled = open_source(np.random.default_rng(0).integers(0, 255, (60, 12, 12), np.uint8))
    with pytest.raises(UserError, match="projection.*no conditions"):
        critic_of(unlabelled, critic_condition="projection")


def test_it_is_refused_of_other_networks_and_of_fields_and_says_which() -> None:
    for network in ("mlp", "resnet"):
        with pytest.raises(UserError, match=f"is for conv critics .*: network=.{network}"):
            critic_of(labelled(12, 12), critic_condition="projection", network=network)
    pictures = labelled_pictures(12, 12)[0]
    under_fields = open_source(pictures, condition_array=pictures[:, ::3, ::3])
    with pytest.raises(UserError, match=r"is for conv critics .*: conditions that are fields\."):
        critic_of(under_fields, critic_condition="projection")


@pytest.mark.parametrize("conditional", [False, True])
def test_an_unknown_way_to_tell_conditions_is_refused(conditional: bool) -> None:
    pictures, labels = labelled_pictures(12, 12)
    source = open_source(pictures, labels=labels if conditional else None)
    with pytest.raises(UserError, match=r"'projected'.*concat, projection"):
        critic_of(source, critic_condition="projected")


@pytest.mark.parametrize(
    "asked", [{}, {"pack": 2}, {"penalty_on": "both"}, {"constraint": "r1r2", "precision": "float32"}]
)
def test_a_run_goes_on_to_the_same_bits_and_is_drawn_from(tmp_path: Path, asked: dict[str, Any]) -> None:
    pictures, labels = labelled_pictures(12, 12)
    np.savez(tmp_path / "data.npz", images=pictures, labels=labels)
    data: dict[str, Any] = {"data": str(tmp_path / "data.npz"), "condition": ("labels",), "previews": False}
    data |= {"batch_size": 8, "seed": 3, **asked}
    train_run(TrainSettings(steps=4, **data), tmp_path / "whole")
    train_run(TrainSettings(steps=2, **data), tmp_path / "parts")
    resume_run(tmp_path / "parts", {"steps": 4})
    whole, parts = (open_sampler(tmp_path / name) for name in ("whole", "parts"))
    assert np.array_equal(whole.draw(9, seed=0), parts.draw(9, seed=0))
    assert whole.draw(9, seed=0).shape == (9, 12, 12)


def test_runs_of_before_are_opened_with_channels_beside_the_picture() -> None:
    settings = resolve_for(TrainSettings(preset="wgan-gp"), labelled(12, 12))
    older = {name: value for name, value in vars(settings).items() if name != "critic_condition"}
    found = ResolvedSettings.of(TrainSettings(**older))
    assert found.critic_condition == "concat" and found == settings
