import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from wassergan.cli.main import main
from wassergan.distances import exact_transport


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clouds")
    rng = np.random.default_rng(0)
    clouds = {"a": rng.normal(size=(90, 3)), "b": rng.normal(size=(60, 3)) + 1, "wide": rng.normal(size=(50, 4))}
    for name, points in clouds.items():
        np.save(folder / f"{name}.npy", points)
    return folder, clouds


def asked(files, capsys, *flags, a="a", b="b"):
    folder, _ = files
    code = main(["distance", str(folder / f"{a}.npy"), str(folder / f"{b}.npy"), *flags])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("method", ["auto", "exact", "interval"])
def test_the_numbers_are_those_of_the_library(files, capsys, method):
    code, out, _ = asked(files, capsys, "--method", method, "--json", "--tolerance", "1e-6")
    facts = json.loads(out)
    value = exact_transport(cdist(files[1]["a"], files[1]["b"])).value.item()
    assert code == 0
    assert {"estimate", "lower", "upper", "method", "n", "m", "dim", "seconds"} <= set(facts)
    assert (facts["n"], facts["m"], facts["dim"]) == (90, 60, 3)
    # The arrays come back from the source in its own float32 or float64: close, not equal.
    assert facts["estimate"] == pytest.approx(value, rel=1e-6)
    assert facts["lower"] <= facts["estimate"] <= facts["upper"]


def test_auto_says_why(files, capsys, monkeypatch):
    assert "Method: exact, since 90 x 60 pairs are few enough." in asked(files, capsys)[2]
    monkeypatch.setattr("wassergan.cli.distance.EXACT_PAIRS", 10)
    assert "Method: interval, since 90 x 60 pairs are too many" in asked(files, capsys)[2]
    assert "Method: interval, since the distributions behind" in asked(files, capsys, "--population")[2]


def test_sliced_is_no_bound(files, capsys):
    _, out, _ = asked(files, capsys, "--method", "sliced", "--json", "--projections", "300")
    facts = json.loads(out)
    assert facts["lower"] is None
    assert facts["upper"] is None
    assert 0 < facts["standard_error"] < facts["estimate"] / 5
    assert facts["projections"] == 300


def test_the_seed_chooses_the_directions(files, capsys):
    values = [asked(files, capsys, "--method", "sliced", "--json", "--seed", str(s))[1] for s in (1, 1, 2)]
    first, same, other = (json.loads(v)["estimate"] for v in values)
    assert first == same != other


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--method", "exact"], ["W1 = ", "certified within [", "90 against 60 samples of 3 numbers"]),
        (["--method", "sliced"], ["Sliced W1 = ", "standard error of the directions"]),
        (["--method", "interval"], ["How far apart are these two samples?", "W1 in [", "stopped by tolerance"]),
        (
            ["--population", "--confidence", "0.8"],
            ["the distributions that the samples", "with confidence 0.8", "Rests on: ", "at every sample size"],
        ),
        (["--population", "--bound", "asymptotic"], ["as the sample size grows", "Welch's t, asymptotic"]),
    ],
)
def test_the_answer_in_words(files, capsys, flags, words):
    code, out, _ = asked(files, capsys, *flags)
    assert code == 0
    for word in words:
        assert word in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method", "exakt"], "Unknown method: 'exakt'. Did you mean 'exact'?"),
        (["--budget", "soon"], "A budget is a positive duration: 'soon'"),
        (
            ["--population", "--method", "exact"],
            "--population is answered by intervals and critics alone: --method exact",
        ),
        (["--families", "atoms"], "--families and --diameter serve bounds on the distributions"),
        (["--method", "critic", "--families", "atom"], "Unknown family of critics: 'atom'. Did you mean 'atoms'?"),
        (["--projections", "0", "--method", "sliced"], "The number of directions must be at least 1"),
        (["--projections", "-3"], "The number of directions must be at least 1"),
        (["--confidence", "5", "--method", "exact"], "The confidence must lie between 0 and 1: 5"),
        (["--confidence", "nan", "--method", "sliced"], "The confidence must lie between 0 and 1: nan"),
        (["--tolerance", "nan", "--method", "exact"], "The tolerance must be finite and not negative"),
        (["--method", "critic", "--diameter", "-1"], "The diameter must be positive and finite: -1"),
        (["--diameter", "0"], "--families and --diameter serve bounds on the distributions"),
        (["--bound", "asymptotic"], "--bound serves bounds on the distributions"),
        (["--method", "critic", "--bound", "welch"], "Unknown method of bounds: 'welch'"),
        (["--method", "critic", "--bound", "asymptotic", "--diameter", "9"], "serves finite-sample bounds alone"),
        (["--population", "--seed", str(2**70)], "A seed is a number of 64 bits"),
        (["--tolerance", "-1", "--method", "interval"], "The tolerance must be finite and not negative"),
    ],
)
def test_wrong_input_ends_with_two(files, capsys, flags, message):
    code, out, err = asked(files, capsys, *flags)
    assert code == 2
    assert message in err
    assert out == ""


def test_samples_of_two_sizes_are_refused(files, capsys):
    code, _, err = asked(files, capsys, b="wide")
    assert code == 2
    assert "A and B must have samples of one size: 3 numbers in" in err


def test_help_imports_nothing_heavy():
    check = (
        "import sys; from wassergan.cli.main import main; main(['distance', '--help']); main(['demo', '--help']);"
        "sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'scipy', 'ot', 'matplotlib')))"
    )
    subprocess.run([sys.executable, "-c", check], check=True, stdout=subprocess.DEVNULL)


def test_critics_bound_the_laws_from_below(files, capsys):
    flags = ["--method", "critic", "--families", "atoms,gp", "--budget", "1s", "--confidence", "0.9"]
    code, out, _ = asked(files, capsys, *flags, "--json")
    facts = json.loads(out)
    assert code == 0
    # Normal distributions of one covariance with means (1, 1, 1) apart: W1 = √3.
    assert 0 < facts["lower"] <= facts["estimate"]
    assert facts["lower"] <= np.sqrt(3)
    assert (facts["family"], facts["confidence"], facts["upper"]) == ("atoms", 0.9, None)
    assert facts["bound"] == "finite-sample" and "every sample size" in facts["rests_on"]
    assert facts["fits"]["atoms"]["constant"] == 1
    assert facts["fits"]["gp"]["heuristic"] is not None
    assert facts["fits"]["atoms"]["curve"]
    code, out, _ = asked(files, capsys, *flags)
    assert "W1 of the distributions ≥ " in out and "with confidence 0.9 (family atoms" in out
    assert "heuristic" in out.split("gp: value")[1] and "(no bound)" in out


def test_critics_may_compete_for_the_interval_of_the_laws(files, capsys):
    code, out, _ = asked(files, capsys, "--population", "--families", "atoms", "--budget", "2s", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["question"].startswith("How far apart are the distributions")
    assert 0 <= facts["lower"] <= np.sqrt(3)


def said(capsys, *words):
    code = main(["distance", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_tables_are_matched_by_name_and_the_metric_is_printed(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rows = [(value, city) for value, city in zip(rng.normal(30, 9, 40).round(2), ["Aachen", "Bonn"] * 20, strict=True)]
    (tmp_path / "a.csv").write_text("age,city\n" + "".join(f"{v},{c}\n" for v, c in rows))
    (tmp_path / "b.csv").write_text("city,age\n" + "".join(f"{c},{v}\n" for v, c in rows[::-1]))
    code, out, _ = said(capsys, tmp_path / "a.csv", tmp_path / "b.csv")
    assert code == 0 and out.startswith("W1 = 0,")
    spread = np.std([value for value, _ in rows])
    assert f"age: 1 per {spread:.6g} (std of A)" in out and "city: 1 between two levels" in out
    (tmp_path / "c.csv").write_text("city,age\n" + "".join(f"{c.replace('A', 'C')},{v}\n" for v, c in rows))
    facts = json.loads(said(capsys, tmp_path / "a.csv", tmp_path / "c.csv", "--category-weight", "0.01", "--json")[1])
    assert facts["estimate"] == pytest.approx(0.005)
    assert facts["ground_metric"]["columns"][1]["weight"] == 0.01
    code, out, _ = said(capsys, tmp_path / "a.csv", tmp_path / "c.csv", "--by-column")
    assert [line.split()[:3] for line in out.splitlines()[1:3]] == [["city", "category", "0.5"], ["age", "number", "0"]]
    facts = json.loads(said(capsys, tmp_path / "a.csv", tmp_path / "c.csv", "--by-column", "--json")[1])
    assert facts["columns"][0]["scaled"] == 0.5 and (facts["n"], facts["m"]) == (40, 40)
    for method in ("interval", "sliced", "critic"):
        code, out, _ = said(
            capsys, tmp_path / "a.csv", tmp_path / "c.csv", "--method", method, "--budget", "1s", "--json"
        )
        facts = json.loads(out)
        assert code == 0 and (facts["lower"] or 0) <= 0.5 and facts["ground_metric"]["norm"]


@pytest.mark.parametrize("streamed", [False, True])
def test_arrays_of_any_layout_are_compared(streamed, tmp_path, capsys, monkeypatch):
    if streamed:
        monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 2**10)
    rng = np.random.default_rng(0)
    line = rng.normal(size=50)
    np.save(tmp_path / "flat.npy", line)
    np.save(tmp_path / "column.npy", line[:, None] + 2)
    code, out, _ = said(capsys, tmp_path / "flat.npy", tmp_path / "column.npy", "--json")
    assert code == 0 and json.loads(out)["estimate"] == pytest.approx(2)
    fields = rng.normal(size=(12, 2, 6, 5))
    np.save(tmp_path / "first.npy", fields)
    np.savez(tmp_path / "last.npz", other=np.zeros((12, 2)), fields=np.moveaxis(fields, 1, 3) + [0, 3])
    pair = (tmp_path / "first.npy", tmp_path / "last.npz", "--key", "fields", "--json")
    assert json.loads(said(capsys, *pair)[1])["estimate"] == pytest.approx(3 * np.sqrt(30))
    found = json.loads(said(capsys, *pair, "--by-column", "--channels", "u,v", "--scale", "range")[1])["columns"]
    assert [(each["name"], each["w1"]) for each in found] == [("v", pytest.approx(3)), ("u", pytest.approx(0))]
    assert found[0]["scaled"] == pytest.approx(3 / np.ptp(fields[:, 1]))
    scaled = json.loads(said(capsys, *pair, "--scale", "std")[1])
    assert scaled["estimate"] == pytest.approx(3 * np.sqrt(30) / fields[:, 1].std())
    assert scaled["ground_metric"]["scales"]["1"] == pytest.approx(fields[:, 1].std())


def test_what_training_needs_is_not_asked_of_data_that_are_measured(tmp_path, capsys):
    from PIL import Image

    for name, array in {"one": np.full((1, 3), 2.0), "equal": np.full((5, 3), 4.0)}.items():
        np.save(tmp_path / f"{name}.npy", array)
    code, out, _ = said(capsys, tmp_path / "one.npy", tmp_path / "equal.npy", "--json")
    assert code == 0 and json.loads(out)["estimate"] == pytest.approx(2 * np.sqrt(3))
    for name, grey in (("dark", 10), ("bright", 13)):
        (tmp_path / name).mkdir()
        for k in range(2):
            Image.new("L", (4, 4), grey).save(tmp_path / name / f"{k}.png")
    code, out, _ = said(capsys, tmp_path / "dark", tmp_path / "bright", "--json")
    assert code == 0 and json.loads(out)["estimate"] == pytest.approx(3 * 4)


def test_missing_numbers_of_arrays_are_named_and_gaps_in_all_rows_are_left_out(tmp_path, capsys):
    values = np.arange(12.0).reshape(4, 3)
    values[2, 1] = np.nan
    np.save(tmp_path / "gap.npy", values)
    np.save(tmp_path / "whole.npy", np.arange(12.0).reshape(4, 3))
    for pair in (("gap", "whole"), ("whole", "gap")):
        code, _, err = said(capsys, *(tmp_path / f"{name}.npy" for name in pair))
        assert code == 2 and "gap.npy holds missing values: the first in row 2, feature number 1" in err
    code, _, err = said(capsys, tmp_path / "whole.npy", tmp_path / "whole.npy", "--missing", "7")
    assert code == 2 and "whole.npy holds missing values: the first in row 2, feature number 1" in err
    land = np.arange(12.0).reshape(4, 3)
    land[:, 1] = np.nan
    np.save(tmp_path / "land.npy", land)
    code, out, err = said(capsys, tmp_path / "land.npy", tmp_path / "land.npy", "--json")
    assert code == 0 and json.loads(out)["dim"] == 2
    assert "Left out 1 of 3 numbers of a sample" in err


@pytest.mark.parametrize("streamed", [False, True])
def test_columns_of_numbers_in_parquet_are_matched_by_name(streamed, tmp_path, capsys, monkeypatch):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({name: rng.normal(size=300) for name in "abc"})
    frame.to_parquet(tmp_path / "a.parquet")
    frame[["c", "a", "b"]].to_parquet(tmp_path / "b.parquet")
    frame.rename(columns={"c": "d"}).to_parquet(tmp_path / "c.parquet")
    if streamed:
        monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 2**10)
    code, out, _ = said(capsys, tmp_path / "a.parquet", tmp_path / "b.parquet", "--json")
    assert code == 0 and json.loads(out)["estimate"] == pytest.approx(0, abs=1e-12)
    code, _, err = said(capsys, tmp_path / "a.parquet", tmp_path / "c.parquet")
    assert code == 2 and "have different columns: c in a.parquet alone and d in c.parquet alone" in err


def test_an_array_without_names_takes_those_of_the_table(tmp_path, capsys):
    values = np.random.default_rng(0).normal(size=(30, 2))
    np.save(tmp_path / "a.npy", values)
    (tmp_path / "b.csv").write_text("u,v\n" + "".join(f"{u!r},{v!r}\n" for u, v in values.tolist()))
    code, out, err = said(capsys, tmp_path / "a.npy", tmp_path / "b.csv", "--json")
    assert code == 0 and json.loads(out)["estimate"] == pytest.approx(0, abs=1e-12)
    assert "a.npy has no names: its numbers are taken for the columns of b.csv" in err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--scale", "sd"], "Unknown scale: 'sd'"),
        (["--category-weight", "2"], "--category-weight and --missing-weight are for tables"),
        (["--missing-weight", "nan"], "A weight must be a finite number above 0: --missing-weight nan"),
        (["--columns", "7"], "Unknown column of a.npy: '7'"),
        (["--by-column", "--method", "sliced"], "--by-column is exact"),
        (["--channels", "u,v"], "a.npy has 3 features: 2 names: u, v"),
    ],
)
def test_wrong_words_about_columns_end_with_two(files, capsys, flags, message):
    code, out, err = asked(files, capsys, *flags)
    assert code == 2 and message in err and out == ""


@pytest.mark.parametrize(
    ("flags", "rows", "hint"),
    [
        ((), 5000, "--method sliced"),
        (("--method", "exact"), 5000, "--method sliced"),
        (("--method", "critic"), 5000, "--method sliced"),
        (("--method", "sliced"), 9000, "Give fewer rows"),
        (("--by-column",), 9000, "--columns"),
    ],
)
def test_more_rows_than_the_memory_holds_are_refused_before_the_work(tmp_path, capsys, monkeypatch, flags, rows, hint):
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "1")
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.zeros((rows, 2)))
    for owner in ("exact_w1", "w1_interval", "sliced_w1_estimate"):
        monkeypatch.setattr(f"wassergan.distances.{owner}", None)  # called it would be a TypeError
    code = main(["distance", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), *flags])
    said = capsys.readouterr().err
    assert code == 2 and f"The distance of {2 * rows:,} rows would fill too much memory" in said and hint in said
