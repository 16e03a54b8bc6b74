"""Weather: fields of temperature on a grid with missing cells, in kelvins and with the land mask kept."""

import matplotlib.pyplot as plt
import numpy as np

from wassergan import WassersteinGAN


def fields(count: int, seed: int) -> np.ndarray:
    """(n, 16, 16) kelvins: a front at a random place and angle; NaN where no sea is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:16j, -1:1:16j]
    angle, place = rng.normal(0.5, 0.3, (count, 1, 1)), rng.normal(0, 0.4, (count, 1, 1))
    front = np.tanh(4 * (x * np.cos(angle) + y * np.sin(angle) - place))
    found = 285 + 6 * front - 4 * y + rng.normal(0, 0.1, (count, 16, 16))
    found[:, (x + 0.6) ** 2 + (y - 0.5) ** 2 < 0.15] = np.nan
    return found.astype("float32")


def main(steps: int = 800) -> None:
    real = fields(1500, seed=0)
    made = WassersteinGAN(steps=steps, random_state=0).fit(real).sample(500, seed=1)
    print("the same cells are missing:", bool((np.isnan(made) == np.isnan(real[0])).all()))
    print(f"mean {np.nanmean(real):.2f} K real, {np.nanmean(made):.2f} K generated")
    contrast = [np.nanmean(rows[:, :, -2:], (1, 2)) - np.nanmean(rows[:, :, :2], (1, 2)) for rows in (real, made)]
    print(f"east minus west: {contrast[0].mean():.2f} K real, {contrast[1].mean():.2f} K generated")

    figure, axes = plt.subplots(2, 5, figsize=(10, 4.2))
    for row, (name, samples) in enumerate((("real", real), ("generated", made))):
        for column in range(5):
            picture = axes[row, column].imshow(samples[column], vmin=272, vmax=298, cmap="coolwarm", origin="lower")
            axes[row, column].set(xticks=[], yticks=[], ylabel=name if column == 0 else "")
    figure.colorbar(picture, ax=axes, label="K")
    figure.savefig("temperature.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
