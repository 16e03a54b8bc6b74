"""Chemistry: wines by cultivar, drawn under a condition, from scikit-learn's table of 178 wines."""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_wine

from wassergan import WassersteinGAN


def main(steps: int = 800) -> None:
    data = load_wine(as_frame=True)
    frame = data.frame[["alcohol", "flavanoids", "color_intensity", "proline"]]
    frame = frame.assign(cultivar=pd.Categorical.from_codes(data.target, ["Barolo", "Grignolino", "Barbera"]))
    gan = WassersteinGAN(steps=steps, condition="cultivar", random_state=0).fit(frame)

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharex=True, sharey=True)
    for axis, (name, real) in zip(axes, frame.groupby("cultivar", observed=True), strict=True):
        made = gan.sample(len(real), given={"cultivar": name}, seed=1)
        print(
            f"{name}: alcohol {real['alcohol'].mean():.2f} real, {made['alcohol'].mean():.2f} generated; "
            f"colour {real['color_intensity'].mean():.2f} real, {made['color_intensity'].mean():.2f} generated"
        )
        axis.scatter(real["alcohol"], real["color_intensity"], s=12, label="real")
        axis.scatter(made["alcohol"], made["color_intensity"], s=12, marker="x", label="generated")
        axis.set(title=name, xlabel="alcohol, %")
    axes[0].set_ylabel("colour intensity")
    axes[0].legend()
    figure.savefig("wine.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
