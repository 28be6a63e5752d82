"""The part of a report on the results of a regression: errors, predicted against true values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Drawing

from rlnas.reports.html import Block, Figure, Figures, Table, Text
from rlnas.reports.model_figures import BLUE, GREY, ORANGE, style, svg
from rlnas.reports.regression_metrics import RegressionQuality, ValueErrors

_MOST_DRAWN = 4  # values with a picture of their own
_MOST_DOTS = 2000  # examples of a picture


def facts(quality: RegressionQuality) -> list[tuple[str, str, str]]:
  """The key figures at the top of a report."""
  low, high = quality.interval
  rows = [('int8 test R²', f'{quality.quality:.4f}', f'95 % interval {low:.4f} to {high:.4f}')]
  if len(quality.values) == 1:
    (one,) = quality.values
    rows.append((f'MAE of {one.name}', f'{one.mae:.4g}', f'the mean alone: {one.mean_mae:.4g}'))
  return rows


def blocks(
  quality: RegressionQuality,
  validation: RegressionQuality,
  *,
  validation_accuracy: float | None,
) -> tuple[Block, ...]:
  """Errors of each value, pictures of predicted and true values, errors by range.

  Args:
    quality: results on the test data.
    validation: results on the validation data.
    validation_accuracy: R² of the float network on them, if known.
  """
  text = f'On {quality.examples:,} test examples, which no earlier step uses. R² is the share of '
  text += 'the variance that the network explains; errors are in the unit of the value, beside '
  text += 'those of always giving the mean of the training data. '
  if validation_accuracy is not None:
    text += 'On the validation data the float network reached an R² of '
    text += f'{validation_accuracy:.4f}, this int8 network {validation.quality:.4f}. '
  text += 'The interval covers the random choice of the test examples, not of the training.'
  head = ('value', 'R²', 'MAE', 'RMSE', 'MAE of the mean', 'RMSE of the mean')
  rows = tuple(
    (v.name, f'{v.r2:.4f}', *(f'{error:.4g}' for error in (v.mae, v.rmse, v.mean_mae, v.mean_rmse)))
    for v in quality.values
  )
  pictures = []
  for column, value in enumerate(quality.values[:_MOST_DRAWN]):
    true, given = quality.truth[:, column], quality.answers[:, column]
    name = f'values{column}' if column else 'values'
    caption = f'{value.name}: predicted over true values; dashed: equal.'
    pictures.append(Figure(name, predicted_over_true(true, given), caption))
    caption = f'{value.name}: predicted - true over true values, with the mean of each fifth.'
    pictures.append(Figure(f'residuals{column or ""}', residuals(true, given, value), caption))
  return (Text(text), Table(head, rows), Figures(tuple(pictures)), _ranges(quality))


def _ranges(quality: RegressionQuality) -> Table:
  """The errors by range of the true value."""
  rows = tuple(
    (
      *(value.name, f'{part.low:.4g} to {part.high:.4g}', f'{part.examples:,}'),
      *(f'{part.mean:+.4g}', f'{part.mae:.4g}'),
    )
    for value in quality.values
    for part in value.ranges
  )
  return Table(('value', 'true values', 'examples', 'mean of predicted - true', 'MAE'), rows)


def predicted_over_true(true: npt.NDArray[Any], given: npt.NDArray[Any]) -> str:
  """A dot for each example [N], at most 2,000 of them evenly spaced."""
  shown = _some(true)
  ends = [min(true.min(), given.min()), max(true.max(), given.max())]
  with style():
    figure = Drawing(figsize=(4.6, 4.2))
    axes = figure.add_subplot()
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle='--')
    axes.scatter(true[shown], given[shown], s=14, color=BLUE, alpha=0.6, linewidth=0)
    axes.set(xlabel='true', ylabel='predicted')
    return svg(figure)


def residuals(true: npt.NDArray[Any], given: npt.NDArray[Any], value: ValueErrors) -> str:
  """The differences of predicted and true values, and their mean in each range."""
  shown = _some(true)
  with style():
    figure = Drawing(figsize=(4.6, 4.2))
    axes = figure.add_subplot()
    axes.axhline(0, color=GREY, linewidth=1, linestyle='--')
    axes.scatter(true[shown], (given - true)[shown], s=14, color=BLUE, alpha=0.6, linewidth=0)
    for part in value.ranges:
      axes.plot([part.low, part.high], [part.mean] * 2, color=ORANGE, linewidth=2)
    axes.set(xlabel='true', ylabel='predicted - true')
    return svg(figure)


def _some(true: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
  count = min(len(true), _MOST_DOTS)
  return np.linspace(0, len(true) - 1, count).astype(np.intp)
