"""The benchmarks of estimates and of shared weights run, and say what they measured."""

import json
import math

import numpy as np
import pytest

from rlnas.architecture import TaskShape
from rlnas.cost.cost import estimate_cost
from rlnas.search.journal import Journal
from rlnas.spaces import Chain
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.trial import Measurement, Proposal, Status, Trial
from tests.experiments.test_benchmarks import run

SMALL = ('--dataset=digits', '--space_option=max_depth=3')


@pytest.mark.nightly
def test_ranking_keeps_its_truth(tmp_path):
  truth = tmp_path / 'truth.jsonl'
  flags = [*SMALL, '--networks=3', '--truth_epochs=1', f'--truth={truth}', f'--workdir={tmp_path}']
  done = run('benchmark_ranking.py', *flags, '--supernet_steps=20', '--estimators=macs,shared')
  assert done.code == 0, done.stdout + done.stderr
  lines = truth.read_text().splitlines()
  assert len(lines) == 3
  assert '| macs | ' in done.stdout
  report = json.loads((tmp_path / 'ranking-chain.json').read_text())
  known = {json.loads(line)['digest']: json.loads(line) for line in lines}
  truths = [known[digest]['int8_validation_accuracy'] for digest in report['digests']]
  assert report['truths'] == truths
  assert report['estimates']['macs']['scores'] == [known[d]['macs'] for d in report['digests']]
  assert all(0 <= score <= 1 for score in report['estimates']['shared']['scores'])

  truth.write_text('\n'.join([lines[0], lines[1], lines[2][:20]]))  # stopped while it wrote
  again = run('benchmark_ranking.py', *flags, '--estimators=macs')
  assert again.code == 0, again.stdout + again.stderr
  kept = truth.read_text().splitlines()
  assert kept[:2] == lines[:2]
  assert json.loads(kept[2])['int8_validation_accuracy'] == truths[-1]
  assert '| macs | ' in again.stdout


@pytest.mark.nightly
def test_sharing():
  flags = [*SMALL, '--seconds=6', '--share=0.6', '--examples=200', '--finalists=1']
  done = run('benchmark_sharing.py', *flags, '--final_epochs=1')
  assert done.code == 0, done.stdout + done.stderr
  assert 'supernet: ' in done.stdout
  assert '| from scratch | ' in done.stdout
  assert '| shared | ' in done.stdout


def test_the_regressor_learns_from_a_journal(tmp_path):
  table = compile_table(Chain(max_depth=3))
  rng = np.random.default_rng(0)
  journal = Journal(
    tmp_path / 'journal.jsonl', configuration={'space': 'chain', 'space_options': 'max_depth=3'}
  )
  for i in range(60):
    tokens = sample_uniform(table, rng)
    architecture = decode(table.space, tokens)
    known = estimate_cost(architecture, TaskShape((28, 28, 1), 10))
    accuracy = 1 - 1 / math.log(known.parameters + 8)
    measurement = Measurement(
      Status.COMPLETE,
      int8_validation_accuracy=accuracy,
      flash_bytes=known.flash_bytes,
      macs=known.macs,
    )
    journal.add(Trial(i, i, 0, Proposal(tokens, architecture), measurement, accuracy))
  journal.close()
  done = run('benchmark_surrogate.py', str(journal.path), '--learnt=30', '--splits=5', workers=None)
  assert done.code == 0, done.stdout + done.stderr
  row = done.stdout.splitlines()[-1].split('|')
  assert float(row[2].split()[0]) > 0.8  # of a function of a network's features


@pytest.mark.parametrize(
  ('name', 'flag'),
  [('benchmark_ranking.py', '--estimators=luck'), ('benchmark_sharing.py', '--share=1')],
)
def test_wrong_flags_are_one_line(name, flag):
  done = run(name, flag)
  assert done.code == 1
  assert done.stderr.startswith(f'error: {flag.split("=")[0]}=')
  assert done.stderr.count('\n') == 1
