"""The comparison of strategies as a user runs it."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from rlnas.budget import Budget
from rlnas.search.journal import read_journal
from rlnas.testing.executor import network
from rlnas.trial import Measurement, Proposal, Status, Trial
from tests.experiments import script


def compare(workdir, *flags: str) -> script.Done:
  small = ('--dataset=digits', '--trials=4', '--batch=2', '--epochs=1', '--executor=inprocess')
  return script.run('compare.py', *small, f'--workdir={workdir}', *flags)


@pytest.fixture(name='experiment')
def _experiment():
  with script.imported('compare.py') as module:
    yield module


BUDGET = Budget(flash_bytes=100, sram_bytes=100)
NETWORKS = list(map(network, range(3)))


def trial(index: int, network: int, accuracy: float | None, flash_bytes: int = 50) -> Trial:
  """A trial of one of the networks; without accuracy it was not trained."""
  measurement = Measurement(
    Status.INFEASIBLE if accuracy is None else Status.COMPLETE,
    int8_validation_accuracy=accuracy,
    flash_bytes=flash_bytes,
    sram_bytes=50,
    curve=() if accuracy is None else (accuracy,),
  )
  return Trial(index, 0, 0, Proposal((network,), NETWORKS[network]), measurement, 0.0)


@pytest.mark.parametrize(('trained', 'by_trained'), [(None, (0.5, 0.5, 0.8)), (2, (0.5, 0.5))])
def test_trials_and_trained_networks_are_counted_apart(experiment, trained, by_trained):
  trials = [
    trial(0, 0, None, 500),  # not trained
    trial(1, 0, 0.5),
    trial(2, 1, 0.9, 101),  # trained, and does not fit
    trial(3, 0, 0.5),  # a repeat
    trial(4, 2, 0.8),
  ]
  experiment.FLAGS(['compare.py', '--inherit=false', *([f'--trained={trained}'] * bool(trained))])
  run = experiment.run_of(trials, BUDGET)
  assert run.by_trial == (0, 0.5, 0.5, 0.5, 0.8)
  assert run.by_trained == by_trained
  assert run.feasible == 3 / 5
  assert experiment.newly_trained(trials) == [False, True, True, False, True]


def test_the_table_compares_at_what_every_search_trained(experiment):
  runs = (
    experiment.Run((0.1, 0.2, 0.3), (0.1, 0.2, 0.3), 1.0),
    experiment.Run((0.3, 0.3, 0.6, 0.9), (0.3, 0.6), 0.5),
  )
  results = [
    experiment.Result('one', 'linear_excess', runs),
    experiment.Result('other', 'linear_excess', runs[:1] * 2),
  ]
  header, _, one, other = experiment.table(results).splitlines()
  assert 'best after 1 trained | best after 2 trained |' in header
  assert one.split(' | ')[3:] == [
    *('0.2000 ± 0.1414', '0.4000 ± 0.2828', '–', '0.3000 ± 0.2121', '4', '2'),
    *('0.6000 ± 0.4243', '75% |'),
  ]
  assert other.split(' | ')[3:5] == ['0.1000 ± 0.0000', '0.2000 ± 0.0000']
  assert other.split(' | ')[5:7] == ['0.5', '0.1500 ± 0.0000']  # t = .2 / .2 with one degree
  nothing = experiment.Result('nothing', 'linear_excess', (experiment.Run((0.0,), (), 0.0),))
  assert '| – | – | – | – | 1 | 0 |' in experiment.table([nothing])


def test_differences_from_the_first_arm_are_corrected_for_their_number(experiment):
  rng = np.random.default_rng(0)
  found = [0.5 + 0.1 * rng.random(8), 0.52 + 0.1 * rng.random(8), 0.7 + 0.1 * rng.random(8)]
  arms = [
    experiment.Result(str(i), '', tuple(experiment.Run((v,), (v,), 1.0) for v in values))
    for i, values in enumerate(found)
  ]
  first, near, far = experiment.against_first(arms, 1)
  assert math.isnan(first)
  alone = [stats.ttest_ind(found[0], other, equal_var=False).pvalue for other in found[1:]]
  assert alone[1] < alone[0]
  np.testing.assert_allclose((near, far), (alone[0], 2 * alone[1]))


@pytest.mark.slow
def test_arms_are_compared_over_seeds_and_the_comparison_resumes(tmp_path):
  flags = (
    '--strategies=random;evolution:population=8',
    '--seeds=0,1',
    '--space_option=max_depth=3',
  )
  done = compare(tmp_path, *flags)
  assert done.code == 0, done.stderr
  for arm in ('random', 'evolution:population=8'):
    assert f'| {arm} | linear_excess | 2 |' in done.stdout
  results = json.loads((tmp_path / 'compare.json').read_text())
  assert [r['trials'] for r in results] == [[4, 4]] * 2
  assert all(0 < best <= 1 for result in results for best in result['best'])
  assert all(n <= 4 for result in results for n in result['trained'])
  assert (tmp_path / 'compare.png').stat().st_size > 10_000
  # Evolution begins with the networks of random search; they were not trained again.
  measured = {
    name: [t.measurement for t in read_journal(tmp_path / f'{name}-linear_excess-1.jsonl')[1]]
    for name in ('random', 'evolution_population=8')
  }
  assert [m.int8_validation_accuracy for m in measured['random']] == [
    m.int8_validation_accuracy for m in measured['evolution_population=8']
  ]
  assert all(m.seconds == 0 for m in measured['evolution_population=8'])
  assert all(m.curve for m in measured['random'])
  journals = {path: path.read_bytes() for path in tmp_path.glob('*.jsonl')}
  again = compare(tmp_path, *flags)
  assert again.stdout == done.stdout
  assert {path: path.read_bytes() for path in tmp_path.glob('*.jsonl')} == journals


@pytest.mark.nightly
def test_a_search_ends_after_so_many_trained_networks(tmp_path):
  flags = ('--strategies=random;random:admits=false', '--seeds=0', '--trials=80', '--trained=6')
  done = compare(tmp_path, *flags)
  assert done.code == 0, done.stderr
  results = json.loads((tmp_path / 'compare.json').read_text())
  assert [r['trained'] for r in results] == [[6], [6]]
  filtered, plain = (r['trials'][0] for r in results)
  assert 6 <= filtered <= 10  # six, and those that ran: batches of 2, one of them besides
  assert filtered < plain < 80
  assert compare(tmp_path, *flags).stdout == done.stdout


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--seeds=0,a', '--seeds=0,a: must be whole numbers'),
    ('--seeds=0,0', '--seeds=0,0: must be different'),
    ('--strategies=luck', "--strategies='luck': must be one of"),
    ('--strategies=evolution:sample=99', "--strategies='evolution:sample=99': strategy_option="),
    ('--trained=5', '--trained=5: must be at most --trials=4'),
    ('--trained=0', '--trained=0: must be at least 1'),
  ],
)
def test_wrong_flags_are_one_line(flag, message, tmp_path):
  done = compare(tmp_path, flag)
  assert done.code == 1
  assert message in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
