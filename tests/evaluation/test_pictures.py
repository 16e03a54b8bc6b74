import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from wassergan.data import Batch
from wassergan.evaluation.evaluate import METRICS, Populations, measured
from wassergan.evaluation.feature_cache import FeatureCache
from wassergan.evaluation.pictures import learnt
from wassergan.evaluation.pictures.labels import label_rows
from wassergan.evaluation.pictures.learnt import learnt_features
from wassergan.evaluation.pictures.patches import patch_rows
from wassergan.evaluation.pictures.populations import PicturePopulations
from wassergan.evaluation.pictures.twosample import area_under_curve, convolutional_two_sample

KINDS = 4


def bars(count: int, channels: int, size: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gratings of four orientations under a window, of any phase, with fine grain."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(KINDS, size=count)
    rows, columns = np.mgrid[:size, :size] - size / 2
    angle = (np.pi * kind / KINDS + rng.normal(0, 0.1, count))[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    wave = np.sign(np.sin(0.9 * (np.cos(angle) * rows + np.sin(angle) * columns) + phase))
    window = np.exp(-(rows**2 + columns**2) / (2 * (0.3 * size) ** 2))
    tint = rng.uniform(0.5, 1, (count, channels, 1, 1))
    grain = rng.normal(0, 0.05, (count, channels, size, size))
    pictures = np.clip(0.9 * tint * (wave * window)[:, None] + grain, -1, 1)
    return torch.from_numpy(pictures).float(), torch.from_numpy(kind)


def blurred(pictures: torch.Tensor, width: float) -> torch.Tensor:
    return torch.from_numpy(gaussian_filter(pictures.numpy(), (0, 0, width, width)))


def noised(pictures: torch.Tensor, deviation: float) -> torch.Tensor:
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(3))
    return (pictures + deviation * noise).clamp(-1, 1)


def shifted(pictures: torch.Tensor, by: float) -> torch.Tensor:
    return (pictures + by * torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)).clamp(-1, 1)


# The convolutional two-sample test


def test_the_area_is_scikit_learn_s_with_ties_and_its_error_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(0)
    draws = [(rng.integers(0, 9, 60).astype(float), rng.integers(2, 11, 90).astype(float)) for _ in range(300)]
    found = [area_under_curve(*each) for each in draws]
    labels = np.repeat([0, 1], [60, 90])
    expected = [roc_auc_score(labels, np.concatenate(each)) for each in draws]
    np.testing.assert_allclose([area for area, _ in found], expected)
    assert np.mean([variance for _, variance in found]) == pytest.approx(np.var(expected), rel=0.25)


def test_fresh_pictures_cannot_be_told_apart_and_blurred_or_noisy_ones_can() -> None:
    real, fresh = (bars(200, 1, 16, seed=seed)[0] for seed in (0, 1))
    level = convolutional_two_sample(real, fresh, seed=0, steps=60)
    assert abs(level.auc - 0.5) < 4 * level.standard_error + 0.02
    assert convolutional_two_sample(real, blurred(fresh, 0.8), seed=0, steps=60).auc > 0.9
    assert convolutional_two_sample(real, noised(fresh, 0.3), seed=0, steps=60).auc > 0.9


def test_it_is_the_same_for_the_same_seed_and_draws_nothing_from_the_global_state() -> None:
    real, fresh = (bars(40, 3, 12, seed=seed)[0] for seed in (0, 1))
    outside = torch.get_rng_state()
    one, again, other = (convolutional_two_sample(real, fresh, seed=seed, steps=5) for seed in (4, 4, 5))
    assert one == again != other
    assert torch.equal(outside, torch.get_rng_state())


# Learnt features


def distance(describe: Callable[[torch.Tensor], torch.Tensor], *samples: torch.Tensor) -> float:
    metric = next(each for each in METRICS if each.rows[0][0] == "frechet_distance")
    (row,) = measured(metric, Populations(*(describe(each) for each in samples)), "learnt features", 0)
    return row.value


@pytest.mark.parametrize("with_labels", [False, True])
def test_bad_copies_rank_behind_real_pictures_by_learnt_features(
    monkeypatch: pytest.MonkeyPatch, with_labels: bool
) -> None:
    monkeypatch.setattr(learnt, "STEPS", 60)
    (training, kinds), (held, _), (fresh, own) = (bars(300, 3, 16, seed=seed) for seed in (0, 1, 2))
    describe = learnt_features(training, kinds if with_labels else None, seed=0)
    floor = distance(describe, fresh, training, held)
    worsened = {
        "blurred": [blurred(fresh, width) for width in (0.7, 1.5)],
        "noise": [noised(fresh, deviation) for deviation in (0.3, 0.6)],
        "fewer kinds": [fresh[(own < left).nonzero().flatten().repeat(9)[:300]] for left in (2, 1)],
        "colours": [shifted(fresh, by) for by in (0.3, 0.6)],
    }
    for name, copies in worsened.items():
        weak, strong = (distance(describe, each, training, held) for each in copies)
        assert floor * 1.2 < weak < strong, (name, floor, weak, strong)


def test_weights_are_kept_and_damaged_ones_learnt_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learnt, "STEPS", 3)
    pictures, cache = bars(40, 1, 12, seed=0)[0], FeatureCache(tmp_path)
    first = learnt_features(pictures, None, seed=0, cache=cache, origin="data")(pictures)
    monkeypatch.setattr(learnt, "train", lambda *given, **more: pytest.fail("it was learnt again"))
    kept = learnt_features(pictures, None, seed=0, cache=cache, origin="data")(pictures)
    torch.testing.assert_close(kept, first, rtol=0, atol=0)
    monkeypatch.undo()
    monkeypatch.setattr(learnt, "STEPS", 3)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    anew = learnt_features(pictures, None, seed=0, cache=cache, origin="data")(pictures)
    torch.testing.assert_close(anew, first, rtol=0, atol=0)
    other = learnt_features(pictures, None, seed=0, cache=cache, origin="other data")
    assert len(list(tmp_path.iterdir())) == 2 and torch.isfinite(other(pictures)).all()


@pytest.mark.parametrize("shape", [(1, 5, 9), (4, 3, 3), (2, 40, 12)])
def test_grids_of_any_shape_have_features(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learnt, "STEPS", 2)
    pictures = torch.randn(12, *shape, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert learnt_features(pictures, None, seed=0)(pictures).shape == (12, 64)


# Conditional runs


def population(pictures: torch.Tensor, kinds: torch.Tensor | None) -> Batch:
    return Batch(pictures, None if kinds is None else torch.nn.functional.one_hot(kinds, KINDS).float())


def test_samples_that_do_not_fit_their_labels_teach_nothing() -> None:
    training, held, fresh = (bars(300, 1, 16, seed=seed) for seed in (0, 1, 2))
    good = PicturePopulations(population(*fresh), population(*training), population(*held))
    (row,) = label_rows(good, seed=0)
    assert row.floor is not None and row.floor > 0.9 and row.value > 0.9
    bad = PicturePopulations(population(fresh[0], fresh[1].roll(1)), good.training, good.heldout)
    assert label_rows(bad, seed=0)[0].value < 0.5


def test_without_conditions_there_is_no_accuracy() -> None:
    pictures, kinds = bars(40, 1, 12, seed=0)
    plain, labelled = population(pictures, None), population(pictures, kinds)
    assert label_rows(PicturePopulations(plain, plain, plain), seed=0) == []
    assert label_rows(PicturePopulations(labelled, labelled, plain), seed=0) == []
    alike = population(pictures, torch.zeros(40, dtype=torch.int64))
    assert label_rows(PicturePopulations(alike, alike, alike), seed=0) == []


def test_the_floor_of_patches_is_of_as_many_training_pictures() -> None:
    training, held, fresh = (bars(count, 1, 12, seed=seed)[0] for seed, count in enumerate((30, 40, 90)))
    rows = patch_rows(PicturePopulations(*(Batch(each, None) for each in (fresh, training, held))), seed=0)
    assert [row.name for row in rows] == ["patch_sliced_w1", "patch_sliced_w1_12", "patch_sliced_w1_6"]
    assert {(row.generated, row.reference) for row in rows} == {(30, 40)}
    assert rows[0].value == pytest.approx(np.mean([row.value for row in rows[1:]]))
    swapped = patch_rows(PicturePopulations(*(Batch(each, None) for each in (training, fresh[:30], held))), seed=0)
    assert swapped[0].value == rows[0].floor and swapped[0].floor == rows[0].value
