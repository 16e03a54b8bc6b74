"""W1 of two samples in ten dimensions: exact, as an interval, and of the distributions behind them."""

import numpy as np

from wassergan.distances import W1Estimator, exact_w1, sliced_w1, w1_interval


def main(steps: int = 500, count: int = 1000) -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=(count, 10))
    after = rng.normal(size=(count, 10)) + 0.5 * np.eye(10)[0]  # moved by 0.5 along one axis: W1 is 0.5

    exact = exact_w1(before, after)
    print(f"of the samples, exactly: {exact.value:.4f}, certified to lie in [{exact.lower:.4f}, {exact.upper:.4f}]")

    interval = w1_interval(before, after, rng=0, budget_seconds=5.0)
    print(f"of the samples, bounds alone: [{interval.lower:.4f}, {interval.upper:.4f}]")

    estimate = W1Estimator(steps=steps, confidence=0.99).estimate(before, after, rng=0)
    print(f"of the distributions, at 99 % confidence: at least {estimate.lower:.4f}, at every sample size")

    sliced = sliced_w1(before, after, rng=0)
    print(f"sliced W1: {sliced:.4f}, a different and smaller number: the mean over directions")


if __name__ == "__main__":
    main()
