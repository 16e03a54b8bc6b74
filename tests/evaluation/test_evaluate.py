from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import fisher_exact, wasserstein_distance

from wassergan.data import open_source
from wassergan.errors import UserError
from wassergan.evaluation import evaluate as module
from wassergan.evaluation.evaluate import MetricRow, Populations, evaluate
from wassergan.evaluation.memorisation import Memorisation, memorisation
from wassergan.evaluation.neighbours import neighbour_metrics
from wassergan.evaluation.verdict import Verdict, verdict


def shuffled(rows: torch.Tensor) -> torch.Tensor:
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))].flatten(1)


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    source = open_source("digits", heldout=0.5)
    everything = (source.train(torch.arange(source.train_count)), source.heldout(torch.arange(source.heldout_count)))
    return shuffled(everything[0]), shuffled(everything[1])


def judged(generated: torch.Tensor, training: torch.Tensor, heldout: torch.Tensor) -> tuple[Verdict, Memorisation]:
    memory = memorisation(generated, training, heldout)
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(1))
    table = evaluate(Populations(generated, training[order], heldout), features="pixels")
    return verdict(table, memory), memory


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "METRICS", [metric for metric in module.METRICS if metric.measure is not module._interval]
    )


@pytest.mark.parametrize("count", [12, 700])  # of one solve, and of a part before the whole
def test_no_clock_decides_what_a_judge_says(count: int, request: pytest.FixtureRequest) -> None:
    rng = torch.Generator().manual_seed(0)
    real = [torch.randn(count, 3, generator=rng) for _ in range(2)]
    sides = Populations(1.3 * torch.randn(count, 3, generator=rng) + 0.2, *real)
    expected = evaluate(sides, features="pixels")
    request.getfixturevalue("late_clock")
    assert evaluate(sides, features="pixels") == expected
    rows = {row.name: row for row in expected}
    assert rows["w1_lower"].value == pytest.approx(rows["w1_upper"].value, rel=module.INTERVAL_TOLERANCE)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("noise", "flags"),
    [(0.0, {"memorised"}), (0.02, {"memorised", "exposed"})],  # trees see the noise on black pixels
    ids=["exactly", "with some noise"],
)
def test_a_generator_that_returns_training_digits_is_flagged(
    digits: tuple[torch.Tensor, torch.Tensor], noise: float, flags: set[str]
) -> None:
    training, heldout = digits
    rng = torch.Generator().manual_seed(0)
    copies = training[:400] + noise * torch.randn(400, 64, generator=rng)
    found, memory = judged(copies, training, heldout[:400])
    assert set(found.flags) == flags and "returns training samples" in found.sentence
    assert memory.flagged and memory.share_near_copies == 1 and memory.sentence.startswith("The generator returns")
    if not noise:
        assert all(training[row].equal(copies[sample]) and not far for sample, row, far in memory.closest)


@pytest.mark.usefixtures("quick")
def test_one_copy_in_ten_is_flagged(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    training, heldout = digits
    some = torch.cat([training[:45], heldout[400:]])
    found, memory = judged(some, training, heldout[:400])
    assert found.flags == ("memorised",) and memory.share_near_copies == pytest.approx(45 / len(some), abs=0.03)


@pytest.mark.usefixtures("quick")
def test_held_out_digits_are_good_samples(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    training, heldout = digits
    found, memory = judged(heldout[400:], training, heldout[:400])
    assert (found.flags, found.level) == ((), "good") and "about as close to the held-out samples as" in found.sentence
    assert not memory.flagged and memory.sentence.startswith("No sign of memorising")
    assert memory.share_near_copies < 0.03
    assert memory.median_distance_generated == pytest.approx(memory.median_distance_heldout, rel=0.1)


@pytest.mark.usefixtures("quick")
def test_three_modes_are_a_collapse(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    training, heldout = digits
    rng = torch.Generator().manual_seed(0)
    modes = heldout[400:403].repeat_interleave(130, 0) + 0.05 * torch.randn(390, 64, generator=rng)
    found, _ = judged(modes, training, heldout[:400])
    assert "collapsed" in found.flags and "collapsed onto a few kinds of samples (recall 0.0" in found.sentence


@pytest.mark.usefixtures("quick")
def test_noise_is_far_but_no_collapse(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    training, heldout = digits
    noise = torch.rand(400, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found, memory = judged(noise, training, heldout[:400])
    assert found.flags == ("disjoint", "exposed", "far") and "it is far from the data (sliced W1 is" in found.sentence
    assert not memory.flagged


@pytest.fixture(scope="module")
def fashion(shared_data: Path) -> tuple[torch.Tensor, torch.Tensor]:
    source = open_source(shared_data / "fashion_mnist" / "t10k-images-idx3-ubyte.gz", heldout=0.4)
    everything = (source.train(torch.arange(source.train_count)), source.heldout(torch.arange(source.heldout_count)))
    halved = [torch.nn.functional.avg_pool2d(each, 2) for each in everything]  # of 14 x 14 pixels: a fifth of the time
    return shuffled(halved[0]), shuffled(halved[1])


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_clothes_copied_held_out_and_collapsed(
    fashion: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wassergan.evaluation.twosample.TREES", 20)  # none of these flags is theirs
    training, heldout = fashion
    real, fresh = heldout[:600], heldout[600:1200]
    assert judged(fresh, training, real)[0].flags == ()
    assert judged(training[:600], training, real)[0].flags == ("memorised",)
    modes = fresh[:3].repeat_interleave(200, 0)
    modes = modes + 0.05 * torch.randn(modes.shape, generator=torch.Generator().manual_seed(0))
    assert "collapsed" in judged(modes, training, real)[0].flags


def in_one_dimension() -> Populations:
    numbers = np.random.default_rng(0)
    return Populations(*(torch.from_numpy(numbers.gamma(2.0, size=(count, 1))) for count in (60, 80, 40)))


def table(populations: Populations, **options: int) -> dict[str, MetricRow]:
    return {row.name: row for row in evaluate(populations, features="pixels", **options)}  # type: ignore[arg-type]


def test_every_metric_has_its_floor_of_as_many_training_samples() -> None:
    populations = in_one_dimension()
    rows = table(populations)
    generated, training, heldout = (each.flatten().numpy() for each in vars(populations).values())
    row = rows["sliced_w1"]
    assert row.value == pytest.approx(wasserstein_distance(generated, heldout))
    assert row.floor == pytest.approx(wasserstein_distance(training[:60], heldout))
    assert (row.generated, row.reference, row.features) == (60, 40, "pixels")
    near = rows["recall"]
    expected = neighbour_metrics(populations.heldout, populations.training[:40])
    assert (near.floor, rows["precision"].floor) == (expected.recall, expected.precision)
    assert (near.generated, near.reference) == (40, 40)
    w1 = wasserstein_distance(generated[:40], heldout)
    assert rows["w1_lower"].value - 1e-9 <= w1 <= rows["w1_upper"].value + 1e-9
    own = np.sort(np.abs(generated[:40, None] - generated[:40]), axis=1)[:, 1]
    assert rows["own_distance"].value == pytest.approx(np.sort(own)[19])
    assert list(rows) == NAMES and all(row.floor is not None for row in rows.values())


NAMES = [
    *("frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage", "own_distance"),
    *("sliced_w1", "w1_lower", "w1_upper", "c2st_auc"),
]


def test_a_floor_of_fewer_samples_says_so() -> None:
    populations = in_one_dimension()
    rows = table(Populations(populations.generated, populations.training[:30], populations.heldout))
    assert rows["frechet_distance"].note.endswith("; floor of 30 training samples")


def test_equal_seeds_give_equal_tables_and_every_metric_is_announced() -> None:
    told: list[str] = []
    first = evaluate(in_one_dimension(), features="pixels", seed=3, log=told.append)
    assert first == evaluate(in_one_dimension(), features="pixels", seed=3)
    assert len(told) == 7 and told[0] == "Fréchet distance"


def test_too_few_samples_and_other_shapes_are_refused() -> None:
    ten, nine, wide = torch.zeros(10, 2), torch.zeros(9, 2), torch.zeros(10, 3)
    with pytest.raises(UserError, match=r"10 held-out samples: 9\. Train with a larger `heldout`, or name other data"):
        evaluate(Populations(ten, ten, nine), features="pixels")
    with pytest.raises(UserError, match=r"Features differ in shape: \(2,\), \(3,\), \(2,\)"):
        evaluate(Populations(ten, wide, ten), features="pixels")
    with pytest.raises(UserError, match="A sample to compare is empty: 0, 10, 10 rows"):
        memorisation(ten[:0], ten, ten)
    with pytest.raises(UserError, match=r"Features differ in shape: \(2,\), \(3,\), \(2,\)"):
        memorisation(ten, wide, ten)


def test_copies_are_measured_by_held_out_distances_in_closed_form() -> None:
    # Training on the whole numbers; held-out samples 0.01, 0.02, ... beyond them: the rarest 1 % of 200 is 0.02.
    training = torch.arange(300.0)[:, None]
    heldout = training[:200] + torch.arange(1, 201)[:, None] / 500
    generated = torch.cat([training[:30] + 0.001, training[30:100] + 0.3])
    memory = memorisation(generated, training, heldout)
    assert memory.threshold == pytest.approx(2 / 500, abs=1e-4)
    assert memory.share_near_copies == pytest.approx(0.3) and memory.flagged
    assert memory.share_near_copies_heldout == pytest.approx(0.01)
    assert memory.median_distance_heldout == pytest.approx(0.2, abs=1e-3)
    assert memory.median_distance_generated == pytest.approx(0.3, abs=1e-4)
    assert [(sample, row) for sample, row, _ in memory.closest] == [(i, i) for i in sorted_closest(generated, training)]


def sorted_closest(generated: torch.Tensor, training: torch.Tensor) -> list[int]:
    gaps = (generated.double() - training[: len(generated)].double()).abs().flatten()
    return [int(i) for i in gaps.argsort(stable=True)[:16]]


def test_data_that_repeat_themselves_are_no_reason_to_flag() -> None:
    # One column of five levels: every held-out row is a training row.
    levels = torch.arange(5.0).repeat(40)[:, None]
    memory = memorisation(levels, levels, levels)
    assert memory.share_near_copies == memory.share_near_copies_heldout == 1 and not memory.flagged


@pytest.mark.parametrize(("copied", "flagged"), [(120, False), (400, True)])
def test_twice_as_many_copies_as_held_out_rows_have_are_no_reason_yet(copied: int, flagged: bool) -> None:
    """Of 1000 held-out rows 60 stand in the training data too; 12 % of generated ones are certainly more."""
    rng = torch.Generator().manual_seed(3)
    training, fresh, others = (torch.randn(1000, 8, generator=rng) for _ in range(3))
    heldout = torch.cat([training[:60], fresh[60:]])
    memory = memorisation(torch.cat([training[-copied:], others[copied:]]), training, heldout)
    assert (memory.share_near_copies, memory.share_near_copies_heldout) == (copied / 1000, 0.06)
    assert memory.p_value < 1e-4 and memory.flagged == flagged


Digits = tuple[torch.Tensor, torch.Tensor]
BAD: dict[str, tuple[Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor], str]] = {
    "grey noise": (lambda fresh, training, rng: training.mean(0) + 0.05 * draw(fresh.shape, rng), "collapsed"),
    "one grey picture": (lambda fresh, training, rng: training.mean(0) + 1e-4 * draw(fresh.shape, rng), "collapsed"),
    "static": (lambda fresh, training, rng: torch.rand(fresh.shape, generator=rng) * 2 - 1, "disjoint"),
    "shuffled pixels": (lambda fresh, training, rng: fresh[:, torch.randperm(64, generator=rng)], "disjoint"),
    "blurred": (lambda fresh, training, rng: blurred(fresh), "exposed"),
    "averages of two": (lambda fresh, training, rng: (fresh + fresh.flip(0)) / 2, "exposed"),
    "one training picture": (lambda fresh, training, rng: training[:1].repeat(len(fresh), 1), "collapsed"),
}


def draw(shape: torch.Size, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=rng)


def blurred(pictures: torch.Tensor) -> torch.Tensor:
    padded = torch.nn.functional.pad(pictures.view(-1, 1, 8, 8), (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, 3, stride=1).flatten(1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", BAD)
def test_what_is_known_to_be_bad_fails_for_its_own_reason(digits: Digits, kind: str) -> None:
    training, heldout = digits
    make, flag = BAD[kind]
    bad = make(heldout[400:600], training, torch.Generator().manual_seed(0))
    found, memory = judged(bad, training, heldout[:200])
    assert found.level == "failed" and flag in found.flags
    # Close to many training samples at once is no copy of any.
    assert memory.flagged == (kind == "one training picture")
    assert memory.copied == (1 if memory.flagged else 0)


@pytest.mark.usefixtures("quick")
def test_too_few_samples_are_no_praise_and_static_fails_all_the_same(digits: Digits) -> None:
    training, heldout = digits
    few = heldout[:30]
    found, _ = judged(heldout[400:], training, few)
    assert (found.flags, found.level) == ((), "undecided")
    assert "Too few samples to judge: 30 a side, where about" in found.sentence and "`against`" in found.sentence
    static = torch.rand(400, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert judged(static, training, few)[0].level == "failed"


def test_the_spread_of_the_floor_is_that_of_fresh_draws() -> None:
    rng = torch.Generator().manual_seed(0)
    metric = next(each for each in module.METRICS if each.with_spread)

    def samples() -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(60, 2, generator=rng), torch.randn(80, 2, generator=rng)

    floors = torch.tensor([metric.measure(*samples(), 0)[0][0] for _ in range(200)])
    found = torch.tensor([module.floor_spread(metric, *samples(), 0) for _ in range(20)])
    # A jackknife of a distance near its minimum is no exact science: within a factor of two.
    assert 0.5 < found.median() / floors.std() < 2


def test_a_share_of_near_copies_is_tested_against_chance() -> None:
    # Held-out samples at 0.4 of each whole number, generated ones at 0.3: but for some at 0.001, which are copies.
    training, heldout = torch.arange(1000.0)[:, None], torch.arange(40.0)[:, None] + 0.4
    heldout[0] = 0.1

    def check(copies: int) -> Memorisation:
        generated = torch.arange(100.0)[:, None] + 0.3
        generated[:copies] -= 0.299
        return memorisation(generated, training, heldout)

    # Fisher's exact test of (copies of 100) against (1 of 40), from SciPy.
    for copies in (0, 2, 11, 60):
        expected = fisher_exact([[copies, 100 - copies], [1, 39]], alternative="greater").pvalue
        assert check(copies).p_value == pytest.approx(expected)
    words = {count: check(count).sentence.split(":")[0] for count in (2, 11, 18, 60)}
    assert words[2] == "No sign of memorising" and words[11] == "Memorising cannot be told from chance"
    assert words[18] == "Some signs of memorising" and words[60] == "The generator returns training samples"


def test_what_lies_near_many_training_samples_at_once_copies_none() -> None:
    # The mean of noise in 200 dimensions is √200 from each sample, and samples are √400 from each other.
    numbers = torch.randn(700, 200, generator=torch.Generator().manual_seed(0))
    training, heldout = numbers[:500], numbers[500:]
    memory = memorisation(0.05 * numbers[:300].flip(0), training, heldout)
    assert memory.median_distance_generated < memory.threshold
    assert not memory.flagged and memory.share_near_copies == 0
    assert memory.sentence.startswith("No sign of memorising")


def test_copies_of_originals_that_stand_in_the_data_several_times_are_found() -> None:
    numbers = torch.randn(200, 16, generator=torch.Generator().manual_seed(0))
    training = numbers[:100].repeat(4, 1)
    memory = memorisation(training[:80] + 1e-3, training, numbers[100:])
    assert memory.flagged and memory.share_near_copies == 1


def row(name: str, value: float, floor: float, count: int = 400) -> MetricRow:
    spread = 0.1 * floor if name == "sliced_w1" else None
    return MetricRow(name, name, value, None, floor, None, "lower", "pixels", count, count, "", floor_spread=spread)


FLOORS = {"sliced_w1": 1.0, "precision": 0.8, "recall": 0.8, "coverage": 0.9, "own_distance": 1.0, "c2st_auc": 0.5}
HARMLESS = Memorisation(0.1, 0.0, 0.01, 1.0, 0, 1.0, 1.0, flagged=False, closest=())


def of(count: int = 400, **values: float) -> Verdict:
    return verdict([row(name, values.get(name, floor), floor, count) for name, floor in FLOORS.items()], HARMLESS)


@pytest.mark.parametrize(
    ("values", "level", "words"),
    [
        ({}, "good", "about as close to the held-out samples as training samples are: sliced W1 is 1 times its floor;"),
        ({"sliced_w1": 2.0}, "good", "is near the data (sliced W1 is 2 times its floor); recall 0.80"),
        ({"c2st_auc": 0.59}, "good", "a classifier hardly tells its samples from real ones (AUC 0.59)"),
        ({"c2st_auc": 0.74}, "good", "a classifier sometimes tells its samples from real ones (AUC 0.74)"),
        (
            {"recall": 0.3, "c2st_auc": 0.9},
            "doubtful",
            "is near the data (sliced W1 is 1 times its floor), but it lacks variety (recall 0.30 where the data have "
            "0.80) and a classifier tells its samples from real ones (AUC 0.90).",
        ),
        ({"precision": 0.3}, "doubtful", "many samples lie off the data (precision 0.30 of 0.80)"),
        (
            {"sliced_w1": 5.0},
            "failed",
            "generator fails: it is far from the data (sliced W1 is 5 times its floor).",
        ),
        ({"precision": 0.0}, "failed", "its samples and the data hardly meet (precision 0 where the data have 0.8"),
        ({"coverage": 0.01}, "failed", "hardly meet"),
        ({"c2st_auc": 0.96}, "failed", "a classifier tells its samples from real ones nearly always (AUC 0.96)"),
        (
            {"c2st_auc": 0.98, "precision": 0.0, "sliced_w1": 9.0},
            "failed",
            "0.9); a classifier tells its samples from real ones nearly always (AUC 0.98) and it is far from the data",
        ),
        ({"recall": 0.1, "coverage": 0.2, "own_distance": 0.2}, "failed", "collapsed onto a few kinds of samples"),
    ],
)
def test_verdicts_in_words(values: dict[str, float], level: str, words: str) -> None:
    found = of(**values)  # type: ignore[arg-type]
    assert words in found.sentence and found.level == level
    assert bool(found.flags) == (level == "failed")


@pytest.mark.parametrize("count", [10, 40, 99])
def test_what_chance_explains_is_neither_failure_nor_success(count: int) -> None:
    assert of(count).level == of(count, recall=0.5).level == "undecided"
    assert of(count, precision=0.0).level == "failed"  # with 0.8 expected, ten misses have a chance of 1e-7
    rare = {**FLOORS, "precision": 0.1, "coverage": 0.1}
    rows = [row(name, 0.0 if floor == 0.1 else floor, floor, count) for name, floor in rare.items()]
    assert (verdict(rows, HARMLESS).level == "failed") == (0.1 * count >= 5)


def test_data_that_a_classifier_tells_from_the_reference_are_no_fault_of_the_generator() -> None:
    rows = [row(name, floor, floor) for name, floor in {**FLOORS, "c2st_auc": 0.97}.items()]
    assert "exposed" not in verdict(rows, HARMLESS).flags


def test_a_floor_of_zero_is_no_division_by_zero() -> None:
    floors = {**dict.fromkeys(FLOORS, 0.0), "c2st_auc": 0.5}
    assert verdict([row(name, floor, floor) for name, floor in floors.items()], HARMLESS).flags == ()
    assert "far" in verdict([row(name, 1.0, floor) for name, floor in floors.items()], HARMLESS).flags
