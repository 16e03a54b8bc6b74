"""Materials: two-phase microstructures as pictures, compared by the statistic that engineers use."""

import matplotlib.pyplot as plt
import numpy as np

from wassergan import WassersteinGAN

SIDE = 16


def structures(count: int, seed: int) -> np.ndarray:
    """(n, 16, 16) uint8: smoothed noise above its 60th percentile, which is what spinodal phases look like."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    band = np.exp(-((frequency - 0.12) ** 2) / 0.002)
    smooth = np.fft.ifft2(np.fft.fft2(rng.normal(size=(count, SIDE, SIDE))) * band).real
    return np.where(smooth > np.quantile(smooth, 0.6), 255, 0).astype("uint8")


def correlation(pictures: np.ndarray) -> np.ndarray:
    """Probability that two cells of a row at distance 0, 1, 2, ... are both of the bright phase."""
    bright = pictures > 127
    return np.array([(bright[..., : SIDE - shift] & bright[..., shift:]).mean() for shift in range(SIDE // 2)])


def main(steps: int = 500) -> None:
    real = structures(2000, seed=0)
    made = WassersteinGAN(steps=steps, random_state=0).fit(real).sample(500, seed=1)
    print(f"volume fraction of the bright phase: {(real > 127).mean():.3f} real, {(made > 127).mean():.3f} generated")
    found = {"real": correlation(real), "generated": correlation(made)}
    for name, curve in found.items():
        print(f"two-point correlation, {name}: " + " ".join(f"{each:.2f}" for each in curve))

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2))
    for axis, name, pictures in ((axes[0], "real", real), (axes[1], "generated", made)):
        grid = pictures[:16].reshape(4, 4, SIDE, SIDE).swapaxes(1, 2).reshape(4 * SIDE, 4 * SIDE)
        axis.imshow(grid, cmap="gray")
        axis.set(title=name, xticks=[], yticks=[])
    for name, curve in found.items():
        axes[2].plot(curve, marker="o", label=name)
    axes[2].set(xlabel="distance, cells", title="two-point correlation")
    axes[2].legend()
    figure.savefig("microstructure.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
