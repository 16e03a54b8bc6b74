"""Physics: events in a detector, with an angle that wraps around and an energy that falls off as a power."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from wassergan import WassersteinGAN


def events(count: int, seed: int) -> pd.DataFrame:
    """Energy in GeV, azimuth in degrees, and the detector's layer: energetic events go deeper and lie around 0."""
    rng = np.random.default_rng(seed)
    energy = np.round(5 * (1 - rng.random(count)) ** (-1 / 2.5), 2).clip(max=200)
    azimuth = np.round((rng.normal(0, 400 / energy, count) + 180) % 360 - 180, 1)
    layer = np.array(["inner", "middle", "outer"])[np.digitize(energy * rng.lognormal(0, 0.2, count), [8, 15])]
    return pd.DataFrame({"energy": energy, "azimuth": azimuth, "layer": layer})


def main(steps: int = 1200) -> None:
    real = events(4000, seed=0)
    schema = {"columns": {"azimuth": "angle"}}
    made = WassersteinGAN(steps=steps, schema=schema, random_state=0).fit(real).sample(4000, seed=1)
    for layer, rows in real.groupby("layer"):
        own = made[made["layer"] == layer]
        print(
            f"{layer}: {len(rows) / len(real):.2f} of real events, {len(own) / len(made):.2f} of generated ones; "
            f"median energy {rows['energy'].median():.1f} and {own['energy'].median():.1f} GeV"
        )

    figure, axes = plt.subplots(1, 2, figsize=(9, 4), subplot_kw={"projection": "polar"})
    for axis, name, rows in ((axes[0], "real", real), (axes[1], "generated", made)):
        axis.scatter(np.radians(rows["azimuth"]), np.log10(rows["energy"]), s=3, alpha=0.4)
        axis.set(title=f"{name}: log energy over azimuth", ylim=(0.5, 2.4))
    figure.savefig("detector.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
