"""Evaluation on a Ray cluster of many machines: `pip install rlnas[ray]`.

The evaluator with its data set is put once into Ray's object store, and each node fetches it from
there. Each trial is one task that uses one core. Within a task the trial runs in a worker process
of its own, as it does locally (`rlnas.evaluation.executors.WorkerPool`): a time-out or a crash
gives the same record, so one seed gives one journal on a cluster and on one machine. If a node
leaves, no trial is lost: Ray runs its tasks again on another node.
"""

from __future__ import annotations

import collections
import importlib.metadata
import socket
import time
import uuid
from collections.abc import Hashable
from typing import Any

import rlnas
from rlnas.data.atomic_file import WriteError
from rlnas.evaluation.executors import TRIAL_TIMEOUT, ExecutorError, WorkerPool, check_timeout
from rlnas.interfaces import Evaluator
from rlnas.trial import NO_TERMS, Measurement, Status, Terms

# The worker process catches crashes of a trial, so Ray retries only when a node leaves.
_RETRIES = 20
_CORES_SECONDS = 2.0  # how long a count of the cluster's cores stays valid


class RayCluster:
  """Evaluates on the cores of a Ray cluster.

  Ray gets at most as many trials as the cluster has cores; the others wait here. Nodes may join
  and leave at any time. The node that this process runs on and the head node must stay.
  """

  def __init__(
    self,
    evaluator: Evaluator,
    *,
    address: str | None = None,
    trial_timeout: float = TRIAL_TIMEOUT,
  ) -> None:
    """Connects to the cluster, or starts one.

    Args:
      evaluator: pickled once; its class must be importable on all nodes.
      address: address of the head node, such as '10.0.0.1:6379', or 'auto' for the cluster that
        runs on this machine. If None, this process starts a cluster of this machine alone.
      trial_timeout: seconds after which an evaluation is killed and counts as failed.

    Raises:
      ImportError: Ray is not installed.
      ValueError: `trial_timeout` is not positive, or `address` does not have this form.
      ExecutorError: there is no cluster at the address.
    """
    check_timeout(trial_timeout)
    self._ray = _load_ray()
    self._started = not self._ray.is_initialized()
    if self._started:
      _check_address(address)
      try:
        self._ray.init(address=address or 'local', log_to_driver=False, logging_level='ERROR')
      except (ConnectionError, RuntimeError, ValueError) as error:
        raise ExecutorError(f'ray_address={address}: no Ray cluster is there ({error})') from error
    self._evaluator = self._ray.put(evaluator)
    self._evaluate = self._ray.remote(num_cpus=1, max_retries=_RETRIES)(_evaluate_on_node)
    self._run = uuid.uuid4().hex
    self._trial_timeout = trial_timeout
    self._queue: collections.deque[tuple[int, Hashable, int, Terms]] = collections.deque()
    self._running: dict[Any, int] = {}  # keys by Ray's references
    self._cores = (0, -_CORES_SECONDS)  # with the time of counting

  def submit(self, key: int, value: Hashable, *, seed: int, terms: Terms = NO_TERMS) -> None:
    """Queues one evaluation."""
    self._queue.append((key, value, seed, terms))
    self._feed()

  def collect(self, timeout: float) -> tuple[int, Measurement] | None:
    """Waits for one measurement; returns None if none arrived in time.

    Raises:
      ExecutorError: a node has other versions of the software, which round differently.
      WriteError: an evaluator cannot write a file.
    """
    self._feed()
    if not self._running:
      return None
    ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
    if not ready:
      return None
    key = self._running.pop(ready[0])
    self._feed()
    try:
      versions, measurement = self._ray.get(ready[0])
    except self._ray.exceptions.RayError as error:
      if isinstance(cause := getattr(error, 'cause', None), (ExecutorError, WriteError)):
        raise cause from error
      return key, Measurement(Status.FAILED, detail=f'Ray: {error}')
    if versions != _versions():
      raise ExecutorError(f'a node of the cluster has {versions}, this machine {_versions()}')
    return key, measurement

  def withdraw(self) -> list[int]:
    """Drops the evaluations that Ray did not get yet; returns their keys."""
    keys = [key for key, *_ in self._queue]
    self._queue.clear()
    return keys

  def close(self) -> None:
    """Cancels running tasks, and leaves the cluster if this object joined or started it."""
    self._queue.clear()
    for reference in self._running:
      self._ray.cancel(reference, force=True)
    self._running.clear()
    if self._started:
      self._ray.shutdown()

  def _feed(self) -> None:
    while self._queue and len(self._running) < self._count_cores():
      key, value, seed, terms = self._queue.popleft()
      reference = self._evaluate.remote(
        [self._evaluator], self._run, self._trial_timeout, value, seed, terms
      )
      self._running[reference] = key

  def _count_cores(self) -> int:
    cores, counted = self._cores
    if time.monotonic() - counted >= _CORES_SECONDS:
      cores = max(1, int(self._ray.cluster_resources().get('CPU', 0)))
      self._cores = cores, time.monotonic()
    return cores


def _load_ray() -> Any:
  try:
    import ray
  except ImportError as error:
    raise ImportError('Ray is not installed: pip install rlnas[ray]') from error
  return ray


def _check_address(address: str | None) -> None:
  """Checks the address first, as Ray itself waits for minutes if nothing answers."""
  if address is None or address == 'auto':
    return
  host, _, port = address.rpartition(':')
  if not host or '/' in host or not port.isdecimal() or not 0 < int(port) < 2**16:
    raise ValueError(f"ray_address={address!r}: must be like 10.0.0.1:6379, or 'auto'")
  try:
    socket.create_connection((host, int(port)), timeout=10).close()
  except OSError as error:
    raise ExecutorError(f'ray_address={address}: nothing answers there ({error})') from error


def _versions() -> dict[str, str]:
  return {'rlnas': rlnas.__version__, 'tensorflow': importlib.metadata.version('tensorflow')}


_pool: tuple[str, WorkerPool] | None = None  # of this Ray worker, with the run that it serves


def _evaluate_on_node(
  evaluator: list[Any],
  run: str,
  trial_timeout: float,
  value: Hashable,
  seed: int,
  terms: Terms,
) -> tuple[dict[str, str], Measurement]:
  """A task: evaluates one network in a process of its own beside Ray's worker.

  The reference to the evaluator is in a list, as Ray would fetch a bare one for each task.
  """
  global _pool
  if _pool is None or _pool[0] != run:
    if _pool is not None:
      _pool[1].close()
    fetched = _load_ray().get(evaluator[0])
    _pool = run, WorkerPool(fetched, workers=1, trial_timeout=trial_timeout)
  pool = _pool[1]
  arrived = None
  try:
    pool.submit(0, value, seed=seed, terms=terms)
    while arrived is None:
      arrived = pool.collect(60.0)
  except BaseException:
    _pool = None  # its queue still holds this evaluation, whose result would answer the next task
    pool.close()
    raise
  return _versions(), arrived[1]
