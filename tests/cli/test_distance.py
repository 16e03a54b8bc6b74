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
    assert "Method: interval, since the laws behind" in asked(files, capsys, "--population")[2]


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
            ["the laws that the samples", "with confidence 0.8", "Rests on: ", "at every sample size"],
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
        (["--families", "atoms"], "--families and --diameter serve bounds on the laws"),
        (["--method", "critic", "--families", "atom"], "Unknown family of critics: 'atom'. Did you mean 'atoms'?"),
        (["--projections", "0", "--method", "sliced"], "The number of directions must be at least 1"),
        (["--projections", "-3"], "The number of directions must be at least 1"),
        (["--confidence", "5", "--method", "exact"], "The confidence must lie between 0 and 1: 5"),
        (["--confidence", "nan", "--method", "sliced"], "The confidence must lie between 0 and 1: nan"),
        (["--tolerance", "nan", "--method", "exact"], "The tolerance must be finite and not negative"),
        (["--method", "critic", "--diameter", "-1"], "The diameter must be positive and finite: -1"),
        (["--diameter", "0"], "--families and --diameter serve bounds on the laws"),
        (["--bound", "asymptotic"], "--bound serves bounds on the laws"),
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
    # Normal laws of one covariance with means (1, 1, 1) apart: W1 = √3.
    assert 0 < facts["lower"] <= facts["estimate"]
    assert facts["lower"] <= np.sqrt(3)
    assert (facts["family"], facts["confidence"], facts["upper"]) == ("atoms", 0.9, None)
    assert facts["bound"] == "finite-sample" and "every sample size" in facts["rests_on"]
    assert facts["fits"]["atoms"]["constant"] == 1
    assert facts["fits"]["gp"]["heuristic"] is not None
    assert facts["fits"]["atoms"]["curve"]
    code, out, _ = asked(files, capsys, *flags)
    assert "W1 of the laws ≥ " in out and "with confidence 0.9 (family atoms" in out
    assert "heuristic" in out.split("gp: value")[1] and "(no bound)" in out


def test_critics_may_compete_for_the_interval_of_the_laws(files, capsys):
    code, out, _ = asked(files, capsys, "--population", "--families", "atoms", "--budget", "2s", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["question"].startswith("How far apart are the laws")
    assert 0 <= facts["lower"] <= np.sqrt(3)
