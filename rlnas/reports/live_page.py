"""An observer that writes the report of a search while it runs."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping, Sequence

from absl import logging

from rlnas.architecture import Scalar
from rlnas.budget import Budget
from rlnas.data.atomic_file import write_file
from rlnas.trial import Trial

REFRESH_SECONDS = 20
_LEAST_SECONDS = 10.0  # from one page to the next
_SHARE = 0.06  # of the time, which the pages may take


class LivePage:
  """An observer that writes the page of `rlnas.reports.search_report` now and then.

  A page takes a second or two, more with thousands of trials. It is written after the first batch,
  and then so rarely that pages take at most about 6 % of the time. To be quick, it has no pictures
  of the choices; `rlnas report` adds them. A page that cannot be made or written is logged; it does
  not end the search.

  Args:
    path: the HTML file, which is replaced as a whole.
    budget: decides which trials fit.
    configuration: configuration of the search.
    dataset: name of the data.
    known: number of trials of the journal when a search is resumed; no page is written before a new
      trial.
  """

  def __init__(
    self,
    path: pathlib.Path,
    *,
    budget: Budget,
    configuration: Mapping[str, Scalar | None],
    dataset: str,
    known: int = 0,
  ) -> None:
    self._path = path
    self._budget = budget
    self._configuration = configuration
    self._dataset = dataset
    self._known = known
    self._trials: list[Trial] = []
    self._scalars: dict[str, dict[int, float]] = {}
    self._shown = 0  # trials of the last page
    self._due = 0.0

  def on_trial(self, trial: Trial) -> None:
    """Adds a trial."""
    self._trials.append(trial)

  def on_batch(self, trials: Sequence[Trial], scalars: Mapping[str, float]) -> None:
    """Adds the scalars of the strategy; writes the page if it is due."""
    for name, value in scalars.items():
      self._scalars.setdefault(name, {})[trials[-1].index] = value
    if len(self._trials) > self._known and time.monotonic() >= self._due:
      self._write()

  def close(self) -> None:
    """Writes the page with all trials, unless it has them."""
    if len(self._trials) > self._shown:
      self._write()

  def _write(self) -> None:
    started = time.monotonic()
    try:
      from rlnas.reports.html import to_html  # late, as the first trials do not need Matplotlib
      from rlnas.reports.search_report import search_page

      page = search_page(
        self._trials,
        self._budget,
        space=None,
        configuration=self._configuration,
        scalars=self._scalars,
        dataset=self._dataset,
        refresh_seconds=REFRESH_SECONDS,
      )
      write_file(self._path, to_html(page).encode('utf-8', errors='replace'))
      self._shown = len(self._trials)
    except OSError as error:
      logging.warning('the page after %d trials is not written: %s', len(self._trials), error)
    except Exception:
      # A page must not end a search that has run for hours; the log holds the error.
      logging.exception('%s: not written after %d trials', self._path, len(self._trials))
    ended = time.monotonic()
    self._due = ended + max(_LEAST_SECONDS, (ended - started) / _SHARE)
