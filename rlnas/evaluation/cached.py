"""Caches measurements: equal networks with equal seeds and settings are evaluated only once.

Within a search the seed of an evaluation depends only on the network, so a network that is proposed
again gets its measurement at once. With a folder, searches with the same seed share their
measurements, also while they run at the same time.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Hashable, Iterable

from absl import logging

from rlnas.data.atomic_file import write_file
from rlnas.interfaces import Executor
from rlnas.trial import NO_TERMS, Measurement, Status, Terms, Trial, value_digest


class Cached:
  """Wraps an executor. A repeated measurement comes from memory, with `seconds` of 0.

  Failures are not kept: the machine may have caused them.

  Attributes:
    hits: number of evaluations that were not needed.
  """

  def __init__(
    self,
    executor: Executor,
    *,
    settings: str,
    stages: int = 1,
    folder: str | os.PathLike[str] | None = None,
  ) -> None:
    """Keeps measurements in memory, and in a folder if one is given.

    Args:
      executor: evaluates what is not known yet.
      settings: everything besides network and seed that changes a measurement (data, epochs,
        version), as a text that differs if one of them differs.
      stages: number of stages of a full training.
      folder: created if it does not exist; several searches may share it.

    Raises:
      OSError: the folder cannot be created.
    """
    self._executor = executor
    self._settings = settings
    self._stages = stages
    self._folder = None if folder is None else pathlib.Path(folder)
    if self._folder is not None:
      self._folder.mkdir(parents=True, exist_ok=True)
    self._known: dict[str, Measurement] = {}
    # The keys that wait for each measurement, by name and thresholds; the first one was submitted.
    self._under_way: dict[tuple[str, tuple[float, ...]], list[int]] = {}
    self._names: dict[int, tuple[str, tuple[float, ...]]] = {}
    self._ready: collections.deque[tuple[int, Measurement]] = collections.deque()
    self.hits = 0

  def remember(self, trials: Iterable[Trial]) -> None:
    """Adds the trials of a journal whose search did not inherit weights."""
    for trial in trials:
      if trial.measurement.status is not Status.FAILED:
        name = self._name(trial.proposal.value, trial.seed, NO_TERMS)
        self._known[_stage(name, trial.measurement)] = trial.measurement

  def submit(self, key: int, value: Hashable, *, seed: int, terms: Terms = NO_TERMS) -> None:
    """Answers from the cache, waits for an equal evaluation that runs, or queues a new one."""
    name = self._name(value, seed, terms)
    equal = name, terms.thresholds
    if (measurement := self._find(name, terms.thresholds)) is not None:
      self._answer(key, measurement)
    elif equal in self._under_way:
      self._under_way[equal].append(key)
    else:
      self._under_way[equal] = [key]
      self._names[key] = equal
      self._executor.submit(key, value, seed=seed, terms=terms)

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Returns a cached measurement if there is one; else collects one from the executor."""
    if self._ready:
      return self._ready.popleft()
    arrived = self._executor.collect(timeout)
    if arrived is None:
      return None
    key, measurement = arrived
    equal = self._names.pop(key)
    _, *others = self._under_way.pop(equal)
    if measurement.status is not Status.FAILED:
      self._keep(_stage(equal[0], measurement), measurement)
    for other in others:
      self._answer(other, measurement)
    return key, measurement

  def withdraw(self) -> list[int]:
    """Drops the evaluations that have not begun, and those that wait for them."""
    given_up = []
    for key in self._executor.withdraw():
      given_up += self._under_way.pop(self._names.pop(key))
    return given_up

  def close(self) -> None:
    """Closes the executor."""
    self._executor.close()

  def _answer(self, key: int, measurement: Measurement) -> None:
    self.hits += 1
    self._ready.append((key, dataclasses.replace(measurement, seconds=0.0)))

  def _name(self, value: Hashable, seed: int, terms: Terms) -> str:
    parts = [value_digest(value), seed, self._settings]
    text = json.dumps([*parts, terms.parent] if terms.parent else parts)
    return hashlib.sha256(text.encode()).hexdigest()

  def _find(self, name: str, thresholds: tuple[float, ...]) -> Measurement | None:
    """The measurement that an evaluation would give; None if it is not known.

    The curve of a longer training shows at which stage these thresholds would have stopped it. Only
    a measurement of a training that stopped at that stage is an answer.
    """
    whole = max(self._stages, len(thresholds) + 1)
    for stages in range(whole, -1, -1):
      longest = self._read(f'{name}-{stages}')
      if longest is None:
        continue
      if not stages:  # it was not trained at all
        return longest
      for stage, (reached, threshold) in enumerate(
        zip(longest.curve, thresholds, strict=False), start=1
      ):
        if reached < threshold:
          return self._read(f'{name}-{stage}')
      return longest if stages == whole else None
    return None

  def _read(self, name: str) -> Measurement | None:
    if name not in self._known and self._folder is not None:
      try:
        record = json.loads(self._path(name).read_text())
        self._known[name] = Measurement.from_record(record)
      except FileNotFoundError:
        return None
      except (OSError, ValueError, TypeError, KeyError) as error:
        logging.warning('%s is skipped: %s', self._path(name), error)
        return None
    return self._known.get(name)

  def _keep(self, name: str, measurement: Measurement) -> None:
    self._known[name] = measurement
    if self._folder is not None:
      write_file(self._path(name), json.dumps(measurement.to_record()))

  def _path(self, name: str) -> pathlib.Path:
    if self._folder is None:
      raise ValueError('folder=None: must be given to have a path')
    return self._folder / name[:2] / f'{name}.json'


def _stage(name: str, measurement: Measurement) -> str:
  return f'{name}-{len(measurement.curve)}'
