"""Photographs: the colours of one picture moved onto another's along the cheapest plan, whose cost is W1."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import cKDTree
from sklearn.datasets import load_sample_images

from wassergan.distances import exact_w1


def main(steps: int = 600) -> None:
    china, flower = (picture[::4, ::4] / 255 for picture in load_sample_images().images)
    rng = np.random.default_rng(0)
    own, other = (picture.reshape(-1, 3) for picture in (china, flower))
    x, y = (rows[rng.choice(len(rows), max(50, steps), replace=False)] for rows in (own, other))

    result = exact_w1(x, y)
    print(f"W1 of the colours: {result.value.item():.4f}, certified to lie in [{result.lower:.6f}, {result.upper:.6f}]")
    print(f"from grey level to grey level alone: {np.abs(np.sort(x.mean(1)) - np.sort(y.mean(1))).mean():.4f}")
    plan = result.plan.to_dense()
    plan = np.asarray(plan)
    shift = (plan @ y) / plan.sum(1, keepdims=True) - x
    print(f"{np.count_nonzero(plan)} of {plan.size} pairs are used: a plan is nearly a map")

    distance, near = cKDTree(x).query(own, k=8)
    weight = np.exp(-((distance / 0.1) ** 2)) + 1e-9
    moved = own + (shift[near] * weight[..., None]).sum(1) / weight.sum(1, keepdims=True)
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.6))
    pictures = (china, flower, moved.reshape(china.shape).clip(0, 1))
    for axis, name, picture in zip(axes, ("a picture", "the colours of", "together"), pictures, strict=True):
        axis.imshow(picture)
        axis.set(title=name, xticks=[], yticks=[])
    figure.savefig("colours.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
