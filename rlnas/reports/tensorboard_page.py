"""TensorBoard's page of a search: its command, its address, and a server within this process.

The address alone decides what the page shows first. TensorBoard 2.21 reads from it which charts are
pinned to the top, how much curves are smoothed, and which runs they show.
"""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import sys
import urllib.parse

from absl import logging

HOST = '127.0.0.1'  # nobody else reaches it
PORT = 6006  # TensorBoard's own
PINNED = (
  'reward',
  'trial/int8_validation_accuracy',
  'strategy/score',
  'search/feasible_rate',
)


def address(origin: str = f'http://{HOST}:{PORT}') -> str:
  """The address of the page with the reward on top.

  Args:
    origin: where TensorBoard runs, without a path.
  """
  pinned = [{'plugin': 'scalars', 'tag': tag} for tag in PINNED]
  query = {
    'pinnedCards': json.dumps(pinned, separators=(',', ':')),
    'smoothing': 0,
    'runFilter': 'search',
  }
  encoded = urllib.parse.urlencode(query, quote_via=urllib.parse.quote, safe=':,/')
  return f'{origin}/?{encoded}#timeseries'


def trials_address(port: int = PORT + 1) -> str:
  """The address of the table of all trials, for a TensorBoard of its own."""
  return f'http://{HOST}:{port}/#hparams'


def command(folder: str | os.PathLike[str], *, port: int = PORT) -> str:
  """The shell command that shows a folder, with the TensorBoard of the running Python."""
  program = pathlib.Path(sys.executable).with_name('tensorboard')
  name = [str(program)] if program.exists() else [sys.executable, '-m', 'tensorboard.main']
  return shlex.join([*name, f'--logdir={os.fspath(folder)}', f'--host={HOST}', f'--port={port}'])


def serve(folder: str | os.PathLike[str]) -> str | None:
  """Starts TensorBoard within this process, on a free port of the loopback interface.

  It ends with the process. If it cannot be started, that is logged and nothing else happens.

  Returns:
    The origin of its address, as `address` takes it; None if it cannot be started.
  """
  from rlnas.backend import quiet

  try:
    with quiet():  # it loads TensorFlow, which `rlnas.backend` must do first
      from tensorboard import program

      server = program.TensorBoard()
      # From PORT on, the first port that is free.
      server.configure(argv=['tensorboard', f'--logdir={os.fspath(folder)}', f'--host={HOST}'])
      url: str = server.launch()
  except (Exception, SystemExit) as error:  # a search must not depend on it
    logging.warning('TensorBoard cannot be started (%s: %s)', type(error).__name__, error)
    return None
  return url.rstrip('/')
