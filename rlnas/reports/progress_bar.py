"""Progress for people: a bar in a terminal, a line now and then in a log file.

`Bar` is what every command and experiment shows. Because a unit may take long, it also shows the
progress of those that run (`Step`), so that it changes every few seconds. `note` prints a line
above the bar.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TextIO

import tqdm

from rlnas.budget import Budget
from rlnas.data.metrics import Metric
from rlnas.progress import PICTURE, WAITING, Step
from rlnas.reward import is_feasible
from rlnas.trial import Trial

WIDTH = 80  # columns of a bar, at most
_ROWS = 24  # of the terminal; otherwise tqdm asks, and shows no bar if a terminal says 0
_REDRAWN_SECONDS = 0.2  # between drawings
_LEAST_LINE_SECONDS, _MOST_LINE_SECONDS = 5.0, 60.0  # between lines of a log file
_LINE_SHARE = 0.05  # of the time so far; keeps the log of a long run short
# The time left is shown when so much was seen of the rest.
_SEEN_SHARE, _SEEN_SECONDS = 0.1, 10.0
_MOST_RUNNING = 2  # of those that run are shown one by one
_BAR_WIDTH = 10


def note(text: str) -> None:
  """Prints a line to the standard error, above a bar if there is one."""
  with contextlib.suppress(BrokenPipeError):
    if _is_terminal(sys.stderr):
      tqdm.tqdm.write(text, file=sys.stderr)
    else:
      sys.stderr.write(text + '\n')
      sys.stderr.flush()


class Bar:
  """Shows how much of something is done; a context that ends with `close`.

  In a terminal it is a bar of at most 80 columns, elsewhere (a log file) a line every 5 s, later
  every minute. The time left is shown once it can be estimated.

  Args:
    total: number of units; None if it is not known.
    name: what is done, such as 'search'.
    unit: what is counted, in the plural, for lines of a log file.
    stream: where to show it; default: the standard error.
    clock: seconds of a clock that never goes back.

  Attributes:
    done: number of units that are done.
  """

  def __init__(
    self,
    total: int | None,
    name: str,
    *,
    unit: str = '',
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
  ) -> None:
    self.done = 0
    self._total = total
    self._name = name
    self._unit = unit
    shown = sys.stderr if stream is None else stream
    self._stream: TextIO | None = shown  # None after `close`
    self._clock = clock
    self._text = ''
    self._running: dict[Hashable, Step] = {}
    self._ended: set[str] = set()  # names of the units that `end` has counted
    self._began = self._drawn = clock()
    self._since: tuple[float, float] | None = None  # when the first unit began, and what was done
    self._end = math.inf  # on the clock; then it ends, whatever is done
    self._bar: tqdm.tqdm[Any] | None = None
    if _is_terminal(shown):
      self._bar = tqdm.tqdm(
        total=total,
        file=shown,
        bar_format=self._format(),
        ncols=_columns(),
        nrows=_ROWS,
        leave=True,
      )

  def __enter__(self) -> Bar:
    """The bar."""
    return self

  def __exit__(self, *_: object) -> None:
    """Closes it."""
    self.close()

  def begin(self) -> None:
    """Starts the clock of the time left, which otherwise starts with the first step or unit."""
    if self._since is None:
      self._since = self._clock(), self.done

  def advance(self, count: int = 1, *, text: str | None = None, known: bool = False) -> None:
    """Counts units that are done.

    Args:
      count: how many.
      text: what to show behind the count from now on; None keeps the text.
      known: whether they were done before, as in a resumed search; they do not count in the
        estimate of the time left.
    """
    self.done += count
    if text is not None:
      self._text = text
    if not known:
      self.begin()
    elif self._since is not None:
      self._since = self._since[0], self._since[1] + count
    self._draw()

  def ends_within(self, seconds: float) -> None:
    """Sets the seconds after which it ends at the latest, even if not all is done."""
    self._end = self._clock() + seconds

  def show(self, text: str) -> None:
    """Shows a text behind the count, in place of the one before."""
    self._text = text
    self._draw()

  def on_step(self, step: Step) -> None:
    """Shows the progress of a unit that is not done yet (`rlnas.progress.told_to`)."""
    if step.unit == PICTURE:  # as of TensorBoard, between two trials
      return
    if step.key is not None:
      self.begin()
      self._running.pop(None, None)  # the executor has started
    if step.name in self._ended:  # it goes on after all
      self._ended.remove(step.name)
      self.done -= 1
    self._running[step.name or step.key] = step
    if step.key is None and not step.name and step.done == step.total:
      del self._running[None]
    self._draw()

  def end_step(self, name: Hashable) -> bool:
    """Forgets a unit that was running, by its name or key; returns whether it was."""
    return self._running.pop(name, None) is not None

  def end(self, name: str, *, text: str) -> None:
    """Counts a unit that has ended, by the name of its steps, and shows a text as `advance` does.

    It counts once, however often it ends; while further steps of it are told, it does not count.
    """
    ran, is_new = self.end_step(name), name not in self._ended
    self._ended.add(name)
    self.advance(int(is_new), text=text, known=not ran)

  def close(self) -> None:
    """Leaves the bar on the terminal, or writes the last line."""
    self._running.clear()
    if self._bar is not None:
      self._refresh()
      self._bar.close()
      self._bar = None
    else:
      self._write_line(f'in {spoken(self._clock() - self._began)}')
    self._stream = None  # the second call does nothing

  @property
  def _units(self) -> float:
    """What is done, with the parts of what runs."""
    parts = (s.done / s.total for s in self._running.values() if s.key is not None and s.total)
    return self.done + sum(parts)

  def seconds_left(self) -> float | None:
    """An estimate of the time left; None as long as too little is done for an estimate."""
    if self._since is None or self._total is None or self.done >= self._total:
      return None
    began, before = self._since
    now = self._clock()
    seconds, seen = now - began, self._units - before
    rest = self._total - before
    until_end = None if math.isinf(self._end) else max(0.0, self._end - now)
    if seconds < _SEEN_SECONDS or seen < _SEEN_SHARE * rest:
      return until_end
    left = max(0.0, seconds * (rest - seen) / seen)
    return left if until_end is None else min(left, until_end)

  def _draw(self) -> None:
    """Draws the bar, or writes a line, if the last one is long enough ago."""
    now = self._clock()
    if self._bar is not None:
      if now - self._drawn >= _REDRAWN_SECONDS:
        self._drawn = now
        self._refresh()
    elif self._stream is not None:
      gap = min(max(_LEAST_LINE_SECONDS, _LINE_SHARE * (now - self._began)), _MOST_LINE_SECONDS)
      if now - self._drawn >= gap:
        self._drawn = now
        left = self.seconds_left()
        self._write_line('' if left is None else f'about {spoken(left)} left')

  def _refresh(self) -> None:
    assert self._bar is not None  # noqa: S101  of a terminal
    self._bar.n = self._units if self._total is None else min(self._units, self._total)
    self._bar.ncols = _columns()
    self._bar.bar_format = self._format()
    self._bar.refresh()

  def _format(self) -> str:
    """What tqdm draws: the bar between the count and as much text as fits."""
    head = self._name if self._total is None else f'{self._name} {self.done}/{self._total}'
    room = _columns() - len(head) - (2 if self._total is None else _BAR_WIDTH + 4)
    left = self.seconds_left()
    texts = [self._text, '' if left is None else f'{spoken(left)} left']
    behind = ', '.join(text for text in texts if text)
    for count in range(_MOST_RUNNING, -1, -1):
      whole = ', '.join(text for text in (behind, self._running_text(count)) if text)
      if len(whole) <= room or not count:
        break
    whole = whole[:room].replace('{', '{{').replace('}', '}}')
    bar = ': ' if self._total is None else f' |{{bar:{_BAR_WIDTH}}}| '
    return f'{head}{bar}{whole}'.rstrip(': ')

  def _write_line(self, time_text: str) -> None:
    if self._stream is None:
      return
    total = '' if self._total is None else f'/{self._total}'
    count = f' {self.done}{total} {self._unit}'.rstrip() if total or self.done else ''
    behind = ', '.join(t for t in (time_text, self._text, self._running_text()) if t)
    with contextlib.suppress(BrokenPipeError, ValueError):  # the reader has left
      self._stream.write(f'{self._name}{count}: {behind}\n')
      self._stream.flush()

  def _running_text(self, most: int = _MOST_RUNNING) -> str:
    """The units that run, those that are furthest first, and how many more there are."""
    steps = (step for step in self._running.values() if step.unit != WAITING)
    running = sorted(steps, key=lambda s: -s.done / (s.total or 1.0))
    shown = [_step_text(step, with_unit=place == 0) for place, step in enumerate(running[:most])]
    if shown and len(running) > most:
      shown.append(f'+{len(running) - most}')
    return ', '.join(shown)


class ProgressBar:
  """An observer that shows a bar: best accuracy, share that fits, time left, epochs of what runs.

  Args:
    trials: number of trials of the search.
    budget: decides which trials are feasible.
    metric: the metric that the search maximises.
    name: what runs, such as 'search' or the arm of a comparison.
    counts: which trials are counted; by default all are. `trials` is the number of these.
    unit: what is counted, in the plural.
    seconds: the search ends when the times of its trials add up to this.
    workers: number of trials that run at the same time.
  """

  def __init__(
    self,
    trials: int,
    *,
    budget: Budget,
    metric: Metric = Metric.ACCURACY,
    name: str = 'search',
    counts: Callable[[Trial], bool] | None = None,
    unit: str = 'trials',
    seconds: float = math.inf,
    workers: int = 1,
  ) -> None:
    self._bar = Bar(trials, name, unit=unit)
    self._seconds = seconds
    self._workers = workers
    self._bar.ends_within(seconds / workers)
    self._counts = counts
    self._most = trials
    self._budget = budget
    self._metric = metric
    self._counted: set[int] = set()
    self._feasible = 0
    self._best = 0.0

  @property
  def done(self) -> int:
    """Number of trials that are done, of those that are counted."""
    return self._bar.done

  def seconds_left(self) -> float | None:
    """See `Bar.seconds_left`."""
    return self._bar.seconds_left()

  def on_step(self, step: Step) -> None:
    """Shows the progress of a trial (`rlnas.progress.told_to`)."""
    if step.key not in self._counted:
      self._bar.on_step(step)

  def on_arrival(self, trial: Trial) -> None:
    """Counts a trial as soon as it is done."""
    self._count(trial, known=False)

  def on_trial(self, trial: Trial) -> None:
    """Counts a trial of the journal; others were counted when they arrived."""
    if trial.index not in self._counted:
      self._count(trial, known=True)

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Does nothing."""

  def close(self) -> None:
    """Leaves the bar on the terminal."""
    self._bar.close()

  def _count(self, trial: Trial, *, known: bool) -> None:
    self._counted.add(trial.index)
    self._bar.end_step(trial.index)
    self._seconds -= trial.measurement.seconds
    self._bar.ends_within(max(0.0, self._seconds) / self._workers)
    if is_feasible(trial.measurement, self._budget):
      self._feasible += 1
      self._best = max(self._best, trial.measurement.int8_validation_accuracy or 0.0)
    best = f'{self._best:.4f}' if self._feasible else 'none yet'
    what = '' if self._metric is Metric.ACCURACY else f' {self._metric.label}'
    share = self._feasible / len(self._counted)
    new = self._counts is None or self._counts(trial)
    new = new and self.done < self._most  # batches end together
    self._bar.advance(int(new), text=f'best{what} {best}, {share:.0%} fit', known=known)


def spoken(seconds: float) -> str:
  """Formats a duration: '40 s', '3 min', '2.5 h'."""
  if seconds < 60:
    return f'{5 * round(seconds / 5) if seconds >= 10 else round(seconds)} s'
  return f'{round(seconds / 60)} min' if seconds < 90 * 60 else f'{seconds / 3600:.1f} h'


def _step_text(step: Step, *, with_unit: bool) -> str:
  done = f'{math.floor(10 * step.done) / 10:g}'  # what is not done yet is not rounded to it
  words = [step.name, step.unit if with_unit else '', f'{done}/{step.total:g}']
  if step.accuracy is not None:
    words.append(f'{step.accuracy:.3f}')
  return ' '.join(word for word in words if word)


def _is_terminal(stream: TextIO) -> bool:
  try:
    return stream.isatty()
  except ValueError:  # it is closed
    return False


def _columns() -> int:
  return max(20, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))
