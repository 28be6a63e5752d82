"""The README's examples run as they stand."""

import pathlib
import re
import subprocess
import sys

import pytest

from rlnas import board, reward
from rlnas.board import BOARDS
from rlnas.data import loaders

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()
CHOICES = (ROOT / 'experiments' / 'choices.py').read_text()


def blocks(language: str) -> list[str]:
  return re.findall(rf'```{language}\n(.*?)```', README, flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize('block', blocks('python'))
def test_python_examples_run(block, tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', block], cwd=tmp_path, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('block', blocks('json'))
def test_json_examples_are_boards(block, tmp_path):
  path = tmp_path / 'board.json'
  path.write_text(block)
  assert board.find_board(path).budget.sram_bytes > 0


def test_each_thing_that_one_may_bring_has_an_example():
  own = README.split('## Bring your own\n')[1].split('\n## ')[0]
  titles = re.findall(r'^\*\*(\w[\w ]*)\*\*:', own, flags=re.MULTILINE)
  assert titles == ['Data', 'A board', 'A space', 'A strategy', 'A reward']
  assert own.count('```python\n') == len(titles)
  assert own.count('run_search(') == len(titles)
  assert blocks('json')


def test_the_tables_name_what_there_is():
  chosen = re.findall(r"^  '(\w+)': (?:lambda table|[A-Z])", CHOICES, flags=re.MULTILINE)
  assert {'chain', 'joint', 'imitation', 'tpe', 'random'} <= set(chosen)
  for name in (*BOARDS, *loaders.BUILT_IN, *chosen):
    assert f'`{name}`' in README
  for function in (
    reward.linear_excess,
    reward.weighted_product,
    reward.absolute,
    reward.death_penalty,
  ):
    assert f'`{function.__name__}`' in README
