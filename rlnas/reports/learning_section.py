"""The part of a search's report on how its strategy learnt, from the scalars that it reported.

It has a picture for each question of which the strategy reported the scalar, whatever its class.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

from rlnas.reports import search_figures
from rlnas.reports.html import Block, Figure, Figures, Text

Scalars = Mapping[str, Mapping[int, float]]  # by name, and by the index of a batch's last trial


@dataclasses.dataclass(frozen=True)
class _Picture:
  """The picture of a scalar; see `search_figures.progress`."""

  ylabel: str
  caption: str
  percent: bool = False
  least: float | None = None
  reference: tuple[float, str] | None = None


_PICTURES: Mapping[str, _Picture] = {
  'imagined_score': _Picture(
    'predicted score, deviations',
    'How good the policy’s own draws are, as the regressor predicts. A score is the rank of a '
    'reward among the trials so far, as a quantile of the standard normal distribution.',
    reference=(0.0, 'median trial'),
  ),
  'fit_rate': _Picture(
    'share of draws that fit',
    'Share of the policy’s own draws that fit by the estimate, before any filter.',
    percent=True,
  ),
  'entropy': _Picture(
    'entropy, nats per network',
    'How much the policy still explores: its entropy; 0 if it always draws one network.',
    least=0.0,
  ),
  'surrogate_error': _Picture(
    'error of the score, deviations',
    'How far the regressor was off for the trials of each batch, before it learnt them.',
    least=0.0,
  ),
  'surrogate_correlation': _Picture(
    'correlation',
    'Predictions of each trial from all others, against what it reached. Imagined episodes use the '
    'prediction only where it is better than chance.',
    reference=(0.0, 'chance'),
  ),
}


def learning_figures(scalars: Scalars) -> tuple[Block, ...]:
  """The pictures; empty if the strategy reported none of their scalars."""
  restarts = [
    after
    for (after, number), (_, next_number) in itertools.pairwise(scalars.get('descents', {}).items())
    if next_number > number
  ]
  figures = [
    Figure(
      f'learning-{name.replace("_", "-")}',
      search_figures.progress(
        scalars[name],
        ylabel=picture.ylabel,
        percent=picture.percent,
        least=picture.least,
        reference=picture.reference,
        restarts=restarts,
      ),
      picture.caption,
    )
    for name, picture in _PICTURES.items()
    if scalars.get(name)
  ]
  if not figures:
    return ()
  note = (
    'A point is what the strategy reported after a batch of trials, a line the mean of the last '
  )
  note += 'five. A dotted line is a fresh start of the policy.' if restarts else 'five.'
  return Text(note), Figures(tuple(figures))
