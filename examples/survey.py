"""Official statistics: a survey with weights, learnt as the population and not as the sample."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from wassergan import WassersteinGAN


def survey(count: int, seed: int) -> pd.DataFrame:
    """Half of the sample lives in the country, where a fifth of the population does: the weights say so."""
    rng = np.random.default_rng(seed)
    region = rng.choice(["city", "country"], count)
    income = np.round(rng.lognormal(np.where(region == "city", 10.4, 10.0), 0.5), -2)
    car = np.where(rng.random(count) < np.where(region == "city", 0.4, 0.9), "yes", "no")
    weight = np.where(region == "city", 0.8, 0.2)
    return pd.DataFrame({"region": region, "income": income, "car": car, "weight": weight})


def main(steps: int = 1000) -> None:
    frame = survey(3000, seed=0)
    rows, weight = frame.drop(columns="weight"), frame["weight"]
    found = {"sample": rows, "population": rows.sample(5000, weights=weight, replace=True, random_state=0)}
    found["generated, with weights"] = WassersteinGAN(steps=steps).fit(frame, sample_weight="weight").sample(5000)
    shares = {}
    for name, each in found.items():
        shares[name] = [(each["region"] == "city").mean(), (each["car"] == "yes").mean()]
        print(
            f"{name}: {shares[name][0]:.2f} live in a city, {shares[name][1]:.2f} have a car, "
            f"median income {each['income'].median():.0f}"
        )

    figure, axis = plt.subplots(figsize=(7, 3))
    for offset, (name, values) in enumerate(shares.items()):
        axis.bar(np.arange(2) + 0.27 * (offset - 1), values, 0.25, label=name)
    axis.set(xticks=[0, 1], xticklabels=["in a city", "with a car"], ylabel="share", ylim=(0, 1))
    axis.legend()
    figure.savefig("survey.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
