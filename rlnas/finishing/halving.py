"""Successive halving of finalists: at each rung the better half continues its training.

Jamieson & Talwalkar 2016 (arXiv:1502.07943), algorithm 1: every rung costs about the same, as half
as many networks train twice as long. Each part of a training is a cosine of its own, twice as long
as the one before and from the weights that were reached (warm restarts, Loshchilov & Hutter 2017,
arXiv:1608.03983, with T_mult = 2). So networks are compared at weights whose learning rate has
fallen to 0: under one cosine over all epochs the comparisons in between would mostly show noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rlnas.finishing.choice import Choice
from rlnas.finishing.finalists import Finalist, Stop

if TYPE_CHECKING:
  Judge = Callable[[Sequence[Finalist]], Choice]

# A first part is at least so long, as a trial of a search by default: below it, networks differ in
# how fast they learn more than in what they reach.
LEAST_EPOCHS = 3


def rung_epochs(count: int, epochs: int) -> tuple[int, ...]:
  """Total epochs of a finalist at the end of each rung; the last are `epochs`.

  With four finalists and 60 epochs they are 9, 26 and 60. If there are too few epochs, there are
  fewer rungs.

  Args:
    count: number of finalists that begin.
    epochs: largest number of epochs of one.

  Raises:
    ValueError: an argument is below 1.
  """
  for name, value in (('count', count), ('epochs', epochs)):
    if value < 1:
      raise ValueError(f'{name}={value}: must be at least 1')
  rungs = (count - 1).bit_length() + 1
  while rungs > 1 and round(epochs / (2**rungs - 1)) < LEAST_EPOCHS:
    rungs -= 1
  return tuple(round(epochs * (2**k - 1) / (2**rungs - 1)) for k in range(1, rungs + 1))


def halved(choice: Choice) -> tuple[list[Finalist], list[tuple[Finalist, Stop]]]:
  """Splits finalists that were trained equally long into those that continue and those that stop.

  A finalist stops if another one dominates it with a higher accuracy. Of the others, up to half of
  the number of finalists (rounded up) continue: first the one that would win now, then the most
  accurate. So the winner among those that continue is the winner among all. If places are left,
  they go to larger networks with the same accuracy as one that continues, because a few epochs do
  not show which of them is better.

  Args:
    choice: the finalists, as the preference of the user orders them (`choose`).

  Returns:
    Those that continue, and those that stop with the reason.
  """
  most = (len(choice.finalists) + 1) // 2
  pairs = list(zip(choice.finalists, choice.on_front, strict=True))
  going = [finalist for finalist, on_front in pairs if on_front][:most]
  reached = {_accuracy(finalist) for finalist in going}
  ties = [f for f, on_front in pairs if not on_front and _accuracy(f) in reached]
  going += ties[: most - len(going)]
  stopped = [
    (finalist, Stop.HALVED if on_front else Stop.DOMINATED)
    for finalist, on_front in pairs
    if not any(finalist is one for one in going)
  ]
  return going, stopped


def _accuracy(finalist: Finalist) -> float:
  return finalist.measurement.int8_validation_accuracy or 0.0


def has_gained(
  before: Finalist, after: Finalist, loss: Callable[[Finalist], float], *, is_last: bool
) -> bool:
  """Whether a part of a training helped: more int8 accuracy, or less loss, on validation data.

  On a few hundred examples the accuracy often stays the same by chance; the loss is finer (Prechelt
  1998, section 2, decides by it). After the last part a smaller loss cannot lead to more accuracy
  any more, so it counts only between equal accuracies.

  Args:
    before: the finalist before that part.
    after: the same finalist after it.
    loss: the mean loss of a finalist's int8 model on validation data.
    is_last: whether it was the last part of the training.
  """
  accuracy, later = _accuracy(before), _accuracy(after)
  if later != accuracy and (is_last or later > accuracy):
    return later > accuracy
  return loss(after) < loss(before)
