"""Each paper's search in small, as its command in docs/papers.md runs it."""

import pathlib

import numpy as np
import pytest

from rlnas.search.journal import read_journal
from tests.experiments import script

SMALL = ('--trials=4', '--batch=2', '--epochs=1')
pytestmark = pytest.mark.nightly


def run(name: str, *flags: object) -> str:
  done = script.run(name, *flags)
  assert done.code == 0, done.stderr
  return done.stdout


def keywords(path: pathlib.Path) -> str:
  """Sequences (N, 49, 10) of two classes, in place of spoken words."""
  rng = np.random.default_rng(0)
  y = rng.integers(0, 2, 200)
  x = rng.normal(size=(200, 49, 10)) + np.where(y == 1, 1.0, -1.0)[:, None, None]
  np.savez(path, x_train=x.astype(np.float32), y_train=y)
  return str(path)


def test_zoph_le_2016_networks_grow_and_the_controller_keeps_what_it_knows(tmp_path):
  flags = (
    *SMALL,
    '--executor=inprocess',
    '--dataset=digits',
    '--depths=1,2',
    '--learning_rate=0.5',
  )
  kept = run('deepen.py', *flags, f'--workdir={tmp_path / "kept"}')
  assert [line.split('|')[1].strip() for line in kept.splitlines()[2:]] == ['1', '2']
  assert run('deepen.py', *flags, f'--workdir={tmp_path / "kept"}') == kept  # from its journals
  run('deepen.py', *flags, '--fresh', f'--workdir={tmp_path / "fresh"}')
  journals = {
    (name, depth): read_journal(tmp_path / name / f'depth{depth}.jsonl')[1]
    for name in ('kept', 'fresh')
    for depth in (1, 2)
  }
  proposed = {key: [t.proposal for t in trials] for key, trials in journals.items()}
  assert proposed['kept', 1] == proposed['fresh', 1]
  assert proposed['kept', 2] != proposed['fresh', 2]
  likely = max(proposal.log_prob for proposal in proposed['kept', 2])
  assert likely > max(proposal.log_prob for proposal in proposed['fresh', 2]) + 1


def test_zoph_le_2016_recurrent_cells_on_keywords(tmp_path):
  data = keywords(tmp_path / 'words.npz')
  flags = ('--space=recurrent', '--strategy=zoph_le', '--space_option=steps=3')
  flags += ('--board=nucleo-f446re', '--finish_epochs=2', f'--dataset={data}')
  run('search.py', *SMALL, *flags, '--executor=inprocess', f'--workdir={tmp_path / "run"}')
  assert (tmp_path / 'run' / 'best' / 'model.tflite').exists()


def test_zoph_et_al_2018_cells_by_ppo_are_transferred_to_a_larger_stack(tmp_path):
  flags = ('--space=nasnet', '--strategy=ppo', '--board=nucleo-f446re', '--dataset=digits')
  flags += ('--space_option=blocks=2', '--space_option=filters=4')
  run(
    'search.py',
    *SMALL,
    *flags,
    '--executor=inprocess',
    '--finish_epochs=2',
    f'--workdir={tmp_path}',
  )
  table = run('transfer.py', f'--search={tmp_path}', '--dataset=digits', '--epochs=1')
  small, large = table.splitlines()[-2:]
  assert int(small.split('|')[4].replace(',', '')) < int(large.split('|')[4].replace(',', ''))


def test_zhong_et_al_2018_blocks_by_q_learning_with_early_stop(tmp_path):
  flags = (
    '--space=blockqnn',
    '--strategy=qlearning',
    '--pruner=blockqnn',
    '--fidelity=400x1,allx1',
  )
  flags += ('--board=nucleo-f446re', '--dataset=digits', '--finish_epochs=2')
  run('search.py', *SMALL, *flags, '--executor=inprocess', f'--workdir={tmp_path}')
  _, trials = read_journal(tmp_path / 'journal.jsonl')
  curves = [len(t.measurement.curve) for t in trials if t.measurement.curve]
  assert curves
  assert set(curves) == {1}  # all are judged by their first stage


def test_real_et_al_2017_mutants_begin_with_the_weights_of_their_parents(tmp_path):
  flags = ('--strategy=evolution', '--inherit', '--dataset=digits', '--trials=26', '--batch=2')
  flags += ('--epochs=1', '--executor=inprocess', '--board=nucleo-f446re', '--finish_epochs=2')
  flags += ('--finish_shift=1',)
  run('search.py', *flags, '--space_option=max_depth=2', f'--workdir={tmp_path}')
  _, trials = read_journal(tmp_path / 'journal.jsonl')
  assert any(trial.proposal.parent is not None for trial in trials)
  assert any((tmp_path / 'weights').iterdir())
