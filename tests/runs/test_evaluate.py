import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from wassergan.cli.main import main
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import open_source, random_positions
from wassergan.errors import UserError
from wassergan.evaluation.frechet import frechet_distance, moments_of
from wassergan.modality.feature_evaluator import RealSamples
from wassergan.runs.evaluate import evaluate_run
from wassergan.runs.train import resume_run
from wassergan.session import run_content
from wassergan.session.restore import open_sampler
from wassergan.storage.checkpoint import load_checkpoint
from wassergan.storage.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("quick_figures", "quick_judges")
PROTOCOL = {
    *("features", "feature_dim", "generated", "training", "heldout", "seed", "step", "weights", "against", "seconds"),
    "wassergan",
}
ROW = {
    *("name", "label", "value", "error", "floor", "floor_error", "better", "features", "generated", "reference"),
    *("note", "floor_spread"),
}
MEMORISATION = {
    *("share_near_copies", "share_near_copies_heldout", "median_distance_generated", "median_distance_heldout"),
    *("threshold", "flagged", "closest", "picture", "sentence", "p_value", "copied"),
}


@pytest.fixture
def pictures(tmp_path: Path, tiny: tuple[str, ...]) -> tuple[Path, Path]:
    """A run on 8-bit colour pictures, and its data."""
    data, run = tmp_path / "pictures.npy", tmp_path / "run"
    np.save(data, np.random.default_rng(0).integers(0, 256, (60, 7, 5, 3), dtype=np.uint8))
    assert main(["train", str(data), "--out", str(run), "--steps", "2", "--heldout", "0.3", *tiny]) == 0
    return run, data


def judged(run: Path, **options: Any) -> dict[str, Any]:
    return evaluate_run(EvaluateSettings(run=str(run), **options))


def values(result: dict[str, Any]) -> dict[str, float]:
    return {row["name"]: row["value"] for row in result["metrics"]}


def test_what_is_written_is_what_the_page_reads(pictures: tuple[Path, Path]) -> None:
    run, _ = pictures
    result = judged(run, count=30, seed=5)
    assert json.loads((run / "metrics.json").read_text()) == result
    assert result.keys() == {"schema_version", "protocol", "metrics", "channels", "memorisation", "verdict"}
    assert result["protocol"].keys() >= PROTOCOL and result["protocol"]["weights"] == "average"
    counts = [result["protocol"][name] for name in ("generated", "training", "heldout", "feature_dim", "step", "seed")]
    assert counts == [30, 42, 18, 105, 2, 5]
    assert all(row.keys() == ROW for row in result["metrics"])
    assert {row["features"] for row in result["metrics"]} == {"pixels", "patches", "pictures", "learnt features"}
    assert result["metrics"][0]["name"] == "patch_sliced_w1" and result["metrics"][0]["floor_spread"] > 0
    assert result["memorisation"].keys() >= MEMORISATION
    assert result["verdict"].keys() == {"sentence", "flags", "level"}
    with Image.open(run / result["memorisation"]["picture"]) as picture:
        assert picture.size == (4 * (40 + 2) + 2, 12 * (56 + 2) + 2)  # 7×5 pixels eightfold: 12 lines of four


def test_samples_are_judged_as_they_are_handed_out(pictures: tuple[Path, Path]) -> None:
    run, data = pictures
    source = open_source(data, heldout=0.3)
    drawn = open_sampler(run).draw(40, seed=3)
    assert drawn.dtype == np.uint8
    generated = source.codec.encode(torch.from_numpy(drawn)).flatten(1)
    heldout = source.heldout(torch.arange(source.heldout_count)).flatten(1)
    expected = frechet_distance(moments_of(heldout), moments_of(generated))
    result = judged(run, count=40, seed=3)
    assert values(result)["frechet_distance"] == pytest.approx(expected, rel=1e-6)
    training = source.train(torch.arange(source.train_count)).flatten(1).double()
    for pair in result["memorisation"]["closest"]:
        distances = (training - generated[pair["generated"]].double()).norm(dim=1)
        assert distances.argmin() == pair["training"] and distances.min().item() == pytest.approx(pair["distance"])


def test_a_run_that_goes_on_meanwhile_is_judged_at_the_step_that_is_named(
    pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = pictures
    alone = judged(run, count=30, checkpoint="2")
    loads: list[Path] = []
    load = load_checkpoint

    def then_goes_on(path: Path) -> dict[str, Any]:
        content = load(path)
        loads.append(path)
        if len(loads) == 1:
            resume_run(run, {"steps": 4})
        return content

    monkeypatch.setattr(run_content, "load_checkpoint", then_goes_on)
    beside = judged(run, count=30)
    assert run_content.load_run(RunFolder(run)).step == 4
    assert beside["protocol"]["step"] == 2 and values(beside) == values(alone)


def test_more_samples_than_memory_holds_are_not_begun(
    pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = pictures
    log: list[str] = []
    with pytest.raises(UserError, match="1,000,000,000,000 samples do not fit in memory"):
        evaluate_run(EvaluateSettings(run=str(run), count=10**12), log=log.append)
    # Samples of 64 numbers fit here; their features do not.
    monkeypatch.setattr("wassergan.modality.feature_evaluator.largest_bytes", lambda: 2000)
    with pytest.raises(UserError, match="Features of 300 samples do not fit in memory"):
        evaluate_run(EvaluateSettings(run=str(run), count=300), log=log.append)
    assert not log


def test_equal_seeds_give_equal_results_and_other_seeds_others(pictures: tuple[Path, Path]) -> None:
    run, _ = pictures
    outside = torch.get_rng_state()
    first, again, other = (judged(run, count=20, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(outside, torch.get_rng_state())
    bounds = ("w1_lower", "w1_upper")  # stopped by the clock
    assert {k: v for k, v in values(first).items() if k not in bounds} == {
        k: v for k, v in values(again).items() if k not in bounds
    }
    assert values(first)["frechet_distance"] != values(other)["frechet_distance"]


def test_a_run_whose_generator_returns_training_rows_is_flagged(
    pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = pictures
    source = open_source(data, heldout=0.3)
    monkeypatch.setattr(
        "wassergan.sampling.sampler.sample_chunks",
        lambda *args, **options: iter([source.train(torch.arange(30))]),
    )
    result = judged(run, count=30)
    assert "memorised" in result["verdict"]["flags"] and result["memorisation"]["share_near_copies"] == 1
    assert all(pair["training"] == pair["generated"] for pair in result["memorisation"]["closest"])


def test_features_of_the_data_are_computed_once(pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = pictures
    first = judged(run, count=20, features="random-conv")
    kept = sorted(path.name for path in (run / "evaluation").glob("features-*.npy"))
    assert [name.split("-")[1] for name in kept] == ["heldout", "network", "training"]  # a network that learns features
    read: list[int] = []
    monkeypatch.setattr(RealSamples, "chunks", lambda *given: read.append(1) or iter([]))  # type: ignore[func-returns-value]
    again = judged(run, count=20, features="random-conv")
    assert not read and values(again)["frechet_distance"] == values(first)["frechet_distance"]
    assert first["protocol"]["features"] == "random-conv" and first["protocol"]["feature_dim"] == 896


def test_other_data_are_described_on_the_scale_of_the_run(tmp_path: Path, tiny: tuple[str, ...]) -> None:
    numbers = np.random.default_rng(0)
    np.save(tmp_path / "train.npy", numbers.normal([3, 5], [1, 4], (90, 2)))
    np.save(tmp_path / "other.npy", numbers.normal([7, 5], [1, 4], (50, 2)))
    assert main(["train", str(tmp_path / "train.npy"), "--out", str(tmp_path / "run"), "--steps", "2", *tiny]) == 0
    result = judged(tmp_path / "run", against=str(tmp_path / "other.npy"), count=20)
    assert (result["protocol"]["against"], result["protocol"]["heldout"]) == (str(tmp_path / "other.npy"), 50)
    source = open_source(tmp_path / "train.npy")
    training = source.train(torch.arange(source.train_count))
    mean = (torch.from_numpy(np.load(tmp_path / "other.npy")) - source.codec.offset) / source.codec.scale  # type: ignore[attr-defined]
    # Four deviations apart in one feature: a distance of about 16, which another scale would hide.
    gap = (mean.mean(0) - training.double().mean(0)).square().sum().item()
    floor = next(row["floor"] for row in result["metrics"] if row["name"] == "frechet_distance")
    assert floor > 0.8 * gap > 8
    assert result["memorisation"]["picture"] is None


def test_other_data_are_opened_as_the_run_s_were(tmp_path: Path, tiny: tuple[str, ...]) -> None:
    numbers = np.random.default_rng(0)
    for name, shift in (("train", 0.0), ("other", 5.0)):
        rain = numbers.normal(shift, 1, (60, 2))
        rain[::9, 1] = -9999
        np.savez(tmp_path / f"{name}.npz", rain=rain, wind=numbers.normal(50, 1, (90, 2)))
    flags = ("--key", "rain", "--missing", "-9999", "--channels", "near,far")
    data = tmp_path / "train.npz"
    assert main(["train", str(data), "--out", str(tmp_path / "run"), "--steps", "2", *flags, *tiny]) == 0
    result = judged(tmp_path / "run", against=str(tmp_path / "other.npz"), count=20)
    assert result["protocol"]["heldout"] == 60  # of wind there are 90
    row = next(each for each in result["channels"] if each["name"] == "near")
    assert row["mean_real"] == pytest.approx(np.load(tmp_path / "other.npz")["rain"][:, 0].mean())


def test_what_cannot_be_judged_is_said(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = pictures
    with pytest.raises(UserError, match="There is no run in"):
        judged(tmp_path / "nothing")
    with pytest.raises(UserError, match="There is no checkpoint '7'"):
        judged(run, checkpoint="7")
    with pytest.raises(UserError, match="Unknown features: 'pixles'. Did you mean 'pixels'"):
        judged(run, features="pixles")
    with pytest.raises(UserError, match="Judging needs 10 generated samples: 9"):
        judged(run, count=9)
    np.save(tmp_path / "small.npy", np.random.default_rng(0).integers(0, 256, (30, 9, 9, 3), dtype=np.uint8))
    with pytest.raises(UserError, match=r"held against the samples of [^:]+: uint8 samples of shape \(3, 9, 9\) where"):
        judged(run, against=str(tmp_path / "small.npy"))
    np.save(tmp_path / "floats.npy", np.random.default_rng(0).random((30, 7, 5, 3)))
    with pytest.raises(UserError, match="cannot be held against .* float64 samples of shape"):
        judged(run, against=str(tmp_path / "floats.npy"))
    assert not (run / "metrics.json").exists()
    shutil.move(data, tmp_path / "moved.npy")
    with pytest.raises(UserError, match="There is no .*pictures.npy"):
        judged(run)
    judged(run, data=str(tmp_path / "moved.npy"), count=20)
    np.save(data, np.random.default_rng(9).integers(0, 256, (60, 7, 5, 3), dtype=np.uint8))
    with pytest.raises(UserError, match="is not the data that the run was trained on"):
        judged(run)


def test_a_run_on_an_array_in_memory_needs_its_data_named(pictures: tuple[Path, Path]) -> None:
    run, _ = pictures
    path = run / "checkpoints" / "latest.pt"
    content = torch.load(path, weights_only=True)
    content["settings"]["data"] = ""
    torch.save(content, path)
    with pytest.raises(UserError, match="trained on data in memory. Say where the data lie with `data`"):
        judged(run)


def test_rows_of_large_data_come_from_all_over(monkeypatch: pytest.MonkeyPatch, pictures: tuple[Path, Path]) -> None:
    run, _ = pictures
    monkeypatch.setattr("wassergan.modality.feature_evaluator.LARGEST_TRAINING_NUMBERS", 20 * 105)
    result = judged(run, count=30)
    assert result["protocol"]["training"] == 20
    listed = {pair["training"] for pair in result["memorisation"]["closest"]}
    # Numbers of training rows, not of those looked at.
    assert listed <= set(random_positions(20, 42).tolist()) and max(listed) > 20
    note = next(row["note"] for row in result["metrics"] if row["name"] == "frechet_distance")
    assert note.endswith("floor of 20 training samples")


def test_the_command_prints_its_protocol(cli: Callable[..., Any], pictures: tuple[Path, Path]) -> None:
    run, _ = pictures
    said = cli("evaluate", run, "--count", "20")
    assert said.code == 0
    assert "pictures.npy, step 2 (latest checkpoint, averaged weights): 20 generated against 18 held-out" in said.out
    assert "Features: pixels, 105 numbers" in said.out and "Fréchet distance" in said.out
    assert "Near copies of training samples" in said.err and f"Wrote {run / 'metrics.json'}" in said.err
    said = cli("evaluate", run, "--count", "20", "--json")
    assert json.loads(said.out)["protocol"]["generated"] == 20


def test_wrong_requests_are_one_sentence(refused: Callable[..., str], pictures: tuple[Path, Path]) -> None:
    run, _ = pictures
    assert refused("evaluate", run.parent / "gone").startswith("There is no run in")
    assert refused("evaluate", run, "--features", "none").startswith("Unknown features: 'none'")
    assert refused("evaluate", run, "--count", "0").startswith("--count: Expected a whole number above 0")
    assert refused("evaluate", run, "--device", "tpu").startswith("Unknown device: 'tpu'")


def test_a_run_may_be_named_without_settings(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    by_path = evaluate_run(tmp_path / "run")
    by_settings = evaluate_run(EvaluateSettings(run=str(tmp_path / "run")))
    assert by_path["metrics"] == by_settings["metrics"] == evaluate_run(str(tmp_path / "run"))["metrics"]
