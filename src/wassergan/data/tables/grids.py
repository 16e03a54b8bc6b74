"""The grid that a column's form gets: found in its values, or as a schema says."""

from dataclasses import replace

import numpy as np

from wassergan.data.tables.date_texts import DAY
from wassergan.data.tables.distinct import distinct
from wassergan.data.tables.formats import DateForm, NumberForm, Values, whole_bounds
from wassergan.data.tables.schema import ColumnSpec
from wassergan.data.tables.steps import Grid, as_wholes, shared_months, shared_step
from wassergan.errors import UserError

MOST_STEP_DECIMALS = 12


def with_number_grid(form: NumberForm, values: Values, wish: ColumnSpec, where: str) -> NumberForm:
    """The form with the grid of its values, NaN where missing.

    Raises:
        UserError: a value is not on the grid of the schema, or the bounds leave no number of the grid.
    """
    there = values[~np.isnan(values)]
    if wish.step == "none" or form.mantissa >= 0 or len(there) == 0:
        return form
    if wish.step is not None:
        form = _wished(form, there, float(wish.step), where)
    elif form.decimals is not None:
        wholes = as_wholes(there, form.decimals)
        form = form if wholes is None else replace(form, grid=shared_step(wholes))
    if form.grid is not None and form.decimals is not None:
        low = float(there.min() if wish.low is None else wish.low)
        high = float(there.max() if wish.high is None else wish.high)
        if not form.grid.holds(*whole_bounds(low, high, form.decimals)):
            told = form.grid.told(decimals=form.decimals)
            raise UserError(f"The bounds of {where} leave no value on its grid", found=f"{low:g} to {high:g}, {told}")
    return form


def _wished(form: NumberForm, there: Values, step: float, where: str) -> NumberForm:
    decimals = next((each for each in range(MOST_STEP_DECIMALS) if round(step, each) == step), None)
    digits = max(form.decimals or 0, decimals or 0)
    wholes, size = as_wholes(there, digits), round(step * 10**digits)
    if decimals is None or wholes is None or size < 1:
        raise UserError(f"The step of {where} is too small for its values", found=f"{step:g}")
    offset = int(wholes[0]) % size
    off = (wholes - offset) % size != 0
    if form.decimals is None:
        off |= wholes / 10**digits != there
    if off.any():
        raise UserError(
            f"{where} holds values that are not on the grid in the schema",
            found=f"{there[off][0]:g} is no multiple of {step:g} from {wholes[0] / 10**digits:g}",
            hint='give another "step", or "none"',
        )
    return replace(form, decimals=digits, grid=Grid(size, offset) if size > 1 else None)


def with_date_grid(form: DateForm, values: Values, wish: ColumnSpec) -> DateForm:
    """The form with the grid of its values, NaN where missing."""
    there = values[~np.isnan(values)]
    if len(there) == 0:
        return form
    layout, per_day = form.layout, DAY // form.unit
    clocks = form.clocks(distinct(there))
    if wish.step == "none":
        return form if layout.has_time or not (layout.months or layout.is_week) else _required(form, clocks, per_day)
    required = _required(form, clocks, per_day)
    if required.grid is not None:
        return required
    months = None if form.of_day else shared_months(clocks, per_day)
    return replace(form, grid=months or shared_step(clocks))


def _required(form: DateForm, clocks: "np.ndarray[tuple[int], np.dtype[np.int64]]", per_day: int) -> DateForm:
    """The grid that a format without days has, whatever the values."""
    layout = form.layout
    if layout.has_time:
        return form
    if layout.months:
        first = int(np.datetime64(int(clocks[0]) // per_day, "D").astype("datetime64[M]").astype(int))
        found = shared_months(clocks, per_day)
        return replace(form, grid=found or Grid(1, 0, layout.months, first % layout.months, 1))
    if layout.is_week:
        week = shared_step(clocks) or Grid(7 * per_day, int(clocks[0]) % (7 * per_day))
        return replace(form, grid=week if week.step % (7 * per_day) == 0 else None)
    return form
