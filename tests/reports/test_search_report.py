"""The report of a search: counted by hand, and drawn of whatever a journal may hold."""

import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from rlnas.budget import Budget
from rlnas.reports.choice_counts import preferences
from rlnas.reports.html import Facts, Figures, Table, to_html, write_page
from rlnas.reports.search_report import moving_mean, search_page
from rlnas.spaces import chain
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.strategies.proposals import propose
from rlnas.trial import Measurement, Proposal, Status, Trial

BUDGET = Budget(flash_bytes=20_000, sram_bytes=10_000)
SPACE = chain.Chain(max_depth=3)
CONFIGURATION = {'strategy': 'reinforce', 'space': 'chain', 'seed': 0}


def trial(index: int, **changes) -> Trial:
  rng = np.random.default_rng(index)
  table = compile_table(SPACE)
  tokens = tuple(map(int, sample_uniform(table, rng)))
  measured = {
    'validation_accuracy': 0.5,
    'int8_validation_accuracy': 0.4 + index / 100,
    'flash_bytes': 5_000 + 1_000 * index,
    'sram_bytes': 4_000,
    'sram_source': 'tflm',
    'macs': 10_000,
    'parameters': 1_000,
    'seconds': 2.0,
  }
  measurement = Measurement(Status.COMPLETE, **(measured | changes))
  proposal = propose(table, tokens, log_prob=-3.0)
  return Trial(index, 0, 1, proposal, measurement, 0.4)


def bare(index: int, status: Status) -> Trial:
  reward = None if status is Status.FAILED else 0.0
  measurement = Measurement(status, seconds=1.0)
  return dataclasses.replace(trial(index), measurement=measurement, reward=reward)


def tables(page) -> dict[tuple[str, ...], Table]:
  blocks = [b for section in page.sections for b in section.blocks if isinstance(b, Table)]
  return {block.head: block for block in blocks}


@pytest.mark.slow
def test_figures_are_counted():
  trials = [trial(i) for i in range(18)]
  trials += [bare(18, Status.INFEASIBLE), bare(19, Status.FAILED)]
  page = search_page(trials, BUDGET, space=SPACE, configuration=CONFIGURATION)
  (facts,) = page.top
  assert isinstance(facts, Facts)
  values = {name: value for name, value, _ in facts.rows}
  # Flash 5,000 + 1,000 i fits up to trial 15; only the last of them is the most accurate.
  assert values == {
    'best that fits': '0.4000',
    'trials': '20',
    'fit the budget': '80%',
    'failed': '1',
    'evaluation': '0.6 min',
  }
  time = tables(page)[('outcome', 'trials', 'seconds', 'share', 'mean, s')]
  assert [row[:3] for row in time.rows] == [
    ('trained, fits', '16', '32.0'),
    ('trained, too large', '2', '4.0'),
    ('screened out', '1', '1.0'),
    ('failed', '1', '1.0'),
  ]
  assert tables(page)[('cause of failure', 'trials')].rows == (('unknown', '1'),)
  assert ('seed', '0') in tables(page)[('setting', 'value')].rows


def test_preferences_are_the_tokens_by_kind_and_period():
  trials = [trial(i) for i in range(12)]
  found = {p.kind: p for p in preferences(trials, SPACE, [0, 6, 12])}
  assert set(found) == {'op', 'kernel', 'filters', 'stride'}
  for period, group in enumerate((trials[:6], trials[6:])):
    nodes = [n for t in group for n in t.proposal.architecture.nodes]
    pools = sum(n.op == 'max_pool' for n in nodes)
    op = found['op']
    assert op.counts[op.choices.index('max_pool'), period] == pools
    layers = sum(op.counts[op.choices.index(o), period] for o in op.choices[:4])
    assert found['kernel'].counts[:, period].sum() == layers


def test_many_choices_are_taken_together():
  space = chain.Chain(max_depth=3, filters=tuple(range(1, 31)))
  table = compile_table(space)
  trials = []
  for i in range(40):
    tokens = tuple(map(int, sample_uniform(table, np.random.default_rng(i))))
    trials.append(dataclasses.replace(trial(i), proposal=propose(table, tokens)))
  found = {p.kind: p for p in preferences(trials, space, [0, 20, 40])}['filters']
  assert len(found.choices) == 12
  assert found.choices[-1] == '19 others'
  widths = sum(
    'filters' in dict(n.attributes) for t in trials for n in t.proposal.architecture.nodes
  )
  assert found.counts.sum() == widths


def test_tokens_of_another_space_are_named():
  with pytest.raises(ValueError, match='trial 3'):
    search_page(
      [trial(i) for i in range(3)]
      + [dataclasses.replace(trial(3), proposal=Proposal((99,), trial(3).proposal.architecture))],
      BUDGET,
      space=SPACE,
      configuration={},
    )


ODD_JOURNALS = {
  'one': [trial(0)],
  'failed': [bare(0, Status.FAILED)],
  'nothing measured': [bare(0, Status.INFEASIBLE), bare(1, Status.FAILED)],
  'too large': [trial(0, flash_bytes=10**6)],
  'equal': [trial(i, int8_validation_accuracy=0.5, flash_bytes=5000) for i in range(3)],
}


@pytest.mark.slow
@pytest.mark.parametrize('name', ODD_JOURNALS)
def test_any_journal_is_drawn(name, tmp_path):
  page = search_page(ODD_JOURNALS[name], BUDGET, space=SPACE, configuration={})
  write_page(page, tmp_path, html_name='a.html', markdown_name='a.md')
  pictures = [
    f for s in page.sections for b in s.blocks if isinstance(b, Figures) for f in b.figures
  ]
  for figure in pictures:
    assert ET.fromstring(figure.svg).tag.endswith('svg')  # noqa: S314 -- our own
  names = [figure.name for figure in pictures]
  assert len(set(names)) == len(names)


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(n, marks=pytest.mark.slow if n == 'equal' else pytest.mark.nightly)
    for n in ODD_JOURNALS
  ],
)
def test_an_equal_journal_gives_an_equal_page(name):
  pages = [
    to_html(search_page(ODD_JOURNALS[name], BUDGET, space=SPACE, configuration={}))
    for _ in range(2)
  ]
  assert pages[0] == pages[1]


def pictures_of(page) -> dict[str, str]:
  blocks = [b for section in page.sections for b in section.blocks if isinstance(b, Figures)]
  return {figure.name: figure.svg for block in blocks for figure in block.figures}


@pytest.mark.slow
def test_what_the_strategy_said_of_itself_is_shown_if_it_is_known():
  trials = [trial(i) for i in range(12)]
  ends = (3, 7, 11)
  scalars = {
    'imagined_score': dict(zip(ends, (0.1, 0.3, 0.8), strict=True)),
    'fit_rate': dict(zip(ends, (0.2, 0.5, 0.9), strict=True)),
    'entropy': dict(zip(ends, (9.0, 8.0, 8.5), strict=True)),
    'descents': dict(zip(ends, (1, 1, 2), strict=True)),
  }
  without, page = (
    search_page(trials, BUDGET, space=None, configuration=CONFIGURATION, scalars=known)
    for known in (None, scalars)
  )
  shown = {'learning-imagined-score', 'learning-fit-rate', 'learning-entropy'}
  # The policy's entropy takes the place of its estimate from the proposals.
  assert pictures_of(page).keys() - pictures_of(without).keys() == shown
  assert pictures_of(without).keys() - pictures_of(page).keys() == {'course-entropy'}
  (learning,) = (section for section in page.sections if section.title == 'Learning')
  assert 'A dotted line is a fresh start' in learning.blocks[0].text
  # The restart moves one picture and not its values.
  steady = search_page(
    trials,
    BUDGET,
    space=None,
    configuration=CONFIGURATION,
    scalars={**scalars, 'descents': dict.fromkeys(ends, 1)},
  )
  assert pictures_of(steady)['learning-entropy'] != pictures_of(page)['learning-entropy']


@pytest.mark.slow
def test_the_winner_leads_with_its_reason_and_its_report():
  trials = [trial(i) for i in range(6)]
  figures = {'flash_bytes': 7000, 'sram_bytes': 4000, 'macs': 10_000, 'latency_ms': 186.92}
  result = {
    'best': {'trial': 2, 'int8_test_accuracy': 0.75, **figures},
    'why': 'the best of all',
    'finalists': [
      {
        'trial': 2,
        'int8_validation_accuracy': 0.8,
        **figures,
        'epochs': 60,
        'stopped': 'all epochs',
      },
      {'trial': 5, 'int8_validation_accuracy': 0.7, **figures, 'latency_ms': None},
      {'candidate': 'of an earlier version'},
    ],
  }
  page = search_page(
    trials, BUDGET, space=None, configuration=CONFIGURATION, dataset='wands', result=result
  )
  assert page.title == 'Search: wands, reinforce, chain'
  (facts,) = page.top
  assert facts.rows[0] == ('winner', '0.7500', 'int8 test accuracy, trial 2, trained fully')
  winner = page.sections[0]
  assert winner.title == 'Winner'
  said, why, links, finalists = winner.blocks
  assert said.text.startswith('Trial 2, trained fully: int8 test accuracy 0.7500')
  assert '187 ms' in said.text
  assert why.text == 'Why it won: the best of all.'
  assert links.rows == (('Report of the winner', 'best/report.html'),)
  assert [row[0] for row in finalists.rows] == ['trial 2', 'trial 5']
  assert finalists.rows[0][-1] == '60 (all epochs)'
  assert finalists.rows[1][-2:] == ('–', '–')
  assert 'href="best/report.html"' in to_html(page)
  # A search that was finished before more trials were added has no such winner.
  other = {**result, 'best': {**result['best'], 'trial': 99}}
  without = search_page(trials, BUDGET, space=None, configuration={}, result=other)
  assert without.sections[0].title == 'Course'


def test_an_empty_journal_is_refused():
  with pytest.raises(ValueError, match='trials'):
    search_page([], BUDGET, space=None, configuration={})


def test_moving_mean():
  assert moving_mean([1, 2, 3]) == [1, 1.5, 2]
  assert moving_mean([1.0] * 10 + [0.0] * 20)[-1] == 0
  assert moving_mean(range(30))[-1] == pytest.approx(19.5)
