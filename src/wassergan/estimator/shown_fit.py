"""What a fitted estimator shows of itself: an evaluation, a figure, a page, and what notebooks print."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wassergan.config.verbs import EvaluateSettings
from wassergan.data import Source
from wassergan.data.paired import require_given
from wassergan.errors import UserError
from wassergan.estimator.drawn_fit import DrawnFit
from wassergan.estimator.evaluation import FitEvaluation, evaluated
from wassergan.estimator.rows import source_of_rows
from wassergan.estimator.showing import FitReport, figure_of, learnt_html, page_result, report_of
from wassergan.estimator.validation import checked, checked_labels, checked_rows, schema_given, weights_apart
from wassergan.modality import modality_of
from wassergan.session.state import CheckpointState


class ShownFit(DrawnFit):
    """A fit that is looked at; `WassersteinGAN` gives the parameters `schema` and `device`."""

    def evaluate(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        *,
        condition_array: Any = None,
        sample_weight: Any = None,
        count: int | None = None,
        features: str = "pixels",
        target: str | None = None,
        seed: int = 0,
    ) -> FitEvaluation:
        """Every metric of generated rows against real ones, each beside its floor, and a verdict in words.

        Rows of the fit are split as they were then: generated rows are compared with the held-out ones, floors come
        from the training ones, and copies of these are looked for. Other rows are cut into two halves by seed: one is
        compared with, the other gives the floors.

        Args:
            X: rows like those that were fitted, or the same.
            y: their labels, if it was fitted with labels; else ignored.
            condition_array: their conditions, if it was fitted under an array.
            sample_weight: their weights, as for `fit`.
            count: of generated rows; as many as there are real ones, but at most 10000, unless given.
            features: of arrays: `pixels` (the values themselves), `random-conv`, `inception` or a file.
            target: of tables: the column that trees learn to predict; chosen unless given.
            seed: of the samples, directions and subsamples.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: rows of another kind or shape, or too few; it is a ValueError.
        """
        state = self._known().checkpoint
        require_given(state.conditions, condition_array)
        source, own = self._real_rows(X, y, sample_weight, state, condition_array)
        settings = EvaluateSettings(
            count=None if count is None else checked("count", count, like="steps"),
            features=features,
            target=target,
            seed=checked("seed", seed),
            device=self.device,
        )
        return evaluated(self._refined(None), source, settings, own=own)

    def plot(self, X: Any = None, y: Any = None, *, count: int | None = None, seed: int = 0) -> Any:  # noqa: N803
        """Samples beside the course of the training, as a figure of matplotlib that notebooks show inline.

        Args:
            X: real rows to draw beside the generated ones, where rows are drawn as plots; None draws none.
            y: their labels, if it was fitted with labels.
            count: of generated rows; as many as the previews of a run have unless given.
            seed: of the samples.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: rows of another kind or shape.
        """
        fitted = self._known()
        count = None if count is None else checked("count", count, like="steps")
        real = None if X is None else self._pictured_rows(X, y, fitted.checkpoint)
        return figure_of(fitted, self._refined(None), count=count, seed=checked("seed", seed), real=real)

    def report(
        self,
        path: str | Path | None = None,
        *,
        X: Any = None,  # noqa: N803
        y: Any = None,
        condition_array: Any = None,
        seed: int = 0,
    ) -> FitReport:
        """The page that a run of the command line has: settings, samples, zoomable curves; notebooks show it inline.

        Args:
            path: where to write it; it is written nowhere unless given.
            X: rows to evaluate it on, as `evaluate` does; the page then has all metrics.
            y: their labels, if it was fitted with labels.
            condition_array: their conditions, if it was fitted under an array.
            seed: of the samples.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: rows of another kind or shape, or no file can be there.
            WorkError: the file system refuses.
        """
        fitted = self._known()
        seed = checked("seed", seed)
        result, real = None, None
        if X is not None:
            evaluation = self.evaluate(X, y, condition_array=condition_array, seed=seed)
            result = page_result(evaluation, fitted)
            real = self._pictured_rows(X, y, fitted.checkpoint, condition_array)
        found = report_of(fitted, self._refined(None), seed=seed, real=real, result=result)
        return found if path is None else replace(found, path=found.write_to(path))

    def _real_rows(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any,
        state: CheckpointState,
        condition_array: Any,
    ) -> tuple[Source, bool]:
        X, sample_weight = weights_apart(X, sample_weight)  # noqa: N806
        if self._labelled and y is None:
            raise UserError("The estimator was fitted with labels", found="none", hint="give them as y")
        labels = checked_labels(y, X) if self._labelled else None
        rows = checked_rows(self, X, reset=False)
        schema = schema_given(self.schema)
        return source_of_rows(rows, labels, sample_weight, state, schema=schema, condition_array=condition_array)

    def _pictured_rows(
        self,
        X: Any,  # noqa: N803
        y: Any,
        state: CheckpointState,
        condition_array: Any = None,
    ) -> NDArray[Any]:
        source, _ = self._real_rows(X, y, None, state, condition_array)
        modality = modality_of(source.kind)
        return modality.training_samples(source, modality.preview_count)

    def _html_repr(self) -> str:
        """What scikit-learn shows of an estimator, and below it what was learnt."""
        shown: str = super()._html_repr()
        return shown + learnt_html(self._fitted) if self.__sklearn_is_fitted__() else shown
