"""Finance: daily returns of three assets with heavy tails that fall together; quantiles beside quantiles."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from wassergan import WassersteinGAN

NAMES = ["stocks", "bonds", "gold"]


def returns(count: int, seed: int) -> pd.DataFrame:
    """Per cent a day: a common shock of Student's t with 4 degrees of freedom, and each asset's own."""
    rng = np.random.default_rng(seed)
    common, own = rng.standard_t(4, (count, 1)), rng.standard_t(6, (count, 3))
    shares = np.array([[0.8, -0.1, 0.2]])
    scale = np.array([1.0, 0.3, 0.8])
    return pd.DataFrame(scale * (shares * common + np.sqrt(1 - shares**2) * own), columns=NAMES).round(3)


def main(steps: int = 1200) -> None:
    real = returns(4000, seed=0)
    made = WassersteinGAN(steps=steps, random_state=0).fit(real).sample(4000, seed=1)
    for name in NAMES:
        worst = [np.quantile(rows[name], 0.01) for rows in (real, made)]
        print(f"{name}: worst day in a hundred {worst[0]:.2f} % real, {worst[1]:.2f} % generated")
    both = [rows["stocks"].corr(rows["gold"]) for rows in (real, made)]
    print(f"correlation of stocks and gold: {both[0]:.2f} real, {both[1]:.2f} generated")

    levels = np.linspace(0.002, 0.998, 200)
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2))
    for axis, name in zip(axes, NAMES, strict=True):
        quantiles = [np.quantile(rows[name], levels) for rows in (real, made)]
        axis.plot(*quantiles, ".", markersize=3)
        axis.axline((0, 0), slope=1, color="0.6", linewidth=1)
        axis.set(title=name, xlabel="quantiles of real returns, %")
    axes[0].set_ylabel("of generated returns, %")
    figure.savefig("returns.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
