"""`wassergan demo`: textbook examples, computed before your eyes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from wassergan.cli.echo import echo
from wassergan.errors import UserError

THETAS = tuple(k / 20 for k in range(-20, 21))
SHOWN = (-1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0)


@click.group()
def demo() -> None:
    """Textbook examples, computed on the spot."""


@demo.command()
@click.option("--out", type=click.Path(path_type=Path), help="The figure, a .png, .svg or .pdf file [lines.png].")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the critics' initial weights.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lines(out: Path | None, seed: int, as_json: bool) -> None:
    """Two parallel lines at distance θ: TV, KL, JS and W1, their slopes, and what a generator learns from them.

    \b
    Examples:
      wassergan demo lines
      wassergan demo lines --out figures/lines.svg --json
    """
    out = out or Path("lines.png")
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise UserError("The figure is a .png, .svg or .pdf file", found=f"'{out}'")
    if not out.parent.is_dir():
        raise UserError("There is no folder for the figure", found=f"'{out.parent}'")

    import torch

    from wassergan.distances.parallel_lines import OBJECTIVES, distances_between_lines, train_on_lines
    from wassergan.plots import lines_figure, save_figure
    from wassergan.storage.run_folder import require_output

    require_output(out)
    distances = [distances_between_lines(theta) for theta in THETAS]
    trainings = [train_on_lines(name, start=0.8, rng=torch.Generator().manual_seed(seed)) for name in OBJECTIVES]
    save_figure(lines_figure([asdict(row) for row in distances], [asdict(row) for row in trainings]), out)
    if as_json:
        rows = [_finite(asdict(row)) for row in distances]
        echo(json.dumps({"distances": rows, "trainings": [asdict(t) for t in trainings], "figure": str(out)}))
        return
    echo(f"{'θ':>6} {'TV':>8} {'KL':>8} {'JS':>8} {'W1':>8} {'dTV/dθ':>8} {'dJS/dθ':>8} {'dW1/dθ':>8}")
    for row in distances:
        if row.theta in SHOWN:
            echo(f"{row.theta:6.2f} " + " ".join(_cell(value) for value in list(asdict(row).values())[1:]))
    echo("\nJS = log 2 = 0.6931 and TV = 1 wherever the lines do not touch: no slope, nothing to learn from.\n")
    echo(f"{'generator trained by':<24} {'first θ':>8} {'last θ':>8} {'first gradient':>15} {'at half way':>12}")
    for training in trainings:
        gradient = training.gradient
        echo(
            f"{training.objective:<24} {training.theta[0]:8.3f} {training.theta[-1]:8.3f} {gradient[0]:15.4f} "
            f"{gradient[len(gradient) // 2]:12.4f}"
        )
    echo(f"\nFigure: {out}")


def _cell(value: float) -> str:
    if value != value:
        return f"{'-':>8}"
    return f"{'∞':>8}" if value == float("inf") else f"{value + 0.0:8.4f}"


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no ∞ and no NaN: a string and null stand for them."""
    return {name: None if value != value else "inf" if value == float("inf") else value for name, value in row.items()}
