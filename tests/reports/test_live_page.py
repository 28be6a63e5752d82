"""The page of a search, while it runs."""

import re

import pytest

from rlnas.budget import Budget
from rlnas.evaluation.executors import InProcess
from rlnas.reports.live_page import LivePage
from rlnas.reward import linear_excess
from rlnas.search.loop import run_search
from rlnas.spaces import Chain
from rlnas.spaces.table import compile_table
from rlnas.strategies.evolution import Evolution
from tests.synthetic import Synthetic

TABLE = compile_table(Chain(max_depth=3))
BUDGET = Budget(flash_bytes=40_000, sram_bytes=16_000)


class Reader:
  """An observer that reads the page after each batch, as a browser may."""

  def __init__(self, path):
    self.path, self.pages = path, []

  def on_trial(self, trial):
    pass

  def on_batch(self, trials, scalars):
    self.pages.append(self.path.read_text() if self.path.exists() else None)


def page_of(path, **arguments) -> LivePage:
  return LivePage(path, budget=BUDGET, configuration={}, dataset='wands', **arguments)


def search(*observers):
  run_search(
    Evolution(TABLE, population=8, sample=3),
    executor=InProcess(Synthetic()),
    reward=linear_excess,
    budget=BUDGET,
    trials=24,
    batch=2,
    observers=observers,
  )


def trials_on(page: str) -> int:
  return int(re.search(r'(\d+) trials with a budget', page)[1])


@pytest.mark.slow
def test_it_is_whole_at_any_time_and_rarely_written(tmp_path):
  path = tmp_path / 'search.html'
  page, reader = page_of(path), Reader(path)
  search(page, reader)
  assert len(reader.pages) == 12
  assert all(found.endswith('</html>') for found in reader.pages)
  assert trials_on(reader.pages[0]) == 2
  assert len(set(reader.pages)) < 6, 'not after each batch'
  page.close()
  last = path.read_text()
  assert trials_on(last) == 24
  assert '<meta http-equiv="refresh"' in last
  assert '<title>Search: wands</title>' in last
  assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_has_all_trials_is_not_written_again(tmp_path):
  path = tmp_path / 'search.html'
  page = page_of(path, known=22)  # so that the first is due after the last trial
  search(page)
  assert trials_on(path.read_text()) == 24
  path.unlink()
  page.close()
  assert not path.exists()


def test_the_trials_of_a_journal_alone_make_no_page(tmp_path):
  path = tmp_path / 'search.html'
  reader = Reader(path)
  search(page_of(path, known=22), reader)
  assert [found is None for found in reader.pages] == [True] * 11 + [False]


def test_a_page_that_cannot_be_written_ends_no_search(tmp_path, caplog):
  (tmp_path / 'search.html').mkdir()
  search(page_of(tmp_path / 'search.html'))
  assert 'the page after 2 trials is not written' in caplog.text
  assert f'{tmp_path}/search.html' in caplog.text
