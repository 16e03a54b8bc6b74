"""Medicine: single heartbeats as arrays of voltages, with the distance of each generated sample from the data."""

import matplotlib.pyplot as plt
import numpy as np

from wassergan import WassersteinGAN, sliced_w1

TIME = np.linspace(-0.3, 0.5, 64)
WAVES = ((-0.17, 0.02, 0.15), (-0.03, 0.008, -0.12), (0.0, 0.01, 1.0), (0.03, 0.01, -0.25), (0.25, 0.05, 0.3))


def beats(count: int, seed: int) -> np.ndarray:
    """(n, 64) millivolts: the waves P, Q, R, S, T, each with its own height and place."""
    rng = np.random.default_rng(seed)
    found = rng.normal(0, 0.01, (count, 64))
    for place, width, height in WAVES:
        places = place * rng.normal(1, 0.08, (count, 1))
        heights = height * rng.gamma(40, 1 / 40, (count, 1))
        found += heights * np.exp(-((TIME - places) ** 2) / (2 * width**2))
    return found.astype("float32")


def main(steps: int = 1200) -> None:
    real, others = beats(2000, seed=0), beats(1000, seed=1)
    gan = WassersteinGAN(steps=steps, random_state=0).fit(real)
    made = gan.sample(1000, seed=1)
    noise = real.mean(0) + real.std(0) * np.random.default_rng(2).normal(size=made.shape).astype("float32")
    for name, rows in (("real beats", real[:1000]), ("generated beats", made), ("independent noise", noise)):
        print(f"{name}: sliced W1 to other real beats {sliced_w1(rows, others, rng=0).item():.4f} mV")

    figure, axes = plt.subplots(1, 2, figsize=(10, 3), sharey=True)
    for axis, name, rows in ((axes[0], "real", real), (axes[1], "generated", made)):
        axis.plot(1000 * TIME, rows[:20].T, color="C0", alpha=0.4, linewidth=0.8)
        axis.set(title=name, xlabel="ms")
    axes[0].set_ylabel("mV")
    figure.savefig("heartbeats.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
