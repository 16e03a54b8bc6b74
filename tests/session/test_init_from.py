"""A training that starts from another one's weights: what is taken, what is not, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan import WassersteinGAN
from wassergan.callbacks import Callback
from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError
from wassergan.networks import Matched
from wassergan.runs.train import resume_run, train_run
from wassergan.session.restore import open_sampler
from wassergan.session.run_content import load_run
from wassergan.storage.run_folder import RunFolder

SMALL: dict[str, Any] = {
    "generator_widths": (16, 8),
    "critic_widths": (16,),
    "batch_size": 16,
    "critic_steps": 1,
    "latent_dim": 4,
    "previews": False,
    "tensorboard": False,
    "steps": 6,
    "keep": 3,
}
CONV: dict[str, Any] = {"network": "conv", "maps": 4, **SMALL, "generator_widths": None, "critic_widths": None}


def pictures(path: Path, side: int, *, seed: int = 0, labels: bool = False) -> Path:
    numbers = np.random.default_rng(seed)
    rows = numbers.integers(0, 256, (80, side, side), dtype=np.uint8)
    if labels:
        np.savez(path.with_suffix(".npz"), pictures=rows, kind=np.arange(80) % 3)
        return path.with_suffix(".npz")
    np.save(path.with_suffix(".npy"), rows)
    return path.with_suffix(".npy")


def trained(folder: Path, data: Path, **settings: Any) -> Path:
    said: list[str] = []

    class Hearing(Callback):
        def on_message(self, sentence: str) -> None:
            said.append(sentence)

    train_run(TrainSettings(data=str(data), **settings), folder, callback=Hearing())
    (folder / "said.txt").write_text("\n".join(said))
    return folder


def first_state(run: Path) -> Any:
    """At step 0."""
    return load_run(RunFolder(run), "0")


def started(run: Path) -> str:
    return next(line for line in (run / "said.txt").read_text().splitlines() if line.startswith("Started from"))


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("origin")
    return trained(folder / "run", pictures(folder / "a", 12), **CONV)


def test_all_weights_are_taken_for_other_data_of_the_same_shape(origin: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", pictures(tmp_path / "b", 12, seed=1), **CONV, init_from=str(origin), seed=7)
    held, own = load_run(RunFolder(origin)).trainer, first_state(run).trainer
    for part in ("generator", "critic", "average"):
        # Running statistics of the average are found anew at each tick, and margins are those of the new data.
        kept = [name for name in held[part] if "running" not in name and name not in ("head.targets", "head.tails")]
        both = [{name: state[part][name] for name in kept} for state in (own, held)]
        torch.testing.assert_close(*both, rtol=0, atol=0)
        assert own[part].keys() == held[part].keys()
        if part != "critic":
            assert not torch.equal(own[part]["head.targets"], held[part]["head.targets"])
    assert own["step"] == 0 and all(float(each["step"]) == 0 for each in own["critic_optimizer"]["state"].values())
    assert "took 100% of the generator's weights and 100% of the critic's weights." in started(run)
    fresh = trained(tmp_path / "fresh", tmp_path / "b.npy", **CONV, seed=7)
    assert not torch.equal(first_state(fresh).trainer["critic"]["body.0.weight"], own["critic"]["body.0.weight"])


def test_new_conditions_have_no_effect_at_first(origin: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "b", 12, labels=True)
    run = trained(tmp_path / "run", data, **CONV, key="pictures", condition=("kind",), init_from=str(origin))
    sampler, former = open_sampler(run, checkpoint="0"), open_sampler(origin)
    head = next(module for module in former.generator.modules() if isinstance(module, Matched))
    head.knots = head.knots[:0]  # as it was before it was opened: under conditions margins are left as they are
    width = sampler.conditions.width  # type: ignore[union-attr]
    assert width > 0
    latent = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for context in (torch.zeros(20, width), torch.rand(20, width)):
            found = sampler.generator(torch.cat([context, latent], 1))
            torch.testing.assert_close(found, former.generator(latent))
    critic, other = first_state(run).critic, load_run(RunFolder(origin)).critic
    assert all(torch.equal(critic[name], value) for name, value in other.items())
    assert (critic["told.2.weight"] == 0).all() and (critic["told.0.weight"] != 0).any()
    assert "project.weight" in started(run) and "told.2.weight" in started(run)
    beside = trained(
        tmp_path / "beside",
        data,
        **CONV,
        key="pictures",
        condition=("kind",),
        critic_condition="concat",
        init_from=str(run),
    )
    first = first_state(beside).critic["body.0.weight"]
    assert torch.equal(first[:, :1], load_run(RunFolder(run)).critic["body.0.weight"]) and (first[:, 1:] == 0).all()
    again = trained(tmp_path / "again", data, **CONV, key="pictures", condition=("kind",), init_from=str(run))
    assert torch.equal(first_state(again).critic["told.2.weight"], load_run(RunFolder(run)).critic["told.2.weight"])
    back = trained(tmp_path / "back", pictures(tmp_path / "c", 12), **CONV, init_from=str(run))
    weights = first_state(back).trainer["generator"]["project.weight"]
    assert torch.equal(weights, load_run(RunFolder(run)).trainer["generator"]["project.weight"][:, width:])


def test_of_another_size_the_layers_that_fit_are_taken_and_the_others_are_named(origin: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", pictures(tmp_path / "b", 14), **CONV, init_from=str(origin))
    own, held = first_state(run).critic, load_run(RunFolder(origin)).critic
    assert torch.equal(own["body.0.weight"], held["body.0.weight"])
    said = started(run)
    assert "of the generator not" in said or "of the critic not" in said
    assert "100% of the generator" not in said or "100% of the critic" not in said


def test_nothing_that_fits_is_refused_before_anything_is_made(origin: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "b", 12)
    with pytest.raises(UserError, match=r"(?s)Nothing of .* fits the networks.*network=.conv"):
        train_run(TrainSettings(data=str(data), **SMALL, init_from=str(origin)), tmp_path / "run")
    assert not (tmp_path / "run" / "settings.json").exists()
    for wrong, said in (
        (tmp_path / "none", "There is no run in"),
        (data, "no checkpoint|damaged"),
        (tmp_path, "There"),
    ):
        with pytest.raises(UserError, match=said):
            train_run(TrainSettings(data=str(data), **CONV, init_from=str(wrong)), tmp_path / "run")


def test_the_range_of_the_new_data_stays(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", numbers.normal(size=(100, 3)).astype("f4"))
    np.save(tmp_path / "b.npy", numbers.uniform(5, 900, size=(100, 3)).astype("f4"))
    first = trained(tmp_path / "first", tmp_path / "a.npy", **SMALL)
    second = trained(tmp_path / "second", tmp_path / "b.npy", **SMALL, init_from=str(first))
    plain = trained(tmp_path / "plain", tmp_path / "b.npy", **SMALL)
    heads = [
        {name: value for name, value in first_state(run).average.items() if "head." in name} for run in (second, plain)
    ]
    assert heads[0].keys() == heads[1].keys() and heads[0]
    torch.testing.assert_close(heads[0], heads[1], rtol=0, atol=0)


def test_a_started_run_resumes_bit_for_bit_without_its_origin(origin: Path, tmp_path: Path) -> None:
    data = pictures(tmp_path / "b", 12, seed=1)
    whole = trained(tmp_path / "whole", data, **{**CONV, "steps": 8}, init_from=str(origin))
    moved = tmp_path / "moved"
    origin.rename(moved)
    try:
        moved.rename(origin)
        half = trained(tmp_path / "half", data, **{**CONV, "steps": 4}, init_from=str(origin))
        origin.rename(moved)
        resume_run(half, {"steps": 8})
    finally:
        if moved.exists():
            moved.rename(origin)
    states = [load_run(RunFolder(run)).trainer for run in (whole, half)]
    for part in ("generator", "critic", "average"):
        torch.testing.assert_close(states[0][part], states[1][part], rtol=0, atol=0)


def test_two_processes_start_alike(origin: Path, tmp_path: Path, spawn: Callable[..., list[Any]]) -> None:
    data = pictures(tmp_path / "b", 12, seed=1)
    settings = TrainSettings(data=str(data), **{**CONV, "steps": 1}, init_from=str(origin))
    spawn(lambda processes: train_run(settings, tmp_path / "two", processes=processes)["steps"])
    train_run(replace(settings), tmp_path / "one")
    for part in ("generator", "critic", "average"):
        one, two = (first_state(tmp_path / name).trainer[part] for name in ("one", "two"))
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_a_fit_starts_from_a_saved_estimator_or_a_run(tmp_path: Path) -> None:
    small: dict[str, Any] = {"generator_widths": (16,), "critic_widths": (16,), "latent_dim": 4, "batch_size": 16}
    rows = np.random.default_rng(0).normal(size=(100, 3)).astype("f4")
    first = WassersteinGAN(steps=5, **small).fit(rows)
    first.save(tmp_path / "first.pt")
    second = WassersteinGAN(
        steps=1, generator_lr=1e-9, critic_lr=1e-9, settings={"init_from": tmp_path / "first.pt"}, **small
    ).fit(rows)
    torch.testing.assert_close(dict(second.critic_.state_dict()), dict(first.critic_.state_dict()), rtol=0, atol=1e-6)
    with pytest.raises(UserError, match="Nothing of"):
        WassersteinGAN(steps=1, settings={"init_from": str(tmp_path / "first.pt")}, network="residual").fit(rows)
