"""What TensorBoard is given, read back from the event files."""

import dataclasses
import json
import pathlib
import re
import shlex
import socket
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util.tensor_util import make_ndarray

from rlnas.architecture import TaskShape
from rlnas.budget import Budget
from rlnas.data.metrics import Metric
from rlnas.evaluation.executors import InProcess
from rlnas.reports import tensorboard_page
from rlnas.reports.choice_counts import preferences
from rlnas.reports.pareto_figure import plot_pareto
from rlnas.reports.tensorboard import MOST_RUNS, TensorBoard, all_trials
from rlnas.reports.tensorboard_pictures import Choices, best_text
from rlnas.reports.tensorboard_scalars import (
  BEST,
  DESCRIPTIONS,
  EACH,
  LIMIT,
  MEAN,
  PREDICTED,
  RUNS,
  strategy_scalars,
)
from rlnas.reward import is_feasible, linear_excess
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.evolution import Evolution
from rlnas.trial import Measurement, Status, Trial
from tests.synthetic import Synthetic

pytestmark = pytest.mark.slow

SPACE = Chain(max_depth=3)
TABLE = compile_table(SPACE)
BUDGET = Budget(flash_bytes=40_000, sram_bytes=16_000)


class Predicting(Evolution):
  """Predicts as one with a regressor does: half of what the trials reach."""

  def tell(self, trials):
    score = max(t.reward for t in trials)
    return {**super().tell(trials), 'score': score, 'predicted_score': score / 2}


def search(count: int, *, batch: int = 4, observers=(), strategy=Predicting) -> tuple[Trial, ...]:
  return run_search(
    strategy(TABLE, population=8, sample=3),
    executor=InProcess(Synthetic()),
    reward=linear_excess,
    budget=BUDGET,
    trials=count,
    batch=batch,
    observers=observers,
  )


def board(path: pathlib.Path) -> TensorBoard:
  return TensorBoard(path, budget=BUDGET, task=TaskShape((28, 28, 1), 10), table=TABLE)


def watched(path: pathlib.Path, count: int) -> tuple[Trial, ...]:
  events = board(path)
  trials = search(count, observers=[events])
  events.close()
  return trials


@pytest.fixture(scope='module', name='run')
def _run(tmp_path_factory):
  path = tmp_path_factory.mktemp('run')
  trials = watched(path, 45)
  return path, trials, runs_in(path)


def runs_in(path: pathlib.Path) -> dict[str, EventAccumulator]:
  """The curves of a search, by run."""
  return {
    run: EventAccumulator(str(path / 'search' / run), size_guidance={'tensors': 0}).Reload()
    for run in RUNS
  }


def curve(events: EventAccumulator, tag: str) -> dict[int, float]:
  found = events.Tensors(tag)
  assert len({event.step for event in found}) == len(found), 'no step twice'
  return {event.step: float(make_ndarray(event.tensor_proto)) for event in found}


def test_curves_hold_what_the_trials_say(run):
  _, trials, events = run
  rewards = [t.reward for t in trials]
  assert list(curve(events[EACH], 'reward')) == list(range(45))
  assert list(curve(events[EACH], 'reward').values()) == pytest.approx(rewards)
  assert curve(events[MEAN], 'reward')[30] == pytest.approx(np.mean(rewards[11:31]))
  fits = [is_feasible(t.measurement, BUDGET) for t in trials]
  best = max(r for r, fit in zip(rewards, fits, strict=True) if fit)
  assert curve(events[BEST], 'reward')[44] == pytest.approx(best)
  assert curve(events[EACH], 'search/feasible_rate')[44] == pytest.approx(np.mean(fits))
  assert curve(events[EACH], 'search/failed_rate')[44] == 0
  flash = [t.measurement.flash_bytes / 1024 for t in trials]
  assert list(curve(events[EACH], 'trial/flash_kib').values()) == pytest.approx(flash)
  assert curve(events[BEST], 'trial/flash_kib')[44] <= curve(events[LIMIT], 'trial/flash_kib')[44]
  assert list(curve(events[EACH], 'strategy/population')) == [*range(3, 44, 4), 44]
  real, predicted = (curve(events[name], 'strategy/score') for name in (EACH, PREDICTED))
  assert {step: value / 2 for step, value in real.items()} == pytest.approx(predicted)


def test_a_strategy_that_predicts_nothing_has_no_curve_of_it(tmp_path):
  events = board(tmp_path)
  search(4, observers=[events], strategy=Evolution)
  events.close()
  assert not runs_in(tmp_path)[PREDICTED].Tags()['tensors']


def test_every_curve_says_what_it_is(run):
  _, _, events = run
  assert len(events[EACH].PluginTagToContent('scalars')) > 10
  for accumulator in events.values():
    scalars = accumulator.PluginTagToContent('scalars')
    assert scalars
    for tag in scalars:
      description = accumulator.SummaryMetadata(tag).summary_description
      assert description == DESCRIPTIONS.get(tag, '')
      assert description or tag.startswith('strategy/')


def test_a_folder_has_few_runs_and_the_one_beside_it_all_trials(run):
  path, trials, _ = run
  shown, every = (
    EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload().Runs()
    for folder in (path, all_trials(path))
  )
  assert len(shown) == MOST_RUNS == 35
  assert {f'search/{name}' for name in RUNS} <= shown.keys()
  kept = {int(name.removeprefix('trials/')) for name in shown if name.startswith('trials/')}
  best = sorted(trials, key=lambda t: (-t.reward, t.index))[: MOST_RUNS - len(RUNS)]
  assert kept == {t.index for t in best}
  assert every.keys() == {f'{t.index:04d}' for t in trials}


def test_the_address_pins_curves_that_there_are(run):
  _, _, events = run
  address = tensorboard_page.address('http://127.0.0.1:7000')
  parts = urllib.parse.urlsplit(address)
  assert (parts.netloc, parts.path, parts.fragment) == ('127.0.0.1:7000', '/', 'timeseries')
  assert not set('"{}[] ') & set(address)
  query = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))
  assert query.keys() == {'pinnedCards', 'smoothing', 'runFilter'}
  assert query['smoothing'] == '0'
  assert all(re.search(query['runFilter'], f'search/{name}') for name in RUNS)
  assert not re.search(query['runFilter'], 'trials/0000')
  pinned = json.loads(query['pinnedCards'])
  assert {card['plugin'] for card in pinned} == {'scalars'}
  tags = [card['tag'] for card in pinned]
  assert tags[0] == 'reward'
  known = set(events[EACH].PluginTagToContent('scalars'))
  assert set(tags) <= known & set(DESCRIPTIONS)


def test_the_command_is_that_of_the_running_python(tmp_path):
  words = shlex.split(tensorboard_page.command(tmp_path / 'my run', port=7001))
  program = pathlib.Path(sys.executable).with_name('tensorboard')
  expected = [str(program)] if program.exists() else [sys.executable, '-m', 'tensorboard.main']
  assert words[: len(expected)] == expected
  assert words[len(expected) :] == [
    f'--logdir={tmp_path}/my run',
    '--host=127.0.0.1',
    '--port=7001',
  ]


def test_the_layout_names_curves_that_there_are(run):
  _, _, events = run
  (event,) = events[EACH].Tensors('custom_scalars__config__')
  layout = layout_pb2.Layout.FromString(make_ndarray(event.tensor_proto).item())
  patterns = [t for c in layout.category for chart in c.chart for t in chart.multiline.tag]
  assert len(layout.category) >= 3
  assert patterns
  assert {pattern.strip('^$') for pattern in patterns} <= set(DESCRIPTIONS)


def test_the_layout_and_descriptions_know_what_controllers_report(run):
  """All that a policy, with or without a regressor, says of itself has a text and a chart."""
  from rlnas.strategies.controller import Controller
  from rlnas.strategies.ppo import PPO
  from rlnas.strategies.reinforce import Reinforce
  from rlnas.strategies.zoph_le import ZophLe

  _, trials, events = run
  (event,) = events[EACH].Tensors('custom_scalars__config__')
  layout = make_ndarray(event.tensor_proto).item().decode(errors='replace')
  told = []
  for strategy, options in (
    (Reinforce, {'warm_start': 1, 'updates': 1, 'imagined': 4}),
    (ZophLe, {}),
    (PPO, {}),
  ):
    controller = Controller(TABLE, units=4, seed=0)
    learner = strategy(TABLE, controller=controller, penalty=lambda a: 0.0, **options)
    for first in (0, 4):
      batch = [
        dataclasses.replace(t, proposal=dataclasses.replace(t.proposal, log_prob=-9.0))
        for t in trials[first : first + 4]
      ]
      scalars = learner.tell(batch)
    told.append(set(scalars))
  assert {'fit_rate', 'entropy', 'reward_mean'} <= set.intersection(*told)
  assert {'imagined_score', 'surrogate_correlation', 'surrogate_error'} <= told[0]
  by_run = strategy_scalars(dict.fromkeys(set.union(*told), 0.5))
  assert by_run[PREDICTED] == {'strategy/score': 0.5}
  assert {'strategy/score', 'strategy/entropy'} <= set(by_run[EACH]) <= set(DESCRIPTIONS)
  for name in ('score', 'imagined_score', 'fit_rate', 'entropy', 'surrogate_error'):
    assert f'strategy/{name}' in layout


def test_pictures_come_now_and_then_and_at_the_end(run):
  _, _, events = run
  kinds = {kind for kind in TABLE.kinds if sum(k == kind for k, _, _ in TABLE.symbols) > 1}
  assert {'op', 'filters'} <= kinds
  for tag in ('search/pareto_front', *(f'policy/{kind}' for kind in kinds)):
    found = events[EACH].Tensors(tag)
    assert [event.step for event in found] == [19, 31, 44], tag
    width, height, png = make_ndarray(found[-1].tensor_proto)
    assert int(width) > 300
    assert int(height) > 80
    assert png.startswith(b'\x89PNG')


def test_the_best_network_is_told_with_its_fit(run):
  _, trials, events = run
  fitting = [t for t in trials if is_feasible(t.measurement, BUDGET)]
  best = max(fitting, key=lambda t: t.reward)
  event = events[BEST].Tensors('best/network')[-1]
  assert event.step == best.index
  text = make_ndarray(event.tensor_proto).item().decode()
  assert f'**Trial {best.index}**' in text
  used = best.measurement.flash_bytes
  assert f'| flash, bytes | {used:,} | 40,000 | {used / 40_000:.0%} |' in text
  assert '| 0 |' in text


def test_tensorboard_is_served_on_loopback_alone(run):
  path, _, _ = run
  origin = tensorboard_page.serve(path)
  port = urllib.parse.urlsplit(origin).port
  assert origin == f'http://127.0.0.1:{port}'
  with pytest.raises(ConnectionRefusedError):
    socket.create_connection(('127.0.0.2', port), timeout=5).close()
  deadline = time.monotonic() + 60
  while time.monotonic() < deadline:
    with urllib.request.urlopen(f'{origin}/data/runs') as answer:  # noqa: S310 -- our own
      runs = json.load(answer)
    if len(runs) == MOST_RUNS:
      break
    time.sleep(0.2)
  # TensorBoard gives out seven colors in the order of the runs.
  assert set(runs[: len(RUNS)]) == {f'search/{name}' for name in RUNS}


def test_a_server_that_cannot_start_is_logged(tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(
    tensorboard_page, 'HOST', '203.0.113.1'
  )  # for documentation: not this machine
  assert tensorboard_page.serve(tmp_path) is None
  assert 'TensorBoard cannot be started' in caplog.text


def test_the_text_has_figures_for_people():
  trial = search(1)[0]
  measurement = dataclasses.replace(trial.measurement, latency_ms=186.92153101354052)
  timed = dataclasses.replace(trial, measurement=measurement)
  budget = dataclasses.replace(BUDGET, latency_ms=200.0)
  text = best_text(timed, budget, TaskShape((28, 28, 1), 10), Metric.ACCURACY)
  assert '| latency, ms | 186.9 | 200.0 | 93% |' in text
  assert '186.92' not in text


def test_counts_are_those_of_the_report_whatever_the_periods():
  trials = search(400, batch=2)
  tally = Choices(TABLE)
  for first in range(0, 400, 2):
    tally.add(trials[first : first + 2])
  whole = {p.kind: p for p in preferences(trials, SPACE, [0, 400])}
  found = tally.preferences()
  assert {p.kind for p in found} == set(whole)
  for preference in found:
    assert 20 < preference.counts.shape[1] <= 50
    counts = dict(zip(preference.choices, preference.counts.sum(axis=1), strict=True))
    expected = whole[preference.kind]
    assert counts == dict(zip(expected.choices, expected.counts[:, 0], strict=True))


def test_a_resumed_search_goes_on_without_a_jump_or_a_duplicate(tmp_path):
  events = board(tmp_path)
  search(13, observers=[events])  # it is killed: nothing is closed
  watched(tmp_path, 30)
  multiplexer = EventMultiplexer(size_guidance={'tensors': 0}).AddRunsFromDirectory(str(tmp_path))
  multiplexer.Reload()
  whole = tmp_path / 'whole'
  watched(whole, 30)
  expected = runs_in(whole)
  for run in RUNS:
    found = multiplexer.GetAccumulator(f'search/{run}')
    for tag in expected[run].PluginTagToContent('scalars'):
      if tag != 'trial/seconds':
        assert curve(found, tag) == curve(expected[run], tag)
  found = multiplexer.GetAccumulator(f'search/{EACH}')
  assert [e.step for e in found.Tensors('search/pareto_front')] == [19, 29]


def test_searches_in_one_folder_stay_apart(tmp_path):
  for name in ('first', 'second'):
    watched(tmp_path / name / 'tensorboard', 4)
  multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
  groups = set()
  for name in ('first', 'second'):
    run = f'{name}/tensorboard/trials/0002'
    tags = multiplexer.PluginRunToTagToContent('hparams')[run]
    start = hparams_metadata.parse_session_start_info_plugin_data(
      tags['_hparams_/session_start_info']
    )
    groups.add(start.group_name)
    assert curve(multiplexer.GetAccumulator(f'{name}/tensorboard/search/{EACH}'), 'reward')
  assert len(groups) == 2


def test_the_pareto_picture_is_a_file_too(tmp_path):
  plot_pareto(search(12), BUDGET, tmp_path / 'pareto.png', title='twelve')
  assert (tmp_path / 'pareto.png').read_bytes().startswith(b'\x89PNG')


def test_every_trial_has_a_row_whatever_became_of_it(tmp_path):
  complete = search(1)[0]
  infeasible = Measurement(
    Status.INFEASIBLE, flash_bytes=99_999, sram_bytes=9, macs=5, parameters=3, detail='too large'
  )
  failed = Measurement(Status.FAILED, detail='ZeroDivisionError')
  events = board(tmp_path)
  events.on_trial(complete)
  events.on_trial(dataclasses.replace(complete, index=1, measurement=infeasible, reward=-0.9))
  events.on_trial(dataclasses.replace(complete, index=2, measurement=failed, reward=None))
  events.close()
  multiplexer = EventMultiplexer().AddRunsFromDirectory(str(all_trials(tmp_path))).Reload()
  tags = multiplexer.PluginRunToTagToContent('hparams')
  found = {}
  for index in range(3):
    run = f'{index:04d}'
    start = hparams_metadata.parse_session_start_info_plugin_data(
      tags[run]['_hparams_/session_start_info']
    )
    scalars = multiplexer.GetAccumulator(run).Tags()['tensors']
    found[start.hparams['status'].string_value] = {t for t in scalars if t.startswith('hparams/')}
  sizes = {'hparams/flash_kib', 'hparams/sram_kib', 'hparams/mega_macs'}
  assert found == {
    'complete': {'hparams/reward', 'hparams/int8_validation_accuracy', *sizes},
    'infeasible': {'hparams/reward', *sizes},
    'failed': set(),
  }
