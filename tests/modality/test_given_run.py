"""Fields given fields from files to page: trained, drawn, resumed, judged and refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan import WassersteinGAN, open_sampler
from wassergan.cli.main import main
from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError
from wassergan.runs.train import resume_run, train_run
from wassergan.storage.checkpoint import load_checkpoint

N = 120


def pairs(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(N, 2, 3))
    fine = np.kron(coarse, np.ones((1, 4, 4))) + 0.2 * rng.normal(size=(N, 8, 12))
    return (280 + 5 * fine).astype("float32"), (280 + 5 * coarse).astype("float32")


SMALL = {"maps": 4, "batch_size": 16, "latent_dim": 70, "tensorboard": False, "previews": False}


def trained(home: Path, folder: Path, **settings: Any) -> Path:
    """A run on the pairs in a folder."""
    data = {"data": str(home / "fine.npy"), "condition_array": str(home / "coarse.npy")}
    train_run(TrainSettings(**{**SMALL, **data, **settings}), folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("given")
    for name, values in zip(("fine", "coarse"), pairs(), strict=True):
        np.save(home / f"{name}.npy", values)
    return trained(home, home / "run", steps=8)


def weights(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_checkpoint(folder / "checkpoints/latest.pt")["trainer"]["average"]
    return found


def test_the_recipe_refines_and_penalises_both(run: Path) -> None:
    settings = json.loads((run / "settings.json").read_text())
    assert settings["network"] == "conv" and settings["penalty_on"] == "both" and settings["augment"] == "none"


def test_a_resumed_run_is_the_same_to_the_last_bit(run: Path, tmp_path: Path) -> None:
    trained(run.parent, tmp_path / "half", steps=4)
    resume_run(tmp_path / "half", {"steps": 8})
    own, other = weights(run), weights(tmp_path / "half")
    assert all(torch.equal(own[name], other[name]) for name in own)


def test_a_run_does_not_go_on_with_other_conditions(run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", pairs()[1][::-1])
    with pytest.raises(UserError, match="other labels or conditions"):
        resume_run(run, {"steps": 9, "condition_array": str(tmp_path / "other.npy")})


def test_fewer_draws_are_the_first_of_more_whatever_the_chunks(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = pairs(1)[1][:5]
    sampler = open_sampler(run)
    many = sampler.under_array(coarse, draws=20).draw_ensembles(seed=3)
    assert many.shape == (5, 20, 8, 12) and many.dtype == np.float32
    assert many.min() > 200 and many.max() < 360
    assert (many[:, 0] == sampler.under_array(coarse).draw_ensembles(seed=3)).all()
    assert (many[:2, :4] == sampler.under_array(coarse[:2], draws=4).draw_ensembles(seed=3)).all()
    assert (many != sampler.under_array(coarse, draws=20).draw_ensembles(seed=4)).any()
    assert (many[:, 0] != many[:, 1]).any()
    monkeypatch.setattr("wassergan.sampling.ensembles.SAMPLING_CHUNK", 7)
    monkeypatch.setattr("wassergan.sampling.sampler.SAMPLING_CHUNK", 7)
    in_chunks = np.concatenate(list(sampler.under_array(coarse, draws=20).chunks(100, seed=3)))
    assert (in_chunks == many.reshape(100, 8, 12)).all()


def test_the_command_line_draws_and_says_what_it_refuses(
    run: Path, tmp_path: Path, cli: Callable[..., Any], refused: Callable[..., str]
) -> None:
    np.save(tmp_path / "new.npy", pairs(2)[1][:3])
    new, out = str(tmp_path / "new.npy"), tmp_path / "out.npy"
    cli("sample", run, "--condition-array", new, "--draws", "2", "--out", out)
    assert np.load(out).shape == (3, 2, 8, 12)
    cli("sample", run, "--condition-array", new, "--out", out)
    assert np.load(out).shape == (3, 8, 12) and not (tmp_path / "out.conditions.npy").exists()
    cli("sample", run, "--count", "4", "--out", out)
    assert np.load(tmp_path / "out.conditions.npy").shape == (4, 2, 3)
    for flags, message in (
        (["--draws", "2"], "--draws counts the draws"),
        (["--condition-array", new, "--count", "3"], "Leave it out, or give --draws"),
        (["--condition-array", new, "--given", "a=1"], "given twice"),
        (["--given", "a=1"], "without names"),
        (["--refine", "2"], "not refined"),
    ):
        assert message in refused("sample", run, *flags, "--out", out)
    told = refused("export", run, "--out", tmp_path / "g.safetensors")
    assert "knows no generators with conditions" in told and "sample --condition-array" in told


def test_augmented_samples_would_lose_their_conditions(run: Path, tmp_path: Path) -> None:
    for setting in ({"augment": "translate"}, {"mirror": True}):
        with pytest.raises(UserError, match="not augmented"):
            trained(run.parent, tmp_path / "run", steps=1, **setting)


@pytest.mark.slow
def test_an_evaluation_judges_the_draws_and_shows_them(
    run: Path, cli: Callable[..., Any], refused: Callable[..., str]
) -> None:
    told = cli("evaluate", run).out
    assert "CRPS" in told and "Given the condition, the CRPS is" in told
    result = json.loads((run / "metrics.json").read_text())
    assert result["given"]["cases"] == N // 10 and result["given"]["draws"] == 20
    assert {row["name"] for row in result["metrics"]} >= {"crps", "crps_over_bilinear", "shuffled_ratio", "joint_w1"}
    for name in ("given.png", "calibration.png"):
        assert (run / "evaluation" / name).stat().st_size > 1000
    page = (run / "report.html").read_text()
    assert "Condition, truth, and draws under it" in page
    moved = (run.parent / "coarse.npy").rename(run.parent / "moved.npy")
    assert "coarse.npy" in refused("evaluate", run)
    assert cli("evaluate", run, "--condition-array", moved).code == 0
    moved.rename(run.parent / "coarse.npy")
    others = refused("evaluate", run, "--against", run.parent / "fine.npy")
    assert "those of the other samples are not given" in others


def test_the_estimator_fits_and_draws_under_arrays() -> None:
    fine, coarse = pairs()
    gan = WassersteinGAN(steps=3, batch_size=16, latent_dim=70, settings={"maps": 4})
    gan.fit(fine, condition_array=coarse)
    drawn = gan.sample(condition_array=coarse[:4], draws=3, seed=1)
    assert drawn.shape == (4, 3, 8, 12) and drawn.dtype == np.float32
    assert (gan.sample(condition_array=coarse[:4], seed=1) == drawn[:, 0]).all()
    assert gan.sample(5).shape == (5, 8, 12)
    assert gan.score(fine, condition_array=coarse) > gan.score(fine, condition_array=coarse[::-1])
    for call, message in (
        (lambda: gan.score(fine), "under the rows of an array"),
        (lambda: gan.evaluate(fine), "under the rows of an array"),
        (lambda: gan.sample(3, draws=2), "draws counts"),
        (lambda: gan.sample(3, condition_array=coarse), "how many samples are drawn"),
        (lambda: gan.sample(3, given={"a": 1}), "Give condition_array"),
        (lambda: gan.sample(condition_array=coarse[:, :1]), "does not have the axes"),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_the_page_on_fields_given_fields_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "fields_given_fields.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for snippet in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(snippet.replace("steps=20", "steps=2"), names)
    assert names["ensembles"].std(1).mean() > 0
    commands = [line.split()[1:] for line in page.splitlines() if line.startswith("wassergan ")]
    assert [command[0] for command in commands] == ["train", "evaluate", "sample"]
    for command in (commands[0] + ["--steps", "1"], commands[2]):
        assert main(command) == 0
    assert np.load("ensembles.npy").shape == (10, 20, 16, 24)


def test_blocks_of_a_generator_have_one_size(run: Path) -> None:
    """Products of another size round differently: a draw would depend on how many are asked for."""
    sampler, sizes = open_sampler(run), list[int]()
    sampler.generator.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    sampler.under_array(pairs(1)[1][:5], draws=30).draw_ensembles()
    assert len(set(sizes)) == 1


def test_draws_under_held_out_conditions_are_looked_up(run: Path) -> None:
    from wassergan.config.verbs import EvaluateSettings
    from wassergan.modality import modality_of
    from wassergan.runs.evaluate import _opened
    from wassergan.runs.results import Results
    from wassergan.session.run_content import load_run
    from wassergan.storage.run_folder import RunFolder
    from wassergan.training import SINGLE_PROCESS

    state, settings = load_run(RunFolder(run)), EvaluateSettings(run=str(run), device="cpu")
    results = Results(RunFolder(run), None, print)
    evaluator = modality_of(state.kind).evaluator(_opened(settings, state, results, print, SINGLE_PROCESS))
    evaluator.collect()
    features, sampler = evaluator._looked_up()  # type: ignore[attr-defined]
    source = evaluator.evaluation.source
    held = np.load(run.parent / "coarse.npy")[source.split.heldout.numpy()]
    assert len(features) == len(held)
    assert sorted(sampler.conditions.rows(0, len(held), seed=0).ravel()) == pytest.approx(sorted(held.ravel()))


def spoilt(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["conditions"].update(changes)


@pytest.mark.parametrize(
    "spoil",
    [
        spoilt(array=[1, 2**40, 2**40]),
        spoilt(array=[1, 2**20, 2**20], pool=torch.zeros(1).expand(1, 2**20, 2**20)),
        spoilt(array=[1, 4, 6]),
        spoilt(array=[1, 2, -3]),
        spoilt(array=["a"]),
        spoilt(array=[]),
        spoilt(pool=torch.zeros(0, 2, 3)),
        spoilt(pool=torch.zeros(5, 3)),
        spoilt(pool="x"),
        spoilt(codec={}),
        lambda content: content["conditions"]["codec"].update(scale=torch.ones(3, 3, 3)),
        lambda content: content["conditions"]["codec"].update(dtype="U5"),
        lambda content: content["conditions"]["codec"].update(layout="NXY"),
        lambda content: content["conditions"].pop("pool"),
        lambda content: content.update(conditions=None),
    ],
)
def test_conditions_that_no_training_writes_are_refused(
    spoil: Callable[[dict[str, Any]], None], run: Path, tmp_path: Path
) -> None:
    content = load_checkpoint(run / "checkpoints/latest.pt")
    spoil(content)
    shutil.copytree(run, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        torch.save(content, path)
    with pytest.raises(UserError):
        open_sampler(tmp_path / "run").draw(2)


@pytest.mark.slow
def test_a_fit_is_judged_on_other_rows_under_their_conditions() -> None:
    fine, coarse = pairs()
    gan = WassersteinGAN(steps=3, batch_size=16, latent_dim=70, settings={"maps": 4})
    gan.fit(fine, condition_array=coarse)
    others = gan.evaluate(*pairs(5)[:1], condition_array=pairs(5)[1])
    assert not others.on_own_rows and others.result["given"]["cases"] == N // 2
    assert others["shuffled_ratio"] > 1


def test_an_array_is_refused_where_there_was_none() -> None:
    fine, coarse = pairs()
    gan = WassersteinGAN(steps=1, batch_size=16, latent_dim=7, settings={"maps": 4}).fit(fine)
    for call in (gan.score, gan.evaluate):
        with pytest.raises(UserError, match="not learnt under the rows"):
            call(fine, condition_array=coarse)
    with pytest.raises(UserError, match="not trained under conditions that are an array"):
        gan.sample(condition_array=coarse)


def test_a_run_of_before_there_were_spreads_and_tails_is_opened_and_goes_on(run: Path, tmp_path: Path) -> None:
    content = load_checkpoint(run / "checkpoints/latest.pt")
    for part in ("generator", "average"):
        for name in ("spread", "tails"):
            del content["trainer"][part][name]
    shutil.copytree(run, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        torch.save(content, path)
    generator = open_sampler(tmp_path / "run").generator
    assert [float(generator.get_buffer(name)) for name in ("spread", "tails")] == [1, 0]
    resume_run(tmp_path / "run", {"steps": content["trainer"]["step"] + 2})
    assert open_sampler(tmp_path / "run").draw(2).shape == open_sampler(run).draw(2).shape
