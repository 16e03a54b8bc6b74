"""Four ways to keep a critic Lipschitz, on two distributions with W1 = 1: the proved constant and the estimated W1."""

from pathlib import Path
from tempfile import TemporaryDirectory

from wassergan.benchmark.w1 import Effort, run

FAMILIES = {
    "atoms": "distances to atoms, 1-Lipschitz by construction",
    "orthogonal": "orthogonal layers, 1-Lipschitz by construction",
    "gp": "gradient penalty: near 1 where it was asked, nothing proved beyond",
    "clip": "clipped weights: a proof far above the gradient norms",
}


def main(steps: int = 250) -> None:
    effort = Effort(steps=steps, test_count=2**15)
    with TemporaryDirectory() as folder:
        rows = run(["cones"], list(FAMILIES), 1, effort, Path(folder) / "w1.json")
    print(f"W1 = {rows[0].w1:.3f}")
    for row in rows:
        said = f"{row.estimate:.3f}, at least {row.lower:.3f} at 99.9 %"
        if row.heuristic is not None:  # the proved constant is far above the gradient norms that occur
            said += f"; divided by the largest gradient norm seen, {row.heuristic:.3f}, which nothing guarantees"
        print(
            f"{row.solver:>10} ({FAMILIES[row.solver]})\n           proved constant {row.constant:.3g}: W1 about {said}"
        )


if __name__ == "__main__":
    main()
