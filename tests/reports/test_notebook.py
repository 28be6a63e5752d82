"""A search in a cell of IPython, with the real display machinery."""

import subprocess
import sys

import pytest

CELL = """
from tests.synthetic import BUDGET, Synthetic
import rlnas
from rlnas.reports.notebook import Progress

trials = rlnas.run_search(
  rlnas.RandomSearch(rlnas.compile_table(rlnas.Chain(max_depth=3))),
  executor=rlnas.InProcess(Synthetic()), reward=rlnas.reward.linear_excess, budget=BUDGET,
  trials=12, batch=4, observers=[Progress(12, budget=BUDGET)])
"""
RUN = f"""
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.displaypub import CapturingDisplayPublisher

shell = InteractiveShell.instance()
shell.display_pub = CapturingDisplayPublisher()
shell.run_cell({CELL!r}).raise_error()
shown = shell.display_pub.outputs
texts = [s['data']['text/markdown'] for s in shown if 'text/markdown' in s['data']]
pictures = [s['data']['image/png'] for s in shown if 'image/png' in s['data']]
assert len(texts) == 3, texts
assert texts[-1].startswith('**12 of 12** trials: best int8 accuracy 0.'), texts
assert 1 <= len(pictures) <= 3
assert all(s['update'] for s in shown[2:]), 'a picture takes the place of the one before'
assert len({{s['transient']['display_id'] for s in shown}}) == 2
"""


def test_a_cell_shows_progress_and_a_picture_that_is_updated(tmp_path):
  done = subprocess.run(
    [sys.executable, '-c', RUN],
    env={'IPYTHONDIR': str(tmp_path), 'HOME': str(tmp_path), 'PYTHONPATH': '.'},
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
  )
  assert done.returncode == 0, done.stdout + done.stderr


def test_without_ipython_the_error_says_so(monkeypatch):
  from rlnas.reports.notebook import Progress
  from tests.synthetic import BUDGET

  monkeypatch.setitem(sys.modules, 'IPython', None)
  with pytest.raises(ImportError, match='IPython'):
    Progress(3, budget=BUDGET)
