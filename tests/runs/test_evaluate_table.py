"""Tables judged through the command line: metrics.json, the anchors, the page, look and export, and what is refused."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.config.settings import TrainSettings
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import TableCodec, open_source, read_rows
from wassergan.errors import UserError
from wassergan.evaluation.tables import EvaluationData, Samples, TableColumn, quality
from wassergan.evaluation.tables import evaluate as judge_tables
from wassergan.evaluation.tables.trees import Inputs
from wassergan.runs.evaluate import evaluate_run
from wassergan.runs.export import codec_of, export_run, open_export
from wassergan.runs.recorder import write_run_report
from wassergan.runs.train import train_run
from wassergan.runs.visualize import visualize_run
from wassergan.session.restore import open_sampler

pytestmark = pytest.mark.usefixtures("real_figures")

HOSTILE = "<script>alert(1)</script>"
NAMES = [  # group by group, as they are shown
    *("c2st_auc", "precision", "recall", "density", "coverage", "own_distance"),
    *("category_tv", "number_ks", "missing_gap", "invalid"),
    *("association_gap", "sliced_w1", "w1_lower", "w1_upper", "tstr", "exact_copies"),
]


def text(count: int = 400) -> str:
    numbers = np.random.default_rng(0)
    age = numbers.integers(20, 80, count)
    lines = (
        f"{years},{('clerk', 'co$t', '', HOSTILE)[years % 4]},{years / 10 + score:.2f},2020-01-{1 + years % 28:02d},"
        f"{'yes' if years > 50 else 'no'},{7 * row % 360}\n"
        for row, (years, score) in enumerate(zip(age, numbers.normal(size=count), strict=True))
    )
    return f"age,{HOSTILE},score,since,old,heading\n" + "".join(lines)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of few steps on a table, and its data."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "people.csv").write_text(text())
    widths = {"generator_widths": (16,), "critic_widths": (16,), "batch_size": 32, "tensorboard": False}
    settings = TrainSettings(data=str(folder / "people.csv"), steps=6, heldout=0.4, previews=False, **widths)  # type: ignore[arg-type]
    train_run(settings, folder / "run")
    return folder / "run", folder / "people.csv"


@contextmanager
def hurried() -> Iterator[None]:
    """Trees are few, and SDMetrics is out of sight."""
    whole = Inputs.trees
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Inputs, "trees", lambda self, **how: whole(self, **how).set_params(max_iter=20))
        patch.setattr(quality, "PACKAGE", "no_such_package")
        yield


@pytest.fixture
def run(trained: tuple[Path, Path], tmp_path: Path) -> Iterator[Path]:
    """A copy of the run to write into."""
    with hurried():
        yield shutil.copytree(trained[0], tmp_path / "run")


@pytest.fixture(scope="module")
def found(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A copy of the run that was judged, and what was found."""
    folder = shutil.copytree(trained[0], tmp_path_factory.mktemp("judged") / "run")
    with hurried():
        return folder, judged(folder, count=200, seed=3)


def judged(run: Path, **options: Any) -> dict[str, Any]:
    return evaluate_run(EvaluateSettings(run=str(run), **options))


def rows_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in result["metrics"]}


def test_what_is_written_holds_every_metric_beside_both_anchors(
    found: tuple[Path, dict[str, Any]], trained: tuple[Path, Path]
) -> None:
    run, result = found
    assert json.loads((run / "metrics.json").read_text()) == result
    assert [row["name"] for row in result["metrics"]] == NAMES
    assert all(row["floor"] is not None and row["independent"] is not None for row in result["metrics"])
    protocol = result["protocol"]
    counts = [protocol[name] for name in ("generated", "training", "heldout", "trained", "columns", "step", "seed")]
    assert counts == [200, 240, 160, 240, 6, 6, 3]
    assert (protocol["kind"], protocol["target"], protocol["target_note"]) == (
        *("table", "old"),
        "the last column that real rows predict",
    )
    assert protocol["sdmetrics"] == "SDMetrics is not installed"
    rows = rows_of(result)
    assert rows["tstr"]["floor"] > 0.99 and rows["tstr"]["independent"] < 0.75
    assert rows["c2st_auc"]["floor"] < 0.6 < 0.75 < rows["c2st_auc"]["independent"]
    assert rows["invalid"]["value"] == rows["exact_copies"]["independent"] == 0
    assert rows["association_gap"]["floor"] < 0.5 * rows["association_gap"]["independent"]
    assert [column["name"] for column in result["columns"]] == ["age", HOSTILE, "score", "since", "old", "heading"]
    source = open_source(trained[1], heldout=0.4)
    gone = np.isnan(source.values(source.split.heldout).numpy()[:, 1]).mean()
    assert result["columns"][1]["missing_real"] == pytest.approx(gone)
    drawn = open_sampler(run).draw(200, seed=3)
    assert result["columns"][1]["missing"] == pytest.approx(np.isnan(drawn[:, 1]).mean())
    assert (
        "old with AUC" in result["verdict"]["sentence"]
        and "no guarantee of privacy" in result["memorisation"]["privacy"]
    )
    pictures = [result["pictures"]["marginals"], *(pair["picture"] for pair in result["pairs"])]
    assert len(pictures) == 7 and all((run / path).stat().st_size > 1000 for path in pictures)


@pytest.mark.usefixtures("quick_figures")
def test_a_generator_that_returns_training_rows_is_flagged(
    run: Path, trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(trained[1], heldout=0.4)
    copied = source.values(source.split.train).numpy()
    monkeypatch.setattr("wassergan.sampling.sampler.Sampler.draw", lambda self, count, *, seed: copied[:count])
    result = judged(run, count=240)
    assert "memorised" in result["verdict"]["flags"]
    assert result["memorisation"]["exact_copies"] > 0.95 and result["memorisation"]["share_near_copies"] == 1
    rows = rows_of(result)
    assert rows["tstr"]["value"] == pytest.approx(rows["tstr"]["floor"], abs=0.02)


@pytest.mark.usefixtures("quick_figures")
def test_another_table_is_read_in_the_numbers_of_the_run(run: Path, tmp_path: Path) -> None:
    rows_of_two = "yes,2020-01-03,x,1.25,30,baker,7\nno,2020-01-04,y,99,31,,8\n"
    table = "old,since,extra,score,age,HOSTILE,heading\n" + rows_of_two * 30
    (tmp_path / "other.csv").write_text(table.replace("HOSTILE", HOSTILE))
    codec = open_sampler(run).codec
    assert isinstance(codec, TableCodec)
    rows = read_rows(tmp_path / "other.csv", codec)
    assert rows.shape == (60, 6) and rows[0, 0] == 30 and rows[1, 2] == 99
    assert rows[0, 1] == len(codec.columns[1].names) and np.isnan(rows[1, 1])  # a baker is no level of the run's
    assert codec.columns[3].form.texts(rows[:2, 3]) == ["2020-01-03", "2020-01-04"]
    assert codec.columns[4].form.texts(rows[:2, 4]) == ["yes", "no"]
    result = judged(run, against=str(tmp_path / "other.csv"), target="old", count=100)
    assert result["protocol"]["heldout"] == 60 and result["protocol"]["target_note"] == "named by `target`"
    assert rows_of(result)["invalid"]["floor"] == 1  # bakers in one half, a score out of range in the other


def test_columns_without_values_are_judged_and_drawn(tmp_path: Path) -> None:
    lines = text().splitlines()
    (tmp_path / "gaps.csv").write_text("\n".join([f"{lines[0]},gone,once", *(f"{each},," for each in lines[1:]), ""]))
    widths: dict[str, Any] = {"generator_widths": (16,), "critic_widths": (16,), "batch_size": 32, "previews": False}
    train_run(TrainSettings(str(tmp_path / "gaps.csv"), steps=2, tensorboard=False, **widths), tmp_path / "run")
    with hurried():
        result = judged(tmp_path / "run", count=100, seed=0)
    gone = next(column for column in result["columns"] if column["name"] == "gone")
    assert gone["missing"] == gone["missing_real"] == 1 and gone["distance"] == gone["invalid"] == 0
    assert result["pairs"] and not any({"gone", "once"} & set(pair["columns"]) for pair in result["pairs"])
    assert len(visualize_run(tmp_path / "run", tmp_path / "drawn", count=80)) == 2


def test_other_formats_hold_the_same_rows(trained: tuple[Path, Path], tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    codec = open_sampler(trained[0]).codec
    assert isinstance(codec, TableCodec)
    frame = pandas.read_csv(trained[1])
    frame["since"] = pandas.to_datetime(frame["since"])
    frame.to_parquet(tmp_path / "people.parquet")
    expected = read_rows(trained[1], codec)
    np.testing.assert_array_equal(read_rows(tmp_path / "people.parquet", codec), expected)
    np.testing.assert_array_equal(read_rows(frame, codec), expected)


def test_other_tables_are_read_as_the_schema_says(tmp_path: Path) -> None:
    """Words for missing values, what is taken as missing, and a delimiter that cannot be told."""
    lines = ["a b|c\n", *(f"{row % 7}|{row % 5}\n" for row in range(60)), "gone|1\n", "nil|2\n"]
    (tmp_path / "train.csv").write_text("".join(lines))
    (tmp_path / "other.csv").write_text("a b|c\n1|gone\nnil|x\n2|3\n")
    said = {"delimiter": "|", "missing": ["gone", "nil"], "columns": {"c": {"kind": "number", "invalid": "missing"}}}
    (tmp_path / "schema.json").write_text(json.dumps(said))
    codec = open_source(tmp_path / "train.csv", schema=tmp_path / "schema.json").codec
    assert isinstance(codec, TableCodec)
    rows = read_rows(tmp_path / "other.csv", codec, schema=tmp_path / "schema.json")
    np.testing.assert_array_equal(rows, [[1, np.nan], [np.nan, np.nan], [2, 3]])


def test_tables_that_cannot_be_held_against_a_run_are_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    codec = open_sampler(trained[0]).codec
    assert isinstance(codec, TableCodec)
    (tmp_path / "less.csv").write_text("age,score\n1,2\n3,4\n")
    with pytest.raises(UserError, match=r"less.csv lacks columns of the run's table: <script>.*, since, old"):
        read_rows(tmp_path / "less.csv", codec)
    with pytest.raises(UserError, match="There is no .*gone.csv"):
        read_rows(tmp_path / "gone.csv", codec)
    np.save(tmp_path / "a.npy", np.zeros((3, 3)))
    with pytest.raises(UserError, match="a.npy is no table. Give a CSV, Parquet"):
        read_rows(tmp_path / "a.npy", codec)
    (tmp_path / "words.csv").write_text(text().replace(",no\n", ",no\n").replace("\n2", "\nold2"))
    with pytest.raises(UserError, match="Column age of words.csv does not hold numbers alone"):
        read_rows(tmp_path / "words.csv", codec)


def test_what_cannot_be_judged_is_said(run: Path, finished_run: Path, refused: Callable[..., str]) -> None:
    assert refused("evaluate", run, "--target", "odl").startswith(
        "Unknown column to predict: 'odl'. Did you mean 'old'"
    )
    assert refused("evaluate", run, "--features", "random-conv").startswith("Tables are judged on their own columns")
    assert refused("evaluate", run, "--count", "9") == "Judging needs 10 generated rows: 9. Draw more with --count."
    assert refused("evaluate", finished_run, "--target", "x").startswith(
        "A column to predict is for tables: --target x"
    )
    assert not (run / "metrics.json").exists()


def test_a_run_on_a_frame_needs_its_data_named(run: Path) -> None:
    path = run / "checkpoints" / "latest.pt"
    content = torch.load(path, weights_only=True)
    content["settings"]["data"] = ""
    torch.save(content, path)
    with pytest.raises(UserError, match="trained on data in memory. Say where the data lie with `data`"):
        judged(run)


@pytest.mark.usefixtures("quick_figures")
def test_the_command_says_target_and_anchors(run: Path, cli: Callable[..., Any]) -> None:
    said = cli("evaluate", run, "--count", "50")
    assert said.code == 0
    assert re.search(r"metric +value +real +independent +samples", said.out)
    assert "Target: 'old' (the last column that real rows predict). SDMetrics: SDMetrics is not installed." in said.out
    assert "Pictures: evaluation/marginals.png, evaluation/pair-1.png" in said.out


def test_the_page_shows_a_table_and_runs_nothing_of_it(found: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    run = shutil.copytree(found[0], tmp_path / "run")
    page = write_run_report(run).read_text(encoding="utf-8")
    assert HOSTILE not in page and page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert '<th scope="col">Independent</th>' in page and 'id="columns-title"' in page
    assert page.count('<figure class="panel">') == 6 and "no guarantee of privacy" in page
    for path in (run / "evaluation").glob("pair-*.png"):
        path.unlink()
    assert '<figure class="panel">' not in write_run_report(run).read_text(encoding="utf-8")


def test_sdmetrics_is_asked_if_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def score(columns: object, real: np.ndarray, fake: np.ndarray) -> float:
        asked.append((len(real), len(fake)))
        return 0.5 + len(asked) / 10

    made, real, held, apart = (Samples(np.zeros((n, 1)), torch.zeros(n, 1)) for n in (50, 240, 160, 230))
    case = EvaluationData((TableColumn("a", "number"),), made, real, held, apart, target=None, trained=real.rows)
    monkeypatch.setattr(judge_tables, "quality_version", lambda: "9.9")
    monkeypatch.setattr(judge_tables, "quality_score", score)
    row, told = judge_tables.quality_row(case)
    assert row is not None and told == "9.9" and row.note.startswith("SDMetrics 9.9; against the training rows")
    assert (row.value, row.floor, row.independent) == pytest.approx((0.6, 0.7, 0.8))
    assert asked == [(240, 50), (240, 160), (240, 230)]

    def broken(columns: object, real: np.ndarray, fake: np.ndarray) -> float:
        raise ImportError("No module named 'half_of_it'")

    monkeypatch.setattr(judge_tables, "quality_score", broken)
    assert judge_tables.quality_row(case) == (None, "SDMetrics 9.9 cannot be used: No module named 'half_of_it'")


def test_sdmetrics_itself_finds_real_rows_better_than_independent_ones(trained: tuple[Path, Path]) -> None:
    pytest.importorskip("sdmetrics", reason="SDMetrics is not installed, and no extra of ours brings it")
    from wassergan.evaluation.tables import columns_of, independent

    source = open_source(trained[1], heldout=0.4)
    rows = source.values(torch.arange(len(source))).numpy()
    columns = columns_of(source.codec)  # type: ignore[arg-type]
    assert quality.quality_score(columns, rows, rows) == pytest.approx(1)
    assert quality.quality_score(columns, rows, independent(rows, seed=0)) < 0.95


@pytest.mark.slow
def test_look_draws_marginals_and_pairs_with_and_without_the_data(run: Path, tmp_path: Path) -> None:
    files = visualize_run(run, tmp_path / "visualize", count=80)
    assert [path.name for path in files] == ["marginals.png", "pairs.png"]
    assert sorted(files) == sorted((tmp_path / "visualize").iterdir())
    again = visualize_run(run, tmp_path / "again", count=80)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    path = run / "checkpoints" / "latest.pt"
    content = torch.load(path, weights_only=True)
    content["settings"]["data"] = "gone.csv"
    torch.save(content, path)
    said: list[str] = []
    assert len(visualize_run(run, tmp_path / "alone", count=80, log=said.append)) == 2
    assert said[0].startswith("Real samples are left out: There is no gone.csv")


@pytest.mark.parametrize("name", ["safetensors", "pt2", "onnx"])
def test_exported_generators_draw_the_run_s_own_rows(run: Path, tmp_path: Path, name: str) -> None:
    for package in {"safetensors": ("safetensors",), "onnx": ("onnx", "onnxscript", "onnxruntime")}.get(name, ()):
        pytest.importorskip(package)
    sampler = open_sampler(run, device="cpu")
    path = tmp_path / f"g.{name}"
    assert export_run(run, path) == 6
    if name == "safetensors":
        np.testing.assert_array_equal(open_export(path).draw(300, seed=4), sampler.draw(300, seed=4))
        return
    latent = torch.randn(300, sampler.latent_dim, generator=torch.Generator().manual_seed(0))
    if name == "pt2":
        extra = {"wassergan.json": ""}
        samples = torch.export.load(path, extra_files=extra).module()(latent).detach()
        description = json.loads(extra["wassergan.json"])
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        samples = torch.from_numpy(session.run(["samples"], {"latent": latent.numpy()})[0])
        description = json.loads(session.get_modelmeta().custom_metadata_map["wassergan"])
    with torch.no_grad():
        expected = sampler.generator(latent)
    torch.testing.assert_close(samples, expected, rtol=1e-5, atol=2e-6)
    decoded = codec_of(description).decode(samples).numpy()
    np.testing.assert_allclose(decoded, sampler.codec.decode(expected).numpy(), rtol=1e-4)
    places = [column["place"] for column in description["decoder"]["columns"]]
    assert (
        [place["start"] for place in places]
        == np.cumsum([0, *(f.width for f in sampler.codec.column_layouts)])[  # type: ignore[attr-defined]
            :-1
        ].tolist()
    )
    assert "noise" in description["usage"][0]
