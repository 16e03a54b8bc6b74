"""Commerce: did a new checkout change what people spend? W1 in the currency itself, with an exact p-value."""

import matplotlib.pyplot as plt
import numpy as np

from wassergan.distances import wasserstein_line
from wassergan.monitor import two_sample_test


def main(steps: int = 999) -> None:
    rng = np.random.default_rng(0)
    old = rng.lognormal(3.4, 0.6, 1500).round(2)
    new = np.where(rng.random(1400) < 0.12, rng.lognormal(4.6, 0.4, 1400), rng.lognormal(3.4, 0.6, 1400)).round(2)

    distance = wasserstein_line(old, new).item()
    for name, orders in (("before", old), ("after", new)):
        print(f"{name}: mean order {orders.mean():.2f}, median {np.median(orders):.2f}")
    print(f"W1: {distance:.2f}: so much each order must change, on average, to turn the one into the other")
    found = two_sample_test(old[:, None], new[:, None], permutations=max(99, steps))
    print(f"p-value {found.p_value:.4f}, exact; of W1, chance alone explains {found.floor:.2f}")

    levels = np.linspace(0, 1, 400)
    figure, axis = plt.subplots(figsize=(8, 3.2))
    before, after = (np.quantile(each, levels) for each in (old, new))
    axis.plot(levels, before, label="before")
    axis.plot(levels, after, label="after")
    axis.fill_between(levels, before, after, alpha=0.3, label=f"the area is W1, {distance:.2f}")
    axis.set(xlabel="share of orders below", ylabel="order value", ylim=(0, 200))
    axis.legend()
    figure.savefig("order_values.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
