"""Cells are transferred from the best trial that keeps the whole budget of its search."""

import numpy as np
import pytest

from rlnas.board import BOARDS
from rlnas.budget import Budget
from rlnas.cli.build import journal_configuration, set_up
from rlnas.cli.config import SearchConfig
from rlnas.cli.workdir import budget_of
from rlnas.search.journal import Journal, read_journal
from rlnas.spaces.decision import decode
from rlnas.spaces.table import sample_uniform
from rlnas.trial import Measurement, Proposal, Status, Trial
from tests.experiments import script


@pytest.mark.parametrize(
  'budget', [BOARDS['esp32'].budget, Budget(1, 2, macs=3), Budget(1, 2, macs=3, latency_ms=4.5)]
)
def test_a_journal_gives_back_all_limits(budget, tmp_path):
  configuration = {f'budget_{name}': value for name, value in vars(budget).items()}
  Journal(tmp_path / 'journal.jsonl', configuration={'seed': 0, **configuration}).close()
  assert budget_of(read_journal(tmp_path / 'journal.jsonl')[0]) == budget


@pytest.mark.nightly
def test_a_limit_on_macs_holds_for_the_trial_whose_cells_are_taken(tmp_path):
  setup = set_up(
    SearchConfig(
      dataset='digits',
      space='nasnet',
      space_options=('blocks=1', 'filters=4'),
      max_mmacs=1.0,
      workdir=str(tmp_path),
    )
  )
  rng = np.random.default_rng(0)
  journal = Journal(tmp_path / 'journal.jsonl', configuration=journal_configuration(setup))
  for index, (accuracy, macs) in enumerate([(0.9, 1_000_001), (0.8, 1_000_000)]):
    tokens = sample_uniform(setup.table, rng)
    measured = Measurement(
      Status.COMPLETE,
      validation_accuracy=accuracy,
      int8_validation_accuracy=accuracy,
      flash_bytes=1000,
      sram_bytes=1000,
      macs=macs,
    )
    proposal = Proposal(tokens, decode(setup.table.space, tokens))
    journal.add(Trial(index, 0, 0, proposal, measured, accuracy))
  journal.close()
  flags = [f'--search={tmp_path}', '--dataset=digits', '--epochs=1', '--filters=4', '--repeats=1']
  done = script.run('transfer.py', *flags)
  assert done.code == 0, done.stderr
  assert done.stdout.startswith('cells of trial 1, ')
