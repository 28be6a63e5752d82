"""What a terminal shows of a search, from its first second to its last, and when it is stopped."""

import dataclasses
import fcntl
import itertools
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from absl import logging

from rlnas.cli.guard import Guard, stopping
from rlnas.reports.progress_bar import Bar
from tests.cli.command import within
from tests.experiments.invented_table import invented_table
from tests.experiments.script import ROOT
from tests.finished_search import SEARCH

COLUMNS = 80
# Machines that run tests are busy: a search that has both cores is never silent for more than 5 s.
MOST_SECONDS = 15


@dataclasses.dataclass(frozen=True)
class Recording:
  """What a command wrote to a terminal of 80 columns, with the seconds since its start."""

  pieces: list[tuple[float, str]]
  code: int

  @property
  def screens(self):
    text = ''.join(piece for _, piece in self.pieces)
    return [line for line in re.split('[\\r\\n]+', text) if line.strip()]

  @property
  def silences(self):
    """Seconds between outputs that differ."""
    times, last = [0.0], ''
    for seconds, piece in self.pieces:
      if piece.strip() != last:
        times, last = [*times, seconds], piece.strip()
    return [after - before for before, after in itertools.pairwise(times)]


def recorded(*arguments, program=('-m', 'rlnas'), stop_at=''):
  """Runs a command in a terminal; Ctrl-C is pressed when a text appears."""
  command = [sys.executable, *program, *arguments]
  process, terminal = pty.fork()
  if not process:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.execv(command[0], command)  # noqa: S606  a terminal of its own
  fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, COLUMNS, 0, 0))
  started, pieces, whole = time.monotonic(), [], ''
  while time.monotonic() - started < 300:
    if not select.select([terminal], [], [], 1)[0]:
      continue
    try:
      piece = os.read(terminal, 1 << 16).decode(errors='replace')
    except OSError:  # Linux: the other side was closed
      break
    if not piece:
      break
    pieces.append((time.monotonic() - started, piece))
    whole += piece
    if stop_at and re.search(stop_at, whole):
      os.write(terminal, b'\x03')
      stop_at = ''
  os.close(terminal)
  return Recording(pieces, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def bars(recording):
  return [
    s
    for s in recording.screens
    if re.match(r'(search|finish|random, seed 1 .*) \d|loading |compiling ', s)
  ]


@pytest.mark.nightly
def test_ctrl_c_tells_how_far_a_search_is_and_the_same_command_goes_on(tmp_path):
  flags = (*SEARCH, '--strategy=random', '--trials=6', f'--workdir={tmp_path / "run"}')
  stopped = recorded('search', *flags, '--workers=2', stop_at=r'search [1-5]/6')
  assert stopped.code == 130
  told = r'stopped at (\d) of 6 trials; run the same command to continue'
  done = int(re.fullmatch(told, stopped.screens[-1])[1])
  assert 1 <= done <= 6
  screens = stopped.screens
  assert any(line.startswith('stopping when the running trials') for line in screens)
  assert not any('absl' in line or 'WARNING' in line for line in screens)
  assert any(line.startswith('loading TensorFlow: ') for line in screens)
  assert any('workers 0/2' in line for line in screens)
  assert max(map(len, bars(stopped))) <= COLUMNS
  assert max(stopped.silences) < MOST_SECONDS
  whole = within('search', *flags, '--executor=inprocess')
  resumed = int(re.search(r'resumed  (\d) trials', whole.stdout)[1])
  assert 1 <= resumed <= done  # one that is ahead of another waits in a second file
  lines = whole.stderr.splitlines()
  assert any(line.startswith('search 6/6 trials: in ') for line in lines)
  assert any(line.startswith('finish 2/2 finalists: in ') for line in lines)
  *_, winner, _ = [line for line in whole.stdout.split('\n\n') if line]
  assert winner.startswith('Winner: trial ')
  assert '--prefer=balanced' in winner


@pytest.mark.nightly
def test_a_search_is_never_silent(tmp_path):
  flags = ('--dataset=mnist5k', '--trials=6', '--finish_epochs=10', '--finish_top=2')
  whole = recorded('search', *flags, f'--workdir={tmp_path / "run"}')
  again = recorded('finish', f'--workdir={tmp_path / "run"}', '--finish_epochs=5')
  for recording in (whole, again):
    assert recording.code == 0
    assert max(recording.silences) < MOST_SECONDS
    assert max(map(len, bars(recording))) <= COLUMNS
  seen = '\n'.join(whole.screens)
  # On a busy machine the bar may miss the end of an epoch, and show a later part of the next.
  for text in (
    r'epoch 1(\.\d)?/4',
    'search 6/6 ',
    'finish 2/2 ',
    r'epoch 5(\.\d)?/10 0\.',
    'report:  ',
  ):
    assert re.search(text, seen), text
  counts = [int(n) for n in re.findall(r'search (\d+)/6', seen)]
  assert counts == sorted(counts)


@pytest.mark.nightly
def test_experiments_are_never_silent(tmp_path):
  compared = recorded(
    *('--dataset=mnist5k', '--trials=400', '--trained=6', '--epochs=2', '--seeds=1,2'),
    *('--strategies=random;default', f'--workdir={tmp_path}'),
    program=(str(ROOT / 'compare.py'),),
  )
  table = invented_table(tmp_path / 'table.npz')
  searched = recorded(
    *(f'--table={table}', '--strategies=default', '--runs=4', '--budget_seconds=1000'),
    f'--out={tmp_path / "out.json"}',
    program=(str(ROOT / 'nasbench201.py'),),
  )
  for recording in (compared, searched):
    assert recording.code == 0, recording.screens[-5:]
    assert max(recording.silences) < MOST_SECONDS
    assert max(map(len, bars(recording))) <= COLUMNS
  seen = '\n'.join(compared.screens)
  for text in ('random, seed 1 (1/2) 0/6', 'default, seed 2 (2/2) 6/6', 'epoch 1/2'):
    assert text in seen, text
  assert 'search 4/4 ' in '\n'.join(searched.screens)


def test_a_terminal_that_does_not_know_its_size_shows_bars_too(monkeypatch):
  shown, terminal = pty.openpty()
  fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 0, 0, 0, 0))
  with os.fdopen(terminal, 'w') as stream:
    monkeypatch.setattr(sys, 'stderr', stream)
    with Bar(4, 'finish') as bar:
      bar.advance(4)
    found = os.read(shown, 1 << 16).decode()
  os.close(shown)
  assert 'finish 0/4' in found
  assert 'finish 4/4' in found


def test_a_mistake_is_told_before_tensorflow_is_loaded(tmp_path):
  command = [sys.executable, '-m', 'rlnas', 'search', f'--dataset={tmp_path / "absent.npz"}']
  done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
  assert done.returncode == 1
  assert done.stderr == f'error: {tmp_path / "absent.npz"}: no such file or folder\n'


def test_messages_are_lines_without_a_prefix(capsys):
  with Guard():
    logging.warning('trial %d exceeds the budget', 3)
    logging.error('no room')
  assert capsys.readouterr().err == 'trial 3 exceeds the budget\nerror: no room\n'


def test_ctrl_c_says_how_far_it_came(capsys):
  def stopped():
    with Guard(), Bar(4, 'finish') as bar, stopping(bar, 4, 'trainings'):
      bar.advance(2)
      raise KeyboardInterrupt

  with pytest.raises(SystemExit) as ended:
    stopped()
  assert ended.value.code == 130
  assert capsys.readouterr().err.splitlines()[-1] == (
    'stopped at 2 of 4 trainings; run the same command to continue'
  )
  with pytest.raises(SystemExit) as ended, Guard():
    raise KeyboardInterrupt
  assert ended.value.code == 130
  assert capsys.readouterr().err == '\nstopped; run the same command to continue\n'
