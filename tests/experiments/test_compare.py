"""The comparison of strategies as a user runs it."""

import json

import pytest

from rlnas.search.journal import read_journal
from tests.experiments import script


def compare(workdir, *flags: str) -> script.Done:
  small = ('--dataset=digits', '--trials=4', '--batch=2', '--epochs=1', '--executor=inprocess')
  return script.run('compare.py', *small, f'--workdir={workdir}', *flags)


@pytest.mark.slow
def test_strategies_are_compared_over_seeds_and_the_comparison_resumes(tmp_path):
  flags = ('--strategies=random,evolution', '--seeds=0,1')
  done = compare(tmp_path, *flags)
  assert done.code == 0, done.stderr
  for strategy in ('random', 'evolution'):
    assert f'| {strategy} | linear_excess | 2 |' in done.stdout
  results = json.loads((tmp_path / 'compare.json').read_text())
  assert [len(result['best']) for result in results] == [2, 2]
  assert all(0 < best <= 1 for result in results for best in result['best'])
  assert (tmp_path / 'compare.png').stat().st_size > 10_000
  # Evolution begins with the networks of random search; they were not trained again.
  measured = {
    name: [t.measurement for t in read_journal(tmp_path / f'{name}-linear_excess-1.jsonl')[1]]
    for name in ('random', 'evolution')
  }
  assert [m.int8_validation_accuracy for m in measured['random']] == [
    m.int8_validation_accuracy for m in measured['evolution']
  ]
  assert all(m.seconds == 0 for m in measured['evolution'])
  journals = {path: path.read_bytes() for path in tmp_path.glob('*.jsonl')}
  again = compare(tmp_path, *flags)
  assert again.stdout == done.stdout
  assert {path: path.read_bytes() for path in tmp_path.glob('*.jsonl')} == journals


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--seeds=0,a', '--seeds=0,a: must be whole numbers'),
    ('--seeds=0,0', '--seeds=0,0: must be different'),
    ('--strategies=luck', "--strategies='luck': must be one of"),
  ],
)
def test_wrong_flags_are_one_line(flag, message, tmp_path):
  done = compare(tmp_path, flag)
  assert done.code == 1
  assert message in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
