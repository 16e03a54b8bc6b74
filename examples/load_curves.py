"""Energy: daily load curves of households, working days and weekends, drawn under the kind of day."""

import matplotlib.pyplot as plt
import numpy as np

from wassergan import WassersteinGAN

HOURS = np.arange(24)


def days(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 24) kilowatts and the kind of each day."""
    rng = np.random.default_rng(seed)
    kinds = np.where(rng.random(count) < 5 / 7, "working day", "weekend")
    wake = np.where(kinds == "working day", 7, 9.5) + rng.normal(0, 0.5, count)
    morning = np.exp(-((HOURS - wake[:, None]) ** 2) / 3) * rng.gamma(8, 0.1, (count, 1))
    evening = np.exp(-((HOURS - 19.5) ** 2) / 8) * rng.gamma(12, 0.12, (count, 1))
    return (0.3 + morning + evening + rng.gamma(4, 0.01, (count, 24))).astype("float32"), kinds


def main(steps: int = 1000) -> None:
    curves, kinds = days(3000, seed=0)
    gan = WassersteinGAN(steps=steps, random_state=0).fit(curves, kinds)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True)
    for axis, kind in zip(axes, ("working day", "weekend"), strict=True):
        real, made = curves[kinds == kind], gan.sample(500, given=kind, seed=1)
        for rows, colour, name in ((real, "C0", "real"), (made, "C1", "generated")):
            low, high = np.quantile(rows, [0.1, 0.9], axis=0)
            axis.fill_between(HOURS, low, high, color=colour, alpha=0.25)
            axis.plot(HOURS, rows.mean(0), color=colour, label=name)
            print(f"{kind}, {name}: peak at {HOURS[rows.mean(0).argmax()]} h, {rows.sum(1).mean():.1f} kWh a day")
        axis.set(title=f"{kind}: mean, and the middle 80 %", xlabel="hour")
    axes[0].set_ylabel("kW")
    axes[0].legend()
    figure.savefig("load_curves.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
