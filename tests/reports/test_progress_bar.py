"""What people see while something runs: within 80 columns, and in a log file line by line."""

import dataclasses
import io

import pytest

from rlnas.budget import Budget
from rlnas.progress import WAITING, Step, changed_by, is_heard, part_of, tell, told_to
from rlnas.reports.progress_bar import Bar, ProgressBar, spoken
from rlnas.reward import is_feasible
from tests.reports.test_tensorboard import search
from tests.synthetic import BUDGET


class Terminal(io.StringIO):
  def isatty(self):
    return True

  @property
  def screens(self):
    return [text for text in self.getvalue().replace('\n', '\r').split('\r') if text.strip()]


class Clock:
  now = 0.0

  def __call__(self):
    return self.now


def test_a_bar_fits_80_columns_and_shows_what_runs():
  terminal, clock = Terminal(), Clock()
  with Bar(4, 'finish', stream=terminal, clock=clock) as bar:
    for epoch in range(60):
      clock.now += 1
      for key in range(3):
        bar.on_step(Step(epoch + key / 4, 60, key=key, name=f'trial {key + 7}', accuracy=0.98765))
    bar.end_step('trial 7')
    bar.show('best 0.9' + 100 * '5')
    clock.now += 1
    bar.advance()
  assert all(len(screen) <= 80 for screen in terminal.screens)
  early, late = terminal.screens[5], terminal.screens[50]
  assert early.startswith('finish 0/4 |')
  assert early.endswith(' trial 7 epoch 4/60 0.988, trial 9 3.5/60 0.988, +1')
  assert '% ' not in late
  assert 'left' in late
  assert terminal.screens[-1].startswith('finish 1/4 |')


def test_what_waits_for_others_counts_and_gives_them_room():
  terminal, clock = Terminal(), Clock()
  with Bar(4, 'finish', stream=terminal, clock=clock) as bar:
    for name, unit in [('a', WAITING), ('b', WAITING), ('c', 'epoch'), ('d', 'epoch')]:
      clock.now += 1
      bar.on_step(Step(30, 60, unit=unit, key=ord(name), name=f'trial {name}'))
    clock.now += 60
    bar.on_step(Step(45, 60, key=ord('d'), name='trial d'))
    assert bar.seconds_left() == pytest.approx(63 * (4 - 2.25) / 2.25)
  assert terminal.screens[5].endswith(' trial d epoch 45/60, trial c 30/60')
  assert not any('trial a' in screen for screen in terminal.screens)


def test_what_goes_on_after_all_is_not_done_until_it_ends_again():
  """As a finalist that was stopped by a comparison and then becomes a teacher."""
  log, clock = io.StringIO(), Clock()
  with Bar(4, 'finish', unit='finalists', stream=log, clock=clock) as bar:
    for name in ('a', 'b'):
      bar.on_step(Step(4, 4, key=ord(name), name=name))
      bar.end(name, text=f'best {name}')
      bar.end(name, text=f'best {name}')  # as it was not better than before
    assert bar.done == 2
    clock.now += 60
    bar.on_step(Step(2, 4, key=7, name='a'))
    assert bar.done == 1
    assert bar.seconds_left() == pytest.approx(60 * (4 - 1.5) / 1.5)
    bar.on_step(Step(4, 4, key=7, name='a'))
    bar.end('a', text='best a')
    assert bar.done == 2
    clock.now += 60
    bar.show('best a')
  assert log.getvalue().splitlines()[-2] == 'finish 2/4 finalists: about 2 min left, best a'


def test_what_the_search_itself_does_is_shown_until_it_is_done():
  terminal, clock = Terminal(), Clock()
  with Bar(4, 'search', stream=terminal, clock=clock) as bar:
    for done in range(3):
      clock.now += 1
      bar.on_step(Step(done, 2, unit='warm start'))
  shown = [screen.rstrip().rpartition('|')[2] for screen in terminal.screens]
  assert [text for text in shown if text] == [' warm start 0/2', ' warm start 1/2']
  assert not shown[-1]


def test_a_log_file_gets_lines_now_and_then_and_no_carriage_return():
  log, clock = io.StringIO(), Clock()
  with Bar(1000, 'search', unit='trials', stream=log, clock=clock) as bar:
    for number in range(1000):
      clock.now += 1
      bar.show(f'best {number / 1000:.4f}')
      bar.advance()
  lines = log.getvalue().splitlines()
  assert '\r' not in log.getvalue()
  assert 20 < len(lines) < 80
  assert lines[0] == 'search 4/1000 trials: best 0.0040'
  assert lines[-2].startswith('search 9')
  assert ' trials: about ' in lines[-2]
  assert lines[-1] == 'search 1000/1000 trials: in 17 min, best 0.9990'


def test_the_time_left_waits_until_it_can_be_told():
  """Starting takes long, and trials that a resumed search knows take no time."""
  clock = Clock()
  bar = Bar(100, 'search', stream=io.StringIO(), clock=clock)
  bar.advance(40, known=True)
  clock.now += 60  # workers start
  bar.on_step(Step(0, 4, key=40))
  assert bar.seconds_left() is None
  clock.now += 5
  for _ in range(3):
    bar.advance()
  assert bar.seconds_left() is None  # 3 of 60
  clock.now += 6
  for _ in range(7):
    bar.advance()
  assert bar.seconds_left() == pytest.approx(55)
  bar.on_step(Step(3, 4, key=50))
  bar.on_step(Step(1, 4, key=51))
  assert bar.seconds_left() == pytest.approx(49)  # the parts of what runs count
  bar.advance(50)
  assert bar.seconds_left() is None


def test_what_ends_by_the_clock_has_that_time_left_at_most():
  clock = Clock()
  bar = Bar(1000, 'search', stream=io.StringIO(), clock=clock)
  bar.ends_within(600)
  assert bar.seconds_left() is None  # nothing has begun
  bar.begin()
  clock.now += 60
  assert bar.seconds_left() == pytest.approx(540)
  bar.advance(100)
  assert bar.seconds_left() == pytest.approx(540)  # as the trials go it would take as long again
  bar.advance(700)
  assert bar.seconds_left() == pytest.approx(15)
  clock.now += 600
  assert bar.seconds_left() == 0


def test_trials_use_up_the_time_of_the_search(capfd):
  bar = ProgressBar(100, budget=BUDGET, seconds=1200, workers=2)
  for index in range(3):
    measured = dataclasses.replace(search(1)[0].measurement, seconds=200.0)
    bar.on_trial(dataclasses.replace(search(1)[0], index=index, measurement=measured))
  bar.on_arrival(dataclasses.replace(search(1)[0], index=3))
  assert bar.seconds_left() == pytest.approx(300, abs=5)
  bar.close()
  assert 'search 4/100 trials' in capfd.readouterr().err


def test_durations_are_rounded():
  assert [spoken(s) for s in (3.4, 42, 100, 3000, 7200)] == [
    '3 s',
    '40 s',
    '2 min',
    '50 min',
    '2.0 h',
  ]


def test_a_trial_counts_when_it_is_done(capfd):
  bar = ProgressBar(12, budget=BUDGET)
  trials = search(12)
  for trial in reversed(trials):  # the order in which they finish
    bar.on_arrival(trial)
  assert bar.done == 12
  for trial in trials:
    bar.on_trial(trial)
  assert bar.done == 12
  bar.close()
  fitting = [t.measurement for t in trials if is_feasible(t.measurement, BUDGET)]
  best = max(m.int8_validation_accuracy for m in fitting)
  last = capfd.readouterr().err.splitlines()[-1]
  assert last.startswith('search 12/12 trials: in ')
  assert last.endswith(f'best {best:.4f}, {len(fitting) / 12:.0%} fit')


def test_the_bar_says_where_nothing_fits(capfd):
  bar = ProgressBar(2, budget=Budget(flash_bytes=1, sram_bytes=1))
  bar.on_trial(search(1)[0])
  bar.close()
  assert 'search 1/2 trials: in 0 s, best none yet, 0% fit' in capfd.readouterr().err


def test_steps_reach_the_listener_of_their_context():
  heard = []
  tell(Step(1, 2))
  assert not is_heard()
  with changed_by(lambda step: step):
    assert not is_heard()
  with told_to(heard.append), part_of(10, after=4):
    assert is_heard()
    tell(Step(1, 3))
  assert heard == [Step(5, 10)]
