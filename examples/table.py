"""A DataFrame in, rows of the same types out: dependent columns, and a distance with its floor."""

import numpy as np
import pandas as pd

from wassergan import WassersteinGAN


def patients(count: int, seed: int) -> pd.DataFrame:
    """Synthetic measurements: height depends on sex, weight on height, the ward on age."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["female", "male"], count)
    age = rng.integers(18, 95, count)
    height = np.round(np.where(sex == "male", 178, 165) + rng.normal(0, 7, count), 1)
    weight = np.round(22 * (height / 100) ** 2 + rng.gamma(2, 5, count), 1)
    ward = np.where(age > 70, "geriatrics", rng.choice(["surgery", "medicine"], count))
    return pd.DataFrame({"sex": sex, "age": age, "height": height, "weight": weight, "ward": ward})


def main(steps: int = 1500) -> None:
    frame = patients(2000, seed=0)
    gan = WassersteinGAN(steps=steps, random_state=0).fit(frame)

    made = gan.sample(1000, seed=1)
    print(made.head())
    print("same types:", made.dtypes.equals(frame.dtypes))
    for name, rows in (("real", frame), ("made", made)):
        print(f"{name}: correlation of height and weight {rows['height'].corr(rows['weight']):.2f}")

    last = gan.history_[-1]
    print(f"sliced W1 to held-out rows: {last['sliced_w1']:.3f}; as many real rows have {last['sliced_w1_floor']:.3f}")


if __name__ == "__main__":
    main()
