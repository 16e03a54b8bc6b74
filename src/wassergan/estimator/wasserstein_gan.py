"""`WassersteinGAN`: fit, sample, score, save and load, for notebooks and scikit-learn."""

import math
import secrets
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from torch import Tensor, nn

from wassergan.callbacks import Callback, CallbackList, ProgressBar
from wassergan.config.parsing import whole_number
from wassergan.config.settings import ResolvedSettings, TrainSettings, require_present_names
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import (
    LABEL,
    Batch,
    Container,
    Schema,
    Source,
    as_array,
    frame_beside,
    is_frame,
    open_source,
)
from wassergan.data.container import column_names
from wassergan.data.readers.filearray import FileArray
from wassergan.data.tables.writing import Fresh
from wassergan.data.weights import checked_weights, proportional_positions
from wassergan.errors import UserError, unknown_name
from wassergan.estimator.drawing import InBlocks, VectorConditions
from wassergan.estimator.evaluation import FitEvaluation, evaluated
from wassergan.estimator.fit import fit_source
from wassergan.estimator.rows import source_of_rows
from wassergan.estimator.showing import FitReport, figure_of, learnt_html, page_result, report_of
from wassergan.estimator.state import FitState
from wassergan.estimator.surroundings import run_folder, same_threads, stop_on_ctrl_c
from wassergan.estimator.validation import (
    checked,
    checked_labels,
    like_first,
    names_of,
    plain,
    schema_given,
    unmapped_rows,
    wanted,
    warn_of_left_out,
    weights_apart,
)
from wassergan.evaluation.heldout import sliced_distance
from wassergan.modality import modality_of
from wassergan.modality.recipes import resolve_for
from wassergan.sampling.completing import frame_completed
from wassergan.sampling.completion import Completer
from wassergan.sampling.sampler import Sampler
from wassergan.session.build import constraint_of, networks_of
from wassergan.session.contents import require_described
from wassergan.session.refinement import refinement_content, refinement_of
from wassergan.session.restore import sampler_of
from wassergan.session.state import CheckpointState
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint
from wassergan.storage.corruption import corruption_errors
from wassergan.training import sample_chunks

LARGEST_SEED = 2**63
# Parameters that are settings of `wassergan train` of the same name, and those that `settings` may name beside them.
OWN = (
    *("preset", "steps", "budget", "constraint", "network", "latent_dim", "generator_widths", "critic_widths"),
    *("batch_size", "critic_steps", "penalty_weight", "generator_lr", "critic_lr"),
    *("heldout", "tick_steps", "device", "precision", "threads", "completion"),
)
FURTHER = (
    *("objective", "clip", "penalty_every", "maps", "generator_maps", "activation", "critic_activation"),
    *("sequence_width", "generator_norm", "critic_norm", "optimizer", "beta1", "beta2", "schedule", "schedule_steps"),
    *("average_half_life", "average_ramp", "pack", "layout", "scale", "missing", "channels"),
    *("augment", "mirror", "share_fakes", "init_from"),
)
# scikit-learn 1.6 renamed the argument: missing values are learnt, infinite ones are refused.
FINITE = "ensure_all_finite" if "ensure_all_finite" in signature(check_array).parameters else "force_all_finite"
# Entries of a file, the estimator's own and those of a checkpoint, that every version since conditions writes.
SAVED = ("parameters", "features", "seed", "restoring", "labelled", "container")
STATE = ("settings", "shape", "kind", "codec", "conditions", "fingerprint", "trainer", "course", "onward")
FEATURES = ("n_features_in_", "feature_names_in_")
NETWORKS = ("generator_", "critic_", "_drawing")  # built where they are asked for, from plain data
LEARNT = (
    *("seed_", "settings_", "notes_", "n_steps_", "history_", "best_step_", "best_distance_"),
    *("_fitted", "_container", "_restoring", "_labelled", "_refinement"),
)


class WassersteinGAN(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
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
            `{"layout": "NTC"}` for series.
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
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
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

    _refinement: Mapping[str, Any] | None = None

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

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None, resume: bool = False) -> Self:  # noqa: N803  # scikit-learn's name
        """Learn the distribution of some rows.

        Ctrl-C ends the fit after the current step, with a warning: the estimator is fitted as far as it came, and can
        go on with `resume=True`. A second Ctrl-C stops at once and leaves nothing fitted.

        Args:
            X: a DataFrame of pandas or polars, or an Arrow table; or an array, tensor or nested lists of numbers,
                (n, D), (n, H, W), (n, H, W, C) or (n, C, H, W).
            y: labels (n,), numbers or text, under which rows are drawn: a condition of the name `label`.
            sample_weight: weights of the rows (n,), such as survey weights, or the name of a DataFrame's column that
                holds them and is not learnt: rows are drawn and counted in proportion; those of weight 0 take no part.
            resume: go on from where the last fit stopped, for `steps` or `budget` more. N steps and N more are 2N
                steps, bit for bit on the CPU. Wants the same X, y, weights and settings.

        Raises:
            UserError: wrong parameters or data; it is a ValueError.
            NotFittedError: there is nothing to resume.
            WorkError: training diverged.
        """
        former = self._known() if resume else None
        parameters = self._train_settings(labelled=y is not None)
        if self.refine is not None:
            checked("refine", self.refine, like="steps")
            if self.completion:
                raise UserError("Fits with completion cannot be refined", hint="leave refine or completion out")
        patience = None if self.patience is None else checked("patience", self.patience, like="steps")
        seed = self._new_seed() if former is None else self._same_seed(former)
        X, sample_weight = weights_apart(X, sample_weight)  # noqa: N806
        container = Container.of(X)
        if former is None:
            self._forget()
        data = self._checked_rows(X, reset=former is None)
        labels = None if y is None else checked_labels(y, X)
        with self._callbacks() as callbacks:
            source = self._source(data, labels, sample_weight, parameters, seed, callbacks)
            settings = _resolved(parameters, source, seed, callbacks.on_message)
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

    def sample(self, n: int, *, given: Any = None, seed: int | None = None, refine: int | None = None) -> Any:
        """Draw new rows.

        Args:
            n: how many, at least 1.
            given: the conditions that rows are drawn under: name → a value, or n of them; or a DataFrame or a list of
                mappings with n rows. Where the labels of y are the only condition, a label or n of them will do. What
                is left open is drawn as it goes with what is given.
            seed: of the rows; a smaller n gives the first rows of a larger one. Unless given it comes from
                `random_state`: always the same if that is a number, another one in each call if it is None.
            refine: of so many draws one is kept; the parameter `refine` of the fit unless given. 1 keeps all.

        Returns:
            What was fitted: a DataFrame with the columns, order and types of the one that came (less those that were
            left out), an array of the same type and layout, or a tensor on the CPU. What is given comes back exactly.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: not a positive n, not a seed, or no such conditions; or `refine`, and it was fitted without.
        """
        self._known()
        count = checked("n", n, like="steps")
        seed = self._new_seed() if seed is None else checked("seed", seed)
        sampler = self._refined(refine)
        if given is not None:
            sampler = sampler.under(wanted(given, count, sampler.conditions))
        sampler.require_identifiers(count)
        drawn = sampler.draw(count, seed=seed)
        return self._restored(drawn, sampler, _fresh_identifiers(sampler, seed))

    def complete(self, X: Any, *, draws: int | None = None, seed: int | None = None) -> Any:  # noqa: N803
        """Fill the missing cells of rows, drawn from their distribution given the rest of each row.

        Args:
            X: a DataFrame or an Arrow table with the columns that were fitted, in any order.
            draws: complete the rows so many times, each time anew; fewer are the first of more. Once unless given.
            seed: of what is filled in; unless given it comes from `random_state`, as that of `sample`.

        Returns:
            The same rows with the same index, order and types; of several draws a list. Cells that were there are
            unchanged. A column of categories gets those that it lacks.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: the fit was without `completion`, or the columns are others.
        """
        self._known()
        seed = self._new_seed() if seed is None else checked("seed", seed)
        count = 1 if draws is None else checked("draws", draws, like="steps")
        completer = Completer.of(self._drawing)
        if not is_frame(X):
            raise UserError("Rows to complete come in a DataFrame", found=type(X).__name__, hint="give one")
        found = [frame_completed(completer, X, seed=seed, draw=draw) for draw in range(count)]
        return found[0] if draws is None else found

    def sample_chunks(self, n: int, *, seed: int | None = None, refine: int | None = None) -> Iterator[Any]:
        """The rows of `sample(n, seed=seed)`, one part after the other, so that any number of them needs little memory.

        Args:
            n: how many, at least 1.
            seed: of the rows, as in `sample`.
            refine: as in `sample`.

        Yields:
            Parts like what was fitted, as `sample` returns them.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: not a positive n, not a seed, or a table that has too few fresh identifiers.
        """
        self._known()
        count = checked("n", n, like="steps")
        seed = self._new_seed() if seed is None else checked("seed", seed)
        sampler = self._refined(refine)
        sampler.require_identifiers(count)
        identifiers = _fresh_identifiers(sampler, seed)
        for drawn in sampler.chunks(count, seed=seed):
            yield self._restored(drawn, sampler, identifiers)

    def score(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:  # noqa: N803
        """Minus the distance between X and as many generated rows, in model space: higher is better, 0 the best.

        The distance is that of `history_`: sliced W1, or of arrays with two axes or more patch-sliced W1.

        Latents and directions are fixed, so the score of an estimator and some rows is always the same number. Under
        conditions, rows are generated under those of X and y, and compared together with them.

        Args:
            X: rows like those that were fitted.
            y: their labels, if it was fitted with labels; else ignored.
            sample_weight: their weights, as for `fit`: as many rows are drawn from X in proportion to these.

        Raises:
            NotFittedError: nothing was fitted.
            UserError: rows of another kind or shape, or no labels; it is a ValueError.
        """
        self._known()
        X, sample_weight = weights_apart(X, sample_weight)  # noqa: N806
        labels = checked_labels(y, X) if self._labelled and y is not None else None
        sampler = self._sampler
        real, context = self._model_space(self._checked_rows(X, reset=False), labels, sampler)
        if sample_weight is not None:
            weights = checked_weights(sample_weight, count=len(real), name="sample_weight")
            chosen = proportional_positions(weights, len(real), rng=torch.Generator().manual_seed(0))
            real, context = real[chosen], None if context is None else context[chosen]
        conditions = None if context is None else VectorConditions(context)
        chunks = sample_chunks(
            sampler.generator, len(real), latent_dim=sampler.latent_dim, seed=0, conditions=conditions
        )
        return -sliced_distance(Batch(real, context), Batch(torch.cat(list(chunks)), context), seed=0)

    def evaluate(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        *,
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
        source, own = self._real_rows(X, y, sample_weight, state)
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

    def report(self, path: str | Path | None = None, *, X: Any = None, y: Any = None, seed: int = 0) -> FitReport:  # noqa: N803
        """The page that a run of the command line has: settings, samples, zoomable curves; notebooks show it inline.

        Args:
            path: where to write it; it is written nowhere unless given.
            X: rows to evaluate it on, as `evaluate` does; the page then has all metrics.
            y: their labels, if it was fitted with labels.
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
            evaluation = self.evaluate(X, y, seed=seed)
            result = page_result(evaluation, fitted)
            real = self._pictured_rows(X, y, fitted.checkpoint)
        found = report_of(fitted, self._refined(None), seed=seed, real=real, result=result)
        return found if path is None else replace(found, path=found.write_to(path))

    def _real_rows(self, X: Any, y: Any, sample_weight: Any, state: CheckpointState) -> tuple[Source, bool]:  # noqa: N803
        X, sample_weight = weights_apart(X, sample_weight)  # noqa: N806
        if self._labelled and y is None:
            raise UserError("The estimator was fitted with labels", found="none", hint="give them as y")
        labels = checked_labels(y, X) if self._labelled else None
        rows = self._checked_rows(X, reset=False)
        return source_of_rows(rows, labels, sample_weight, state, schema=schema_given(self.schema))

    def _pictured_rows(self, X: Any, y: Any, state: CheckpointState) -> NDArray[Any]:  # noqa: N803
        source, _ = self._real_rows(X, y, None, state)
        modality = modality_of(source.kind)
        return modality.training_samples(source, modality.preview_count)

    def _html_repr(self) -> str:
        """What scikit-learn shows of an estimator, and below it what was learnt."""
        shown: str = super()._html_repr()
        return shown + learnt_html(self._fitted) if self.__sklearn_is_fitted__() else shown

    def save(self, path: str | Path) -> None:
        """Write everything into one file, atomically; callbacks and a `RandomState` are no part of it.

        Raises:
            NotFittedError: nothing was fitted.
            WorkError: the file system refuses.
        """
        state = self._known().state()
        parameters = {name: plain(name, value) for name, value in self._saved_parameters().items()}
        features = {name: plain(name, value) for name, value in vars(self).items() if name in FEATURES}
        own = {"parameters": parameters, "features": features, "seed": self.seed_}
        own |= {"restoring": self._restoring, "labelled": self._labelled}
        own |= {"refinement": self._refinement} if self._refinement else {}
        save_checkpoint(Path(path), {**state, "estimator": {**own, "container": self._container.state()}})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """An estimator that draws the same rows as the one that was saved, and can go on with `fit(X, resume=True)`.

        Never runs code from the file.

        Raises:
            UserError: the file is missing, damaged, or no saved estimator.
        """
        content = load_checkpoint(Path(path))
        if "estimator" not in content:
            raise UserError(
                f"The file {path} is a checkpoint of a run, no saved WassersteinGAN",
                hint="open it with wassergan.open_sampler, or fit an estimator and save it",
            )
        with corruption_errors(f"The estimator in {path}", "fit and save it again"):
            return cls._from(content, str(path))

    @classmethod
    def _from(cls, content: dict[str, Any], path: str) -> Self:
        own, known = content.pop("estimator"), cls._get_param_names()
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
        estimator = cls(**own["parameters"])
        for name, value in own["features"].items():
            setattr(estimator, name, _feature(value))
        fitted = FitState.from_state(
            {name: each for name, each in content.items() if name not in ("format", "version")}
        )
        fitted.require_sound()
        assert isinstance(own["restoring"], bool) and isinstance(own["labelled"], bool)
        estimator._keep(
            fitted,
            Container.from_state(own["container"]),
            whole_number(str(own["seed"])),
            restoring=own["restoring"],
            labelled=own["labelled"],
        )
        if "refinement" in own:
            estimator._refinement = own["refinement"]
            estimator._refined(2)
        return estimator

    @cached_property
    def generator_(self) -> nn.Module:
        """The averaged generator: (n, latent numbers) to (n, ...) in model space, in evaluation mode."""
        return self._drawing.generator

    @cached_property
    def critic_(self) -> nn.Module:
        """The critic after the last step, on the CPU: (n, ...), and (n, k) of conditions if there are any, to (n,)."""
        fitted = self._known()
        state = fitted.checkpoint
        settings, shape, codec, context_dim = state.settings, state.shape, state.codec, state.context_dim
        require_described(settings, shape, codec, state.trainer, context_dim=context_dim)
        _, critic = networks_of(settings, shape, codec, context_dim=context_dim)
        constraint_of(settings).prepare(critic)
        critic.load_state_dict(state.critic)
        return critic.eval().requires_grad_(False)

    @cached_property
    def _drawing(self) -> Sampler:
        return sampler_of(self._drawn_state, device=self.device)

    @property
    def _drawn_state(self) -> CheckpointState:
        """With the weights that rows are drawn with."""
        fitted = self._known()
        best = fitted.course.best_weights if self._restoring else None
        return fitted.checkpoint.with_average(best) if best else fitted.checkpoint

    def _refined(self, refine: int | None) -> Sampler:
        """Draws rows of which one of so many is kept."""
        draws = self.refine if refine is None else checked("refine", refine, like="steps")
        if draws is None or (draws == 1 and self._refinement is None):
            return self._sampler
        if self._refinement is None:
            raise UserError(
                "The estimator was fitted without what refines rows",
                found=f"refine={draws}",
                hint=f"fit WassersteinGAN(refine={draws}, ...), or leave refine out",
            )
        drawing = self._drawing
        refinement = refinement_of(
            self._refinement, self._drawn_state, drawing, draws=checked("refine", draws, like="steps")
        )
        return replace(self._sampler, refinement=refinement)

    @property
    def _sampler(self) -> Sampler:
        """Draws rows that do not depend on how many are asked for, as those of tables do not anyway."""
        drawing = self._drawing
        if modality_of(drawing.kind).is_independent_of_count:
            return drawing
        return replace(drawing, generator=InBlocks(drawing.generator).eval())

    def _known(self) -> FitState:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                "This WassersteinGAN is not fitted yet: call fit(X), or WassersteinGAN.load(path) a saved one."
            )
        fitted: FitState = self._fitted
        return fitted

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

    def _train_settings(self, *, labelled: bool) -> TrainSettings:
        """What the parameters say, as `wassergan train` would have it."""
        further = dict(self.settings or {})
        for name in further:
            if name not in FURTHER:
                hint = f"{name} is a parameter of its own; " if name in OWN else ""
                raise UserError(
                    f"{name!r} cannot be one of the further settings", hint=f"{hint}known: {', '.join(FURTHER)}"
                )
        asked = {name: getattr(self, name) for name in OWN} | further
        return TrainSettings(
            tensorboard=False,
            condition=(*names_of(self.condition), *([LABEL] if labelled else [])) or None,
            **{name: checked(name, value) for name, value in asked.items() if value is not None},
        )

    def _new_seed(self) -> int:
        if self.random_state is None:
            return secrets.randbelow(LARGEST_SEED)
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**32, dtype=np.uint64))
        seed: int = checked("random_state", self.random_state, like="seed")
        return seed

    def _same_seed(self, former: FitState) -> int:
        """A number must be the one that the former fit had; what gives another in each fit does not matter."""
        drawn = self.random_state is None or isinstance(self.random_state, np.random.RandomState)
        return former.settings.seed if drawn else self._new_seed()

    def _checked_rows(self, X: Any, *, reset: bool) -> Any:  # noqa: N803
        """DataFrames as they are, all else as an array of numbers; features are noted, or held to what was noted."""
        if is_frame(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        rows = unmapped_rows(as_array(X) if isinstance(X, Tensor) else X)
        masked = isinstance(rows, np.ma.MaskedArray) and rows.dtype.kind in "fiub"
        in_file = isinstance(rows, FileArray)  # its values are checked as they are read
        checked_rows = check_array(
            like_first(rows) if in_file else rows.data if masked else rows,
            allow_nd=True,
            ensure_min_samples=1 + reset,
            estimator=self,
            input_name="X",
            **{FINITE: False if masked else "allow-nan"},
        )
        if in_file:
            checked_rows = rows if checked_rows.dtype == rows.dtype else check_array(np.asarray(rows), allow_nd=True)
        rows = np.ma.masked_array(checked_rows, np.ma.getmaskarray(rows)) if masked else checked_rows
        width = math.prod(rows.shape[1:])
        validate_data(self, np.broadcast_to(0, (len(rows), width)), reset=reset, skip_check_array=True)
        return rows

    def _source(
        self,
        data: Any,
        labels: NDArray[Any] | None,
        sample_weight: Any,
        parameters: TrainSettings,
        seed: int,
        callback: Callback,
    ) -> Source:
        schema, of_frame = schema_given(self.schema), is_frame(data)
        if schema is not None and not of_frame:
            raise UserError("A schema is for DataFrames", found="an array", hint="leave it out")
        if self.condition and not of_frame:
            raise UserError("Arrays have no columns to condition on", hint="give their labels instead: fit(X, y)")
        source = open_source(
            data if labels is None or not of_frame else frame_beside(data, labels),
            layout=parameters.layout,
            scale=parameters.scale,
            missing=parameters.missing or (),
            channels=parameters.channels or (),
            schema=schema,
            condition=parameters.condition or (),
            completion=parameters.completion,
            labels=None if of_frame else labels,
            sample_weight=sample_weight,
            heldout=parameters.heldout,
            seed=seed,
            log=callback.on_message,
        )
        if of_frame:
            warn_of_left_out(column_names(data), source, schema or Schema())
        return source

    def _restored(self, samples: NDArray[Any], sampler: Sampler, identifiers: Fresh) -> Any:
        """Samples as what was fitted, without the labels."""
        modality, without = modality_of(sampler.kind), (LABEL,) if self._labelled else ()
        codec = modality.own(sampler.codec)
        return modality.restore(samples, codec, self._container, without=without, identifiers=identifiers)

    def _model_space(self, data: Any, labels: NDArray[Any] | None, sampler: Sampler) -> tuple[Tensor, Tensor | None]:
        """Rows like those that were fitted, and their conditions if there are any, as vectors."""
        codec, conditions = sampler.codec, sampler.conditions
        if self._labelled and labels is None:
            raise UserError("The estimator was fitted with labels", found="none", hint="give them as y")
        modality, shape = modality_of(sampler.kind), self._known().checkpoint.shape
        return modality.encode(
            np.asarray(data) if isinstance(data, FileArray) else data, labels, modality.own(codec), conditions, shape
        )

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

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is something to draw from."""
        return "_fitted" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        """Plain data alone: networks are built anew, for not all of them can be pickled."""
        return {name: value for name, value in super().__getstate__().items() if name not in NETWORKS}


def _fresh_identifiers(sampler: Sampler, seed: int) -> Fresh:
    """Streams of identifiers for a sample, from its first row on; nothing where there are none."""
    return [(each, each.stream(seed)) for each in sampler.codec.identifiers]


def _feature(value: Any) -> Any:
    """A number of features, or their names."""
    if isinstance(value, tuple):
        assert all(isinstance(each, str) for each in value)
        return np.array(value, object)
    assert isinstance(value, int)
    return value


def _resolved(parameters: TrainSettings, source: Source, seed: int, log: Callable[[str], None]) -> ResolvedSettings:
    """With what the preset and the data say; the preset's batch is cut to half of the rows where there are few."""
    settings = resolve_for(replace(parameters, data=source.name, seed=seed), source, log=log)
    batch = settings.batch_size
    if parameters.batch_size is not None or 2 * batch <= source.train_count:
        return settings
    pack = settings.pack
    few = max(pack, source.train_count // 2 // pack * pack)
    log(f"Batches of {few} instead of {batch} samples: there are {source.train_count} training rows.")
    return replace(settings, batch_size=few)
