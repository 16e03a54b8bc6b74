import json
from dataclasses import replace
from pathlib import Path

import pytest

from wassergan.config.settings import TrainSettings
from wassergan.errors import UserError
from wassergan.session.throughput import markdown, measure

TINY = TrainSettings(latent_dim=3, generator_widths=(8,), critic_widths=(8,), batch_size=8, critic_steps=2, threads=1)


def test_rows_say_what_was_trained_and_how_fast(points_file: Path) -> None:
    settings = [replace(TINY, data=str(points_file), precision=precision) for precision in ("float32", "bf16")]
    rows = list(measure(settings, seconds=0.2, rounds=2))
    assert [(row.preset, row.precision, row.device, row.threads) for row in rows] == [
        ("default", "float32", "cpu", 1),
        ("default", "bf16", "cpu", 1),
    ]
    for row in rows:
        assert 0 < row.slowest <= row.steps_per_second <= row.fastest
        assert row.samples_per_second == pytest.approx(row.steps_per_second * 2 * 8)
    table = markdown(rows)
    assert table.count("\n") == 4 and "| bf16 |" in table


def test_every_round_takes_at_least_a_step(points_file: Path) -> None:
    (row,) = measure([replace(TINY, data=str(points_file))], seconds=1e-6, rounds=1)
    assert row.steps_per_second > 0


def test_nothing_to_measure_is_told() -> None:
    with pytest.raises(UserError, match="nothing to measure. Name a preset"):
        list(measure([], seconds=1))


def test_the_verb_writes_rows_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wassergan.cli.main import main

    out = tmp_path / "speed.json"
    command = ["benchmark", "speed", "--presets", "default, wgan", "--precision", "float32", "--budget", "0.1s"]
    assert main([*command, "--threads", "1", "--out", str(out), "--json"]) == 0
    rows = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == rows
    assert [row["preset"] for row in rows] == ["default", "wgan"]
    assert (tmp_path / "speed.md").read_text().count("\n") == 4
    assert main([*command, "--out", str(tmp_path / "no" / "speed.json")]) == 2
    assert "no folder for the results" in capsys.readouterr().err
