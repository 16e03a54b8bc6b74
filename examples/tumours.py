"""Medicine: can a classifier be trained on generated patients? Breast tumours of scikit-learn, 569 rows."""

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wassergan import WassersteinGAN

COLUMNS = ["mean radius", "mean texture", "mean smoothness", "mean concavity", "mean symmetry"]


def main(steps: int = 1000) -> None:
    frame = load_breast_cancer(as_frame=True).frame[[*COLUMNS, "target"]]
    train, test = train_test_split(frame, test_size=0.3, random_state=0, stratify=frame["target"])
    made = WassersteinGAN(steps=steps, random_state=0).fit(train).sample(1000, seed=1)
    shuffled = train.apply(lambda column: column.sample(frac=1, random_state=len(column.name)).to_numpy())

    areas = {}
    for name, rows in (("real patients", train), ("generated patients", made), ("shuffled columns", shuffled)):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[COLUMNS], rows["target"])
        areas[name] = roc_auc_score(test["target"], model.predict_proba(test[COLUMNS])[:, 1])
        print(f"trained on {name}: area under the curve {areas[name]:.3f} on {len(test)} real test patients")

    figure, axis = plt.subplots(figsize=(6, 2.4))
    axis.barh(list(areas), list(areas.values()), color=["C0", "C1", "0.6"])
    axis.set(xlim=(0, 1), xlabel="area under the ROC curve, real test patients")
    figure.savefig("tumours.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
