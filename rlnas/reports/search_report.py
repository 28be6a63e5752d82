"""The report of a search, from its journal: trials, results, preferences and times.

With the scalars of the strategy (`rlnas.search.scalars_file`) it also shows how the policy learnt.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture, Scalar
from rlnas.budget import Budget
from rlnas.cost.instructions import digits
from rlnas.data.metrics import Metric
from rlnas.data.spread import told
from rlnas.data.tasks import Task
from rlnas.pareto import best_trial, objectives, pareto_front
from rlnas.reports import search_figures
from rlnas.reports.choice_counts import Preference, preferences
from rlnas.reports.html import Block, Facts, Figure, Figures, Links, Page, Section, Table, Text
from rlnas.reports.learning_section import Scalars, learning_figures
from rlnas.reports.model_figures import style, svg
from rlnas.reports.pareto_figure import memory_costs, pareto_figure, time_costs
from rlnas.reward import is_feasible
from rlnas.spaces.decision import Space
from rlnas.trial import Status, Trial

_WINDOW = 20  # trials of a moving mean
_MOST_PERIODS = 12


def search_page(
  trials: Sequence[Trial],
  budget: Budget,
  *,
  space: Space | None,
  configuration: Mapping[str, Scalar | None],
  scalars: Scalars | None = None,
  dataset: str = '',
  result: Mapping[str, Any] | None = None,
  refresh_seconds: int | None = None,
) -> Page:
  """The report of a search.

  Args:
    trials: trials of the journal.
    budget: decides which trials fit.
    space: the space of the trials' tokens; without it the report has no part on decisions.
    configuration: configuration in the journal's header.
    scalars: scalars that the strategy reported, by name and by the last trial of each batch;
      without it the report has no part on learning.
    dataset: name of the data.
    result: content of result.json; None before the search is finished.
    refresh_seconds: see `Page`, for a search that runs.

  Raises:
    ValueError: there are no trials, or `space` cannot read their tokens.
  """
  if not trials:
    raise ValueError('trials: must hold at least one')
  names = [str(configuration[n]) for n in ('strategy', 'space') if configuration.get(n)]
  metric = metric_of(configuration)
  best, won = best_trial(trials, budget), winner_of(result, trials)
  mark = 'best so far' if won is None else 'winner'
  sections = [
    Section('Course', _course(trials, budget, metric, surprise='entropy' not in (scalars or {}))),
    Section('Trade-offs', tradeoffs(trials, budget, chosen=won or best, metric=metric, mark=mark)),
    Section('Pareto front', (front_table(trials, budget, metric, chosen=won),)),
  ]
  if result is not None and won is not None:
    sections.insert(0, Section('Winner', _winner(result, won, metric)))
  if learning := learning_figures(scalars or {}):
    after = next(i for i, section in enumerate(sections) if section.title == 'Course')
    sections.insert(after + 1, Section('Learning', learning))
  if space is not None:
    sections.append(Section('Preferences', _preferences(trials, space)))
  sections += [
    Section('Time', _time(trials, budget)),
    Section('Configuration', (configuration_table(configuration),)),
  ]
  lead = f'{len(trials)} trials with a budget of {budget.flash_bytes:,} B flash and '
  lead += f'{budget.sram_bytes:,} B SRAM.'
  title = f'Search: {", ".join(filter(None, (dataset, *names)))}' if dataset or names else 'Search'
  if refresh_seconds is not None:
    lead += ' The search runs: this page is rewritten from time to time and reloads every '
    lead += f'{refresh_seconds} seconds.'
  tested = None if result is None or won is None else result['best']['int8_test_accuracy']
  facts = _facts(trials, budget, best, metric, won=won, tested=tested)
  return Page(title, lead, (facts,), tuple(sections), refresh_seconds)


def winner_of(result: Mapping[str, Any] | None, trials: Sequence[Trial]) -> Trial | None:
  """The trial that result.json names as the winner; None if it names none of these trials."""
  best = (result or {}).get('best')
  index = best.get('trial') if isinstance(best, dict) else None
  return next((t for t in trials if t.index == index), None)


def _word(metric: Metric) -> str:
  """The figure of the winner that a result has whatever the metric of a classification was."""
  return 'accuracy' if metric.task is Task.CLASSIFICATION else metric.label


def _winner(result: Mapping[str, Any], won: Trial, metric: Metric) -> tuple[Block, ...]:
  """What the finishing found: the winner, why it won, and what the other finalists cost."""
  best = result['best']
  text = f'Trial {won.index}, trained fully: int8 test {_word(metric)} '
  text += f'{best["int8_test_accuracy"]:.4f}, '
  text += f'{best["flash_bytes"]:,} B flash, {best["sram_bytes"]:,} B SRAM'
  latency_ms = best.get('latency_ms')
  text += '.' if latency_ms is None else f', {digits(latency_ms)} ms (estimated).'
  why = result.get('why', '')
  head = (
    'finalist',
    f'int8 validation {metric.label}',
    'flash, B',
    'SRAM, B',
    'MACs',
    'latency, ms',
    'epochs',
  )
  rows = tuple(row for found in result.get('finalists', ()) if (row := _finalist(found)))
  return (
    Text(text),
    *((Text(f'Why it won: {why}.'),) if isinstance(why, str) and why else ()),
    *(
      Text(f'int8 accuracy by group of the {split} data: {told(groups)}.')
      for split in ('validation', 'test')
      if (groups := best.get(f'int8_{split}_groups'))
    ),
    Links((('Report of the winner', 'best/report.html'),)),
    *((Table(head, rows),) if rows else ()),
  )


def _finalist(found: Mapping[str, Any]) -> tuple[str, ...] | None:
  """A row of the finalists; None for one of an earlier version, which had no figures here."""
  names = ('flash_bytes', 'sram_bytes', 'macs')
  if not {'trial', 'int8_validation_accuracy', *names} <= found.keys():
    return None
  latency_ms = found.get('latency_ms')
  return (
    f'trial {found["trial"]}',
    f'{found["int8_validation_accuracy"]:.4f}',
    *(f'{found[name]:,}' for name in names),
    '–' if latency_ms is None else digits(latency_ms),
    '–' if (epochs := found.get('epochs')) is None else f'{epochs} ({found.get("stopped")})',
  )


def metric_of(configuration: Mapping[str, Scalar | None]) -> Metric:
  """The metric of a search; journals of earlier versions do not name accuracy."""
  return Metric(configuration.get('metric', Metric.ACCURACY))


def tradeoffs(
  trials: Sequence[Trial],
  budget: Budget,
  *,
  chosen: Trial | None,
  metric: Metric,
  mark: str = 'winner',
) -> tuple[Block, ...]:
  """Accuracy over flash, SRAM and MACs, with the budget and the Pareto front."""
  complete = [t for t in trials if t.measurement.status is Status.COMPLETE]
  if not complete:
    return (Text('No trial was measured completely.'),)
  word = _capital(metric.label)
  shown = [
    ('memory', memory_costs(budget), f'{word} by memory: flash left, SRAM right, one scale.'),
    *(
      (name, (cost,), f'{word} by {spoken}.')
      for name, cost, spoken in zip(
        ('macs', 'latency'), time_costs(budget), ('computation', 'latency'), strict=True
      )
      if all(cost.of(t) is not None for t in complete)
    ),
  ]
  figures = []
  for name, costs, caption in shown:
    with style():
      figure = pareto_figure(complete, budget, metric=metric, winner=chosen, mark=mark, costs=costs)
      figures.append(Figure(f'tradeoff-{name}', svg(figure), caption))
  note = 'Each point is a trial, whose network was trained briefly. A trial is on the Pareto front '
  note += 'if it fits and no other trial that fits beats it in accuracy, flash, SRAM and MACs '
  note += 'together. An arrow on the border is a trial beyond it.'
  return Text(note), Figures(tuple(figures))


def front_table(
  trials: Sequence[Trial],
  budget: Budget,
  metric: Metric,
  *,
  chosen: Trial | None = None,
  mark: str = 'winner',
) -> Block:
  """The Pareto front, most accurate first.

  Args:
    trials: trials of the search.
    budget: decides which trials fit.
    metric: the metric that the search maximises.
    chosen: a trial that is marked, and is in the table in any case.
    mark: how it is marked.
  """
  front = pareto_front(trials, budget)
  if chosen is not None and all(trial.index != chosen.index for trial in front):
    front = sorted([*front, trials[chosen.index]], key=lambda t: -objectives(t)[0])
  if not front:
    return Text('No trial fits the budget.')
  timed = all(trial.measurement.latency_ms is not None for trial in front)
  rows = []
  for trial in front:
    accuracy, flash, sram, macs = objectives(trial)
    figures = [f'{accuracy:.4f}', f'{flash:,}', f'{sram:,}', f'{macs:,}']
    if timed:
      figures.append(digits(trial.measurement.latency_ms or 0.0))
    shown = f'{trial.index} ({mark})' if chosen and trial.index == chosen.index else trial.index
    rows.append((str(shown), *figures, _operations(trial)))
  head = ['trial', f'int8 validation {metric.label}', 'flash, B', 'SRAM, B', 'MACs', 'operations']
  if timed:
    head.insert(-1, 'latency, ms')
  return Table(tuple(head), tuple(rows))


def configuration_table(configuration: Mapping[str, Scalar | None]) -> Table:
  """All settings that decide the course of the search."""
  rows = tuple((k, str(v)) for k, v in configuration.items() if v not in ('', None))
  return Table(('setting', 'value'), rows)


def _facts(
  trials: Sequence[Trial],
  budget: Budget,
  best: Trial | None,
  metric: Metric,
  *,
  won: Trial | None,
  tested: float | None,
) -> Facts:
  fitting = sum(is_feasible(t.measurement, budget) for t in trials)
  failed = sum(t.measurement.status is Status.FAILED for t in trials)
  distinct = len({t.proposal.digest for t in trials})
  hours = sum(t.measurement.seconds for t in trials) / 3600
  rows = [
    ('trials', f'{len(trials):,}', f'{distinct:,} different networks'),
    ('fit the budget', f'{fitting / len(trials):.0%}', f'{fitting:,} trials'),
    ('failed', f'{failed:,}', 'errors; no reward'),
    ('evaluation', f'{hours * 60:.1f} min' if hours < 2 else f'{hours:.1f} h', 'all workers'),
  ]
  if best is not None:
    accuracy = f'{objectives(best)[0]:.4f}'
    rows.insert(
      0, ('best that fits', accuracy, f'int8 validation {metric.label}, trial {best.index}')
    )
  if won is not None and tested is not None:
    what = f'int8 test {_word(metric)}, trial {won.index}, trained fully'
    rows.insert(0, ('winner', f'{tested:.4f}', what))
  return Facts(tuple(rows))


def _course(
  trials: Sequence[Trial], budget: Budget, metric: Metric, *, surprise: bool
) -> tuple[Block, ...]:
  feasible = [is_feasible(t.measurement, budget) for t in trials]
  figures = []
  for name, values, label in (
    ('reward', [t.reward for t in trials], 'reward'),
    (
      'accuracy',
      [t.measurement.int8_validation_accuracy for t in trials],
      f'int8 validation {metric.label}',
    ),
  ):
    triples = zip(trials, values, feasible, strict=True)
    known = [(t.index, v, f) for t, v, f in triples if v is not None]
    if known:
      indices, found, fits = zip(*known, strict=True)
      picture = search_figures.course(
        *(indices, found, fits),
        ylabel=label,
        mean=moving_mean(found),
        mean_name=f'mean of {_WINDOW}',
      )
      figures.append(Figure(f'course-{name}', picture, f'{_capital(label)} of each trial.'))
  everywhere = [t.index for t in trials]
  seen: set[str] = set()
  is_new = []
  for trial in trials:
    digest = trial.proposal.digest
    is_new.append(digest not in seen)
    seen.add(digest)
  shares = {'fit the budget': moving_mean(feasible), 'not seen before': moving_mean(is_new)}
  picture = search_figures.share(
    everywhere, shares, ylabel=f'share of {_WINDOW} trials', percent=True
  )
  caption = 'Share of trials that fit the budget, and of networks that were new.'
  figures.append(Figure('course-share', picture, caption))
  scored = [t for t in trials if t.proposal.log_prob is not None and t.proposal.tokens]
  if scored and surprise:
    nats = [-(t.proposal.log_prob or 0.0) / len(t.proposal.tokens) for t in scored]
    picture = search_figures.share(
      [t.index for t in scored],
      {'surprise': moving_mean(nats)},
      ylabel='nats per decision',
      percent=False,
    )
    caption = 'How much the policy explored: mean of −log p of its proposals over '
    caption += f'{_WINDOW} trials, an estimate of its entropy.'
    figures.append(Figure('course-entropy', picture, caption))
  return (Figures(tuple(figures)),)


def moving_mean(values: Sequence[float]) -> list[float]:
  """The mean of each value and those before it, at most `_WINDOW` values."""
  sums = np.cumsum([0.0, *values])
  ends = range(1, len(values) + 1)
  return [float(sums[e] - sums[max(0, e - _WINDOW)]) / min(e, _WINDOW) for e in ends]


def _preferences(trials: Sequence[Trial], space: Space) -> tuple[Block, ...]:
  periods = min(_MOST_PERIODS, len(trials))
  edges = [round(i * len(trials) / periods) for i in range(periods + 1)]
  figures, rows = [], []
  quarter = max(1, periods // 4)
  for number, preference in enumerate(preferences(trials, space, edges)):
    totals = preference.counts.sum(axis=0)
    shares = np.where(totals > 0, preference.counts / np.maximum(totals, 1), np.nan)
    picture = search_figures.preference(shares, preference.choices, edges)
    caption = f'Decisions of kind “{preference.kind}”: how often each choice was taken.'
    figures.append(Figure(f'preference-{number}', picture, caption))
    early = preference.counts[:, :quarter].sum(axis=1)
    late = preference.counts[:, -quarter:].sum(axis=1)
    rows.append((preference.kind, *_favourite(preference, early), *_favourite(preference, late)))
  if not rows:
    return (Text('Every decision of the space has only one choice.'),)
  head = ('decision', 'most frequent in the first quarter', 'share', 'in the last', 'share ')
  note = (
    'Shares among the decisions of a period, including exploration. A stronger cell was chosen '
  )
  note += 'more often; a column adds up to 100 %.'
  return Text(note), Table(head, tuple(rows)), Figures(tuple(figures))


def _favourite(preference: Preference, counts: npt.NDArray[np.int64]) -> tuple[str, str]:
  if not counts.sum():
    return '–', '–'
  best = int(np.argmax(counts))
  return preference.choices[best], f'{counts[best] / counts.sum():.0%}'


def _time(trials: Sequence[Trial], budget: Budget) -> tuple[Block, ...]:
  """Seconds by the outcome of the evaluation."""
  seconds: dict[str, list[float]] = {
    name: [] for name in ('trained, fits', 'trained, too large', 'screened out', 'failed')
  }
  for trial in trials:
    m = trial.measurement
    if m.status is Status.COMPLETE:
      name = 'trained, fits' if is_feasible(m, budget) else 'trained, too large'
    else:
      name = 'failed' if m.status is Status.FAILED else 'screened out'
    seconds[name].append(m.seconds)
  total = sum(map(sum, seconds.values())) or 1.0
  rows = tuple(
    (name, f'{len(s):,}', f'{sum(s):,.1f}', f'{sum(s) / total:.0%}', f'{sum(s) / len(s):.2f}')
    for name, s in seconds.items()
    if s
  )
  head = ('outcome', 'trials', 'seconds', 'share', 'mean, s')
  picture = search_figures.bars(
    {row[0]: sum(seconds[row[0]]) / 60 for row in rows}, xlabel='minutes'
  )
  caption = 'Time of the evaluations, sum of all workers.'
  return Table(head, rows), Figures((Figure('time', picture, caption),)), *_failures(trials)


def _failures(trials: Sequence[Trial]) -> tuple[Block, ...]:
  """The causes of failed trials, the most frequent first."""
  details = [t.measurement.detail for t in trials if t.measurement.status is Status.FAILED]
  causes = collections.Counter((d.strip().splitlines() or ['unknown'])[-1] for d in details)
  rows = tuple((cause[:200], str(count)) for cause, count in causes.most_common())
  return (Table(('cause of failure', 'trials'), rows),) if rows else ()


def _capital(text: str) -> str:
  return text[:1].upper() + text[1:]


def _operations(trial: Trial) -> str:
  """Counts the network's operations, for example '4 conv, 2 depthwise conv, 1 max pool'."""
  hidden = ('input', 'global_avg_pool', 'classifier')
  if not isinstance(trial.proposal.value, Architecture):
    return str(trial.proposal.value)
  nodes = trial.proposal.value.nodes
  counts = collections.Counter(n.op.replace('_', ' ') for n in nodes if n.op not in hidden)
  return ', '.join(f'{count} {op}' for op, count in counts.most_common())
