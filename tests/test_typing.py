"""What a user's type checker knows of the public face."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import rlnas

ROOT = pathlib.Path(rlnas.__file__).parents[1]
SCRIPT = """
import rlnas

data = rlnas.data.digits()
table = rlnas.compile_table(rlnas.Chain(max_depth=4))
strategy = rlnas.Reinforce(table, controller=rlnas.Controller(table, seed=0), learning_rate=2.5e-3)
budget = rlnas.BOARDS['nucleo-l010rb'].budget
executor = rlnas.InProcess(rlnas.Trained(data, epochs=1))
trials = rlnas.run_search(
  strategy, executor=executor, reward=rlnas.reward.linear_excess, budget=budget, trials=8
)
plan = rlnas.Plan(rlnas.Recipe(epochs=2), top=2)
winner = rlnas.finish_best(trials, data, budget, plan=plan, seed=0)
"""
KNOWN = {
  'data': 'rlnas.data.dataset.Dataset',
  'table': 'rlnas.spaces.table.Table',
  'strategy': 'rlnas.strategies.reinforce.Reinforce',
  'budget': 'rlnas.budget.Budget',
  'executor': 'rlnas.evaluation.executors.InProcess',
  'trials': 'tuple[rlnas.trial.Trial, ...]',
  'winner': 'rlnas.finishing.winner.Winner',
  'winner.trial.proposal.architecture': 'rlnas.architecture.Architecture',
  'rlnas.decode(rlnas.Chain(), (0, 0))': 'rlnas.architecture.Architecture',
  'rlnas.run': 'def (config: rlnas.cli.config.SearchConfig, *, tensorboard: bool =) -> '
  'rlnas.finishing.winner.Winner',
}
CACHE = ROOT / '.mypy_cache' / 'user'  # another one than that of this project's settings
WRONG = {
  "rlnas.Chain(max_depth='four')": 'arg-type',
  'rlnas.Reinforce(table)': 'call-arg',
  "rlnas.SearchConfig(trials='many')": 'arg-type',
  'rlnas.Chian()': 'attr-defined',
  'rlnas.run_search(strategy, executor=executor, reward=3, budget=budget, trials=8)': 'arg-type',
}


def checked(folder: pathlib.Path, script: str) -> list[str]:
  """What mypy says of a script, with none of this project's settings."""
  (folder / 'script.py').write_text(script)
  done = subprocess.run(
    [sys.executable, '-m', 'mypy', 'script.py', '--show-error-codes', f'--cache-dir={CACHE}'],
    cwd=folder,
    env=os.environ | {'MYPYPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  return [line for line in done.stdout.splitlines() if line.startswith('script.py')]


@pytest.mark.nightly
def test_types_are_known_and_mistakes_are_found(tmp_path):
  lines = [SCRIPT, *(f'reveal_type({expression})' for expression in KNOWN), *WRONG]
  said = checked(tmp_path, '\n'.join(lines) + '\n')
  revealed = [re.sub(r'^.*Revealed type is "|"$', '', s) for s in said if 'Revealed type' in s]
  assert len(revealed) == len(KNOWN)
  for (expression, expected), found in zip(KNOWN.items(), revealed, strict=True):
    assert found.startswith(expected), expression
    assert found != 'Any'
  first_wrong = SCRIPT.count('\n') + len(KNOWN) + 1
  errors = [s for s in said if ' error: ' in s]
  for number, (statement, code) in enumerate(WRONG.items(), first_wrong + 1):
    assert any(s.startswith(f'script.py:{number}:') and f'[{code}]' in s for s in errors), (
      statement,
      said,
    )


def test_every_stub_and_the_marker_are_installed():
  setup = (ROOT / 'setup.py').read_text()
  assert "'*.pyi'" in setup
  assert "'py.typed'" in setup
