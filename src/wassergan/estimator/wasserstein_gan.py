"""`WassersteinGAN`: fit, sample, score, save and load, for notebooks and scikit-learn."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from wassergan.callbacks import Callback, CallbackList, ProgressBar
from wassergan.data import Container
from wassergan.errors import UserError
from wassergan.estimator.fit import fit_source
from wassergan.estimator.parameters import is_drawn, resolved, seed_from, train_settings
from wassergan.estimator.rows import source_to_fit
from wassergan.estimator.saving import FEATURES, SavedFit, saved_content
from wassergan.estimator.shown_fit import ShownFit
from wassergan.estimator.state import FitState
from wassergan.estimator.surroundings import run_folder, same_threads, stop_on_ctrl_c
from wassergan.estimator.validation import checked, checked_labels, checked_rows, schema_given, weights_apart
from wassergan.session.refinement import refinement_content
from wassergan.storage.corruption import corruption_errors

NETWORKS = ("generator_", "critic_", "_drawing")  # built where they are asked for, from plain data
LEARNT = (
    *("seed_", "settings_", "notes_", "n_steps_", "history_", "best_step_", "best_distance_"),
    *("_fitted", "_container", "_restoring", "_labelled", "_refinement"),
)


class WassersteinGAN(ShownFit):
    """A Wasserstein GAN as a scikit-learn estimator: fitted to tables, arrays or pictures, it draws more of them.

    Every parameter that has the name of a flag of `wassergan train` means the same; None leaves it to the preset.

    Args:
        preset: named settings to start from: `default`, `wgan`, `wgan-gp` or `sn-wgan`.
        steps: generator steps of a fit.
        budget: time of a fit, in seconds or like `"20s"`, `"10m"`; five minutes if `steps` is not given either.
        constraint: what keeps the critic Lipschitz: `clip`, `gp`, `lp`, `r1r2`, `sn` or `orthogonal`.
        network: `mlp`, `conv`, `resnet`, `residual` or, for series, `recurrent`.
        latent_dim: numbers in a latent vector.
        generator_widths: hidden widths of a fully connected generator.
        critic_widths: hidden widths of its critic.
        batch_size: samples per step; where the preset's is more than half of the training rows, half of them.
        critic_steps: critic steps per generator step.
        penalty_weight: of gp and lp.
        generator_lr: learning rate.
        critic_lr: learning rate.
        settings: any other setting of the recipe by name, such as `{"schedule": "linear"}`, or
            `{"layout": "NTC"}` for series; `{"crop": 32}` cuts a large volume.
        condition: names of the columns of a DataFrame under whose values the others are drawn.
        completion: learn every column of a DataFrame given any others, so that `complete` fills missing cells and
            `sample` takes any columns as given.
        schema: what the columns of a DataFrame are, where that is not to be inferred: a mapping, or a JSON file
            (docs/tables.md).
        refine: of so many draws `sample` keeps one, by a classifier between the rows and draws that is trained at the
            end of the fit (docs/evaluation.md); None keeps all.
        patience: stop after so many ticks without a smaller distance from the held-out rows, and draw samples with
            the weights of the best tick; None trains to the end and draws with the last ones.
        tick_steps: longest distance between two ticks.
        heldout: share of the rows that are never trained on.
        random_state: of the weights, the held-out rows and all randomness: a whole number, None for another one in
            each fit, or NumPy's `RandomState`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: `float32`, `bf16` or `auto`; None is left to the recipe.
        threads: CPU threads; by the size of the networks unless given. Only a fit uses them.
        verbose: 0: silent; 1: a progress bar, and what was decided on the way.
        callbacks: called as a fit goes on (docs/callbacks.md).
        folder: where callbacks that write do so, as TensorBoard's does; a temporary folder unless given.

    Attributes:
        generator_: draws samples in model space; averaged weights, evaluation mode.
        critic_: as it was after the last step.
        history_: a record of each tick, as in a run's `log.jsonl`.
        n_steps_: generator steps so far.
        best_step_: of the tick with the smallest distance from the held-out rows.
        best_distance_: that distance: sliced W1 in model units; for pictures and fields, patch-sliced W1.
        seed_: that the random state gave.
        settings_: resolved.
        notes_: what was decided and passed over as the rows were read, in sentences.
        n_features_in_: numbers or columns in a row.
        feature_names_in_: of a DataFrame's columns, if all of them are text.

    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    >>> gan = WassersteinGAN(steps=5, batch_size=16).fit(points)
    >>> drawn = gan.sample(3, seed=1)
    >>> drawn.shape, drawn.dtype
    ((3, 2), dtype('float32'))
    """

    def __init__(
        self,
        preset: str = "default",
        *,
        steps: int | None = None,
        budget: float | str | None = None,
        constraint: str | None = None,
        network: str | None = None,
        latent_dim: int | None = None,
        generator_widths: Sequence[int] | None = None,
        critic_widths: Sequence[int] | None = None,
        batch_size: int | None = None,
        critic_steps: int | None = None,
        penalty_weight: float | None = None,
        generator_lr: float | None = None,
        critic_lr: float | None = None,
        settings: Mapping[str, Any] | None = None,
        condition: Sequence[str] | str | None = None,
        completion: bool = False,
        schema: Mapping[str, Any] | str | Path | None = None,
        refine: int | None = None,
        patience: int | None = None,
        tick_steps: int = 1000,
        heldout: float | None = None,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
        verbose: int = 0,
        callbacks: Sequence[Callback] = (),
        folder: str | Path | None = None,
    ) -> None:
        self.preset = preset
        self.steps = steps
        self.budget = budget
        self.constraint = constraint
        self.network = network
        self.latent_dim = latent_dim
        self.generator_widths = generator_widths
        self.critic_widths = critic_widths
        self.batch_size = batch_size
        self.critic_steps = critic_steps
        self.penalty_weight = penalty_weight
        self.generator_lr = generator_lr
        self.critic_lr = critic_lr
        self.settings = settings
        self.condition = condition
        self.completion = completion
        self.schema = schema
        self.refine = refine
        self.patience = patience
        self.tick_steps = tick_steps
        self.heldout = heldout
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.threads = threads
        self.verbose = verbose
        self.callbacks = callbacks
        self.folder = folder

    def fit(
        self,
        X: Any,  # noqa: N803  # scikit-learn's name
        y: Any = None,
        *,
        condition_array: Any = None,
        sample_weight: Any = None,
        resume: bool = False,
    ) -> Self:
        """Learn the distribution of some rows.

        Ctrl-C ends the fit after the current step, with a warning: the estimator is fitted as far as it came, and can
        go on with `resume=True`. A second Ctrl-C stops at once and leaves nothing fitted.

        Args:
            X: a DataFrame of pandas or polars, or an Arrow table; or an array, tensor or nested lists of numbers,
                (n, D), (n, H, W), (n, H, W, C) or (n, C, H, W).
            y: labels (n,), numbers or text, under which rows are drawn: a condition of the name `label`.
            condition_array: an array with a row for each row of X, under which rows are drawn, such as coarse fields
                (n, h, w) for fine ones.
            sample_weight: weights of the rows (n,), such as survey weights, or the name of a DataFrame's column that
                holds them and is not learnt: rows are drawn and counted in proportion; those of weight 0 take no part.
            resume: go on from where the last fit stopped, for `steps` or `budget` more. N steps and N more are 2N
                steps, bit for bit on the CPU. Wants the same X, y, conditions, weights and settings.

        Raises:
            UserError: wrong parameters or data; it is a ValueError.
            NotFittedError: there is nothing to resume.
            WorkError: training diverged.
        """
        former = self._known() if resume else None
        parameters = train_settings(self.get_params(deep=False), labelled=y is not None)
        if self.refine is not None:
            checked("refine", self.refine, like="steps")
            if self.completion:
                raise UserError("Fits with completion cannot be refined", hint="leave refine or completion out")
            if condition_array is not None:
                raise UserError("Fits under arrays cannot be refined", hint="leave refine or condition_array out")
        patience = None if self.patience is None else checked("patience", self.patience, like="steps")
        seed = self._fit_seed(former)
        parameters = replace(parameters, seed=seed)
        X, sample_weight = weights_apart(X, sample_weight)  # noqa: N806
        container = Container.of(X)
        if former is None:
            self._forget()
        data = checked_rows(self, X, reset=former is None)
        labels = None if y is None else checked_labels(y, X)
        with self._callbacks() as callbacks:
            source = source_to_fit(
                data,
                labels,
                sample_weight,
                parameters,
                schema=schema_given(self.schema),
                log=callbacks.on_message,
                condition_array=condition_array,
            )
            settings = resolved(parameters, source, callbacks.on_message)
            with stop_on_ctrl_c() as interrupted, same_threads(), run_folder(self.folder) as folder:
                fitted = fit_source(
                    settings,
                    source,
                    folder=folder,
                    former=former,
                    patience=patience,
                    callback=callbacks,
                    interrupted=interrupted,
                )
        self._keep(fitted, container, seed, restoring=patience is not None, labelled=labels is not None)
        if interrupted():
            warnings.warn(
                f"Interrupted after {self.n_steps_} steps, and fitted as far as that: fit the same rows with "
                "resume=True to go on.",
                UserWarning,
                stacklevel=2,
            )
        elif self.refine is not None:
            self._refinement = refinement_content(self._drawing, self._drawn_state, source)
        return self

    def save(self, path: str | Path) -> None:
        """Write everything into one file, atomically; callbacks and a `RandomState` are no part of it.

        Raises:
            NotFittedError: nothing was fitted.
            WorkError: the file system refuses.
        """
        fitted = self._known()
        SavedFit(
            self._saved_parameters(),
            {name: value for name, value in vars(self).items() if name in FEATURES},
            fitted,
            self._container,
            self.seed_,
            restoring=self._restoring,
            labelled=self._labelled,
            refinement=self._refinement,
        ).write(Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """An estimator that draws the same rows as the one that was saved, and can go on with `fit(X, resume=True)`.

        Never runs code from the file.

        Raises:
            UserError: the file is missing, damaged, or no saved estimator.
        """
        content = saved_content(Path(path))
        with corruption_errors(f"The estimator in {path}", "fit and save it again"):
            saved = SavedFit.of(content, Path(path), known=cls._get_param_names())
            estimator = cls(**saved.parameters)
            for name, value in saved.features.items():
                setattr(estimator, name, value)
            estimator._keep(
                saved.fitted, saved.container, saved.seed, restoring=saved.restoring, labelled=saved.labelled
            )
            if saved.refinement is not None:
                estimator._refinement = saved.refinement
                estimator._refined(2)
            return estimator

    def _fit_seed(self, former: FitState | None) -> int:
        """A number must be the one that the former fit had; what gives another in each fit does not matter."""
        return former.settings.seed if former and is_drawn(self.random_state) else seed_from(self.random_state)

    def _keep(self, fitted: FitState, container: Container, seed: int, *, restoring: bool, labelled: bool) -> None:
        for name in NETWORKS:
            self.__dict__.pop(name, None)
        self._fitted, self._container, self.seed_ = fitted, container, seed
        self._restoring, self._labelled = restoring, labelled
        self._refinement = None
        self.settings_, self.n_steps_ = fitted.settings, fitted.step
        self.notes_ = fitted.checkpoint.notes
        self.history_ = [dict(record) for record in fitted.course.records]
        best = fitted.course.history.best
        self.best_step_, self.best_distance_ = best.step, best.distance

    def _forget(self) -> None:
        for name in (*FEATURES, *NETWORKS, *LEARNT):
            self.__dict__.pop(name, None)

    def _callbacks(self) -> CallbackList:
        bar = [ProgressBar()] if self.verbose else []
        return CallbackList(*bar, *self.callbacks)

    def _saved_parameters(self) -> dict[str, Any]:
        parameters = self.get_params(deep=False)
        seed = parameters["random_state"]
        drawn = isinstance(seed, np.random.RandomState)
        return {**parameters, "callbacks": (), "random_state": self.seed_ if drawn else seed}

    def __sklearn_tags__(self) -> Any:
        """Missing values in arrays are learnt."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Plain data alone: networks are built anew, for not all of them can be pickled."""
        return {name: value for name, value in super().__getstate__().items() if name not in NETWORKS}
