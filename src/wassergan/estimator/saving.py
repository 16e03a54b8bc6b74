"""A fitted estimator in one file: a checkpoint, and beside it what only the estimator knows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from wassergan.config.parsing import whole_number
from wassergan.config.settings import require_present_names
from wassergan.data import Container
from wassergan.errors import UserError, unknown_name
from wassergan.estimator.state import FitState
from wassergan.estimator.validation import plain
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint

FEATURES = ("n_features_in_", "feature_names_in_")
# Entries of a file, the estimator's own and those of a checkpoint, that every version since conditions writes.
SAVED = ("parameters", "features", "seed", "restoring", "labelled", "container")
STATE = ("settings", "shape", "kind", "codec", "conditions", "fingerprint", "trainer", "course", "onward")


@dataclass(frozen=True)
class SavedFit:
    """All that a file holds of a fitted estimator.

    Args:
        parameters: of the estimator, by name.
        features: what scikit-learn noted of the columns.
        fitted: what the fit left behind.
        container: of the rows that were fitted.
        seed: of the fit.
        restoring: whether rows are drawn with the weights of the best tick.
        labelled: whether it was fitted with labels.
        refinement: what refines rows, if anything does.
    """

    parameters: Mapping[str, Any]
    features: Mapping[str, Any]
    fitted: FitState
    container: Container
    seed: int
    restoring: bool
    labelled: bool
    refinement: Mapping[str, Any] | None = None

    def write(self, path: Path) -> None:
        """Write the file, atomically.

        Raises:
            UserError: a parameter is no plain value.
            WorkError: the file system refuses.
        """
        own: dict[str, Any] = {
            name: {each: plain(each, value) for each, value in values.items()}
            for name, values in (("parameters", self.parameters), ("features", self.features))
        }
        own |= {"seed": self.seed, "restoring": self.restoring, "labelled": self.labelled}
        own |= {"refinement": self.refinement} if self.refinement else {}
        save_checkpoint(path, {**self.fitted.state(), "estimator": {**own, "container": self.container.state()}})

    @classmethod
    def of(cls, content: dict[str, Any], path: Path, *, known: Collection[str]) -> Self:
        """The inverse of `write`, of a file's content.

        Args:
            content: from `content_of`.
            path: named in errors.
            known: names of an estimator's parameters.

        Raises:
            UserError: it was saved by another version.
            Exception: any other, where the content is damaged.
        """
        own = content.pop("estimator")
        require_present_names(own["parameters"])
        for kind, names in (("parameter", known), ("feature", FEATURES)):
            for name in own[f"{kind}s"]:
                if name not in names:
                    raise unknown_name(f"{kind} in {path}", str(name), names)
        missing = [name for name in SAVED if name not in own] + [name for name in STATE if name not in content]
        if missing:
            raise UserError(
                f"The estimator in {path} was saved by another version of wassergan",
                found=f"it has no {', '.join(missing)}",
                hint="fit and save it again, or open it with the version that saved it",
            )
        fitted = FitState.from_state(
            {name: each for name, each in content.items() if name not in ("format", "version")}
        )
        fitted.require_sound()
        assert isinstance(own["restoring"], bool) and isinstance(own["labelled"], bool)
        return cls(
            own["parameters"],
            {name: _feature(value) for name, value in own["features"].items()},
            fitted,
            Container.from_state(own["container"]),
            whole_number(str(own["seed"])),
            restoring=own["restoring"],
            labelled=own["labelled"],
            refinement=own.get("refinement"),
        )


def saved_content(path: Path) -> dict[str, Any]:
    """What a file holds.

    Raises:
        UserError: the file is missing or damaged, or holds no estimator.
    """
    content = load_checkpoint(path)
    if "estimator" not in content:
        raise UserError(
            f"The file {path} is a checkpoint of a run, no saved WassersteinGAN",
            hint="open it with wassergan.open_sampler, or fit an estimator and save it",
        )
    return content


def _feature(value: Any) -> Any:
    """A number of features, or their names."""
    if isinstance(value, tuple):
        assert all(isinstance(each, str) for each in value)
        return np.array(value, object)
    assert isinstance(value, int)
    return value
