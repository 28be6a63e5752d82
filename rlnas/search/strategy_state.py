"""Stores the state of a strategy in a file beside the journal, so that a search resumes quickly.

To resume, a search tells its strategy all trials of the journal again. A strategy that takes many
gradient steps for each trial needs minutes for that. If it is `rlnas.interfaces.Resumable`, the
search keeps its state, such as weights, in `<journal>.state.npz`, an archive without pickle. The
file is a cache and nothing more. If it is missing, damaged, of another version, of another search
or of other trials, the strategy learns from the journal again and becomes the same to the bit.

The file is always some batches older than the journal. So when a search resumes, the restored
strategy proposes and learns batches that the journal holds, and the search compares them, as it
compares the first batches. This detects differences that no digest shows, such as another penalty
function or another processor.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import io
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import logging

import rlnas
from rlnas.data.atomic_file import write_file
from rlnas.interfaces import Resumable, Strategy
from rlnas.search.journal import Journal, JournalError
from rlnas.trial import Trial

Arrays = Mapping[str, npt.NDArray[Any]]
Digest = Any  # of hashlib, whose type has no public name

FORMAT = 1
# A kill loses what was learnt since the last write, so resuming takes hardly longer than this. A
# write takes about 10 ms, most of it for the disk.
_WRITE_SECONDS = 5.0
_HEADER = 'header'
_PREFIX = 'strategy.'  # of the names of the strategy's arrays


@dataclasses.dataclass(frozen=True, eq=False)
class _State:
  """A strategy after it was told some batches.

  Attributes:
    batches: their number.
    trials: digest of the search and of all trials told.
    arrays: the strategy's state.
  """

  batches: int
  trials: str
  arrays: Arrays


class Teller:
  """Tells a strategy its batches, or restores the strategy that was told them before.

  Used as a context: at its end the state is written.
  """

  def __init__(
    self, strategy: Strategy, *, journal: Journal | None, trials: int, batch: int, lag: int
  ) -> None:
    """Reads the state beside the journal, if there is one that can be used.

    Args:
      strategy: a new strategy.
      journal: the journal of the search; without one, no state is kept.
      trials: number of trials of the search.
      batch: number of trials in a batch.
      lag: number of batches that are proposed ahead (`rlnas.search.loop.run_search`).
    """
    self._strategy = strategy
    self._lag = lag
    self._path: pathlib.Path | None = None
    self._digest = hashlib.sha256()  # of the search and of the trials told
    self._told = 0  # batches
    self._scalars: list[dict[str, float]] = []  # of these batches, and of those in the file
    self._saved: _State | None = None
    self._pending: list[Sequence[Trial]] = []  # told, but not to the strategy yet
    # The file is so many batches older than the strategy that the journal holds one batch that the
    # restored strategy proposes, and one that it proposes after it learnt again.
    self._latest: collections.deque[_State] = collections.deque(maxlen=lag + 3)
    self._due = 0.0
    new = strategy.state() if journal is not None and isinstance(strategy, Resumable) else None
    if journal is None or new is None:
      return
    self._path = journal.state_path
    search = [FORMAT, rlnas.__version__, journal.header, batch, lag, _digest_of(new)]
    self._digest.update(json.dumps(search).encode())
    self._read(self._path, journal.trials[:trials], batch)

  @property
  def is_behind(self) -> bool:
    """Whether trials are still to be told before the strategy can propose."""
    return bool(self._pending)

  @property
  def first_proposed(self) -> int:
    """Number of the first batch that the restored strategy proposes; 0 if none was restored."""
    return 0 if self._saved is None else self._saved.batches + self._lag

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Tells the strategy a batch. Returns its scalars."""
    if self._path is None:
      return self._strategy.tell(trials)
    _update(self._digest, trials)
    self._told += 1
    if self._saved is not None and self._told <= self._saved.batches:
      self._pending.append(trials)
      if self._told == self._saved.batches:
        self._restore(self._saved.arrays)
    else:
      self._scalars.append(self._strategy.tell(trials))
      self._keep()
    return self._scalars[self._told - 1]

  def __enter__(self) -> Teller:
    """Begins the search."""
    return self

  def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
    """Writes the state. If the search ends before the batch of the file, the strategy learns."""
    if kind is not None and issubclass(kind, JournalError):
      if self._path is not None and self._saved is not None:
        self._path.unlink(missing_ok=True)  # next time the journal alone decides
      return
    if kind is None or not issubclass(kind, KeyboardInterrupt):
      self._learn_pending()
    self._write()

  def _restore(self, arrays: Arrays) -> None:
    try:
      if isinstance(self._strategy, Resumable):
        self._strategy.restore(arrays, self._pending)
        self._pending = []
    except ValueError as error:
      logging.warning('%s: cannot be used, so resuming takes longer (%s)', self._path, error)
    self._learn_pending()

  def _learn_pending(self) -> None:
    for trials in self._pending:
      self._strategy.tell(trials)
    self._pending = []

  def _keep(self) -> None:
    state = self._strategy.state() if isinstance(self._strategy, Resumable) else None
    self._latest.append(_State(self._told, self._digest.hexdigest(), state or {}))
    if time.monotonic() >= self._due:
      self._write()

  def _write(self) -> None:
    """Writes the oldest of the latest states, if it is old enough."""
    if self._path is None or len(self._latest) < self._lag + 3:
      return
    state = self._latest[0]
    try:
      write_file(self._path, _packed(state, self._scalars[: state.batches]))
    except OSError as error:  # the search itself can go on
      logging.warning('%s: not written, so resuming takes longer (%s)', self._path, error)
    self._due = time.monotonic() + _WRITE_SECONDS

  def _read(self, path: pathlib.Path, trials: Sequence[Trial], batch: int) -> None:
    """Reads the file. It is used if it was written after the first of these trials were told."""
    try:
      state, scalars = _unpacked(path.read_bytes())
    except FileNotFoundError:
      return
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds if bytes are damaged
      logging.warning('%s: cannot be used, so resuming takes longer (%s)', path, error)
      return
    digest = self._digest.copy()
    _update(digest, trials[: state.batches * batch])
    compared = len(trials) > (state.batches + self._lag + 1) * batch
    if compared and digest.hexdigest() == state.trials:
      self._saved, self._scalars = state, scalars
    else:
      logging.info('%s: belongs to other trials, so resuming takes longer', path)


def _update(digest: Digest, trials: Sequence[Trial]) -> None:
  for trial in trials:
    digest.update(trial.to_json().encode())


def _packed(state: _State, scalars: Sequence[dict[str, float]]) -> bytes:
  header = {
    'format': FORMAT,
    'trials': state.trials,
    'scalars': scalars,
    'arrays': _digest_of(state.arrays),
  }
  named: dict[str, Any] = {_PREFIX + name: value for name, value in state.arrays.items()}
  named[_HEADER] = np.array(json.dumps(header, default=float).encode())
  content = io.BytesIO()
  np.savez(content, **named)
  return content.getvalue()


def _unpacked(content: bytes) -> tuple[_State, list[dict[str, float]]]:
  """The state and the scalars. Raises ValueError, and many others if the content is damaged."""
  with np.load(io.BytesIO(content), allow_pickle=False) as file:
    header = json.loads(file[_HEADER].item().decode())
    if header['format'] != FORMAT:
      raise ValueError(f'format {header["format"]}: must be {FORMAT}')
    arrays = {name.removeprefix(_PREFIX): file[name] for name in file.files if name != _HEADER}
  if _digest_of(arrays) != header['arrays']:
    raise ValueError('an array is damaged')
  return _State(len(header['scalars']), header['trials'], arrays), header['scalars']


def _digest_of(arrays: Arrays) -> str:
  digest = hashlib.sha256()
  for name, array in sorted(arrays.items()):
    if array.dtype.hasobject:
      raise ValueError(f'state: {name}: must hold numbers or strings, no objects')
    digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
    digest.update(array.tobytes())
  return digest.hexdigest()
