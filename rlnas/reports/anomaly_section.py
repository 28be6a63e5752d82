"""The section of a report on an anomaly detection: ROC areas, thresholds, pictures."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, NullFormatter
from sklearn.metrics import roc_curve

from rlnas.data.anomalies import BUNDLED_RATE
from rlnas.reports.anomaly_metrics import AnomalyQuality
from rlnas.reports.html import Block, Figure, Figures, Table, Text
from rlnas.reports.model_figures import BLUE, GREY, ORANGE, legend_below, style, svg

_BINS = 40


def facts(quality: AnomalyQuality) -> list[tuple[str, str, str]]:
  """The key figures at the top of a report."""
  low, high = quality.interval
  return [
    ('int8 test AUC', f'{quality.auc:.4f}', f'95 % interval {low:.4f} to {high:.4f}'),
    ('int8 test partial AUC', f'{quality.partial_auc:.4f}', 'at most 10 % of false alarms'),
  ]


def blocks(
  quality: AnomalyQuality, validation: AnomalyQuality, *, validation_accuracy: float | None
) -> tuple[Block, ...]:
  """ROC areas, the alarms at each threshold, the ROC curve and the scores.

  Args:
    quality: results on the test data.
    validation: results on the validation data, which the thresholds come from.
    validation_accuracy: AUC of the float network on them, if known.
  """
  odd = int(np.count_nonzero(quality.truth))
  text = f'On {quality.examples:,} test examples, {odd:,} of them anomalous, which no earlier step '
  text += 'uses. A score is the mean squared difference of the int8 outputs and inputs. AUC is the '
  text += 'probability that an anomalous example has a greater score than a normal one. '
  if validation_accuracy is not None:
    text += 'On the validation data the float network reached '
    text += f'{validation_accuracy:.4f}, this int8 network an AUC of {validation.auc:.4f}. '
  text += 'The interval covers the random choice of the test examples, not of the training.'
  head = ('false alarms allowed', 'threshold', 'false alarms', 'anomalies found')
  rows = tuple(
    (f'{a.rate:.0%}', f'{a.threshold:.4g}', f'{a.false_alarms:.1%}', f'{a.found:.1%}')
    for a in quality.alarms
  )
  chosen = 'Thresholds are chosen on the normal validation examples; the bundle has that for '
  chosen += f'{BUNDLED_RATE:.0%}.'
  pictures = (
    Figure('roc', curve(quality), 'ROC curve; dots: the thresholds.'),
    Figure('scores', histogram(quality), 'Scores of the test examples; dashed: the threshold.'),
  )
  return Text(text), Table(head, rows), Text(chosen), Figures(pictures)


def curve(quality: AnomalyQuality) -> str:
  """The ROC curve of the test data."""
  false, found, _ = roc_curve(quality.truth, quality.scores)
  with style():
    figure = Drawing(figsize=(4.6, 4.2))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle='--')
    axes.plot(false, found, color=BLUE, linewidth=1.5)
    dots = [a.false_alarms for a in quality.alarms], [a.found for a in quality.alarms]
    axes.scatter(*dots, s=30, color=ORANGE, zorder=3)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel='false alarms', ylabel='found')
    return svg(figure)


def histogram(quality: AnomalyQuality) -> str:
  """The scores of normal and of anomalous test examples, on a logarithmic scale."""
  least = max(float(quality.scores.min()), 1e-9)
  edges = np.geomspace(least, max(float(quality.scores.max()), least * 1.01), _BINS)
  threshold = next(a.threshold for a in quality.alarms if a.rate == BUNDLED_RATE)
  with style():
    figure = Drawing(figsize=(4.6, 4.2))
    axes = figure.add_subplot()
    for kind, name, color in ((0, 'normal', BLUE), (1, 'anomalous', ORANGE)):
      scores = np.clip(quality.scores[quality.truth == kind], least, None)
      axes.hist(scores, edges.tolist(), color=color, alpha=0.6, label=name)
    axes.axvline(threshold, color=GREY, linewidth=1.2, linestyle='--')
    axes.set_xscale('log')
    # The usual formats need mathematical text, which the style does not read.
    axes.xaxis.set_major_formatter(FuncFormatter(lambda score, _: f'{score:g}'))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel='score', ylabel='examples')
    legend_below(figure, axes)
    return svg(figure)
