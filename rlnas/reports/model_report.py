"""The report of a finished network, and the bundle that holds it: C files, pictures, pages."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np

from rlnas.architecture import Scalar
from rlnas.board import Board
from rlnas.budget import Budget
from rlnas.cost.builds import Build
from rlnas.cost.instructions import digits
from rlnas.cost.preprocessing import memory_of
from rlnas.data.atomic_file import write_folder
from rlnas.data.dataset import Dataset
from rlnas.data.metrics import Metric, chance_confusion, largest_class
from rlnas.data.scaling import Scaling
from rlnas.data.tasks import Task
from rlnas.export.bundle import c_contents, deployment
from rlnas.export.c_files import DEFAULT_NAME, Deployment
from rlnas.export.operators import RESOLVER_METHODS
from rlnas.export.window_files import window_in
from rlnas.pareto import compared, milliseconds
from rlnas.reports import anomaly_section, model_figures, regression_section
from rlnas.reports.anomaly_metrics import judged_scores
from rlnas.reports.classification_metrics import Quality, assess
from rlnas.reports.graph_drawing import drawings
from rlnas.reports.html import (
  Block,
  Code,
  Facts,
  Figure,
  Figures,
  Page,
  Row,
  Section,
  Table,
  Text,
  page_contents,
)
from rlnas.reports.regression_metrics import RegressionQuality, assess_values
from rlnas.reports.search_report import (
  configuration_table,
  front_table,
  metric_of,
  tradeoffs,
)
from rlnas.tflite.inference import int8_answers, real_logits
from rlnas.trial import Measurement, Trial

_FEWEST_BINS = 3  # of a picture of calibration: of fewer, a sentence says as much
_FEWEST_EXAMPLES = 10  # of a bin whose accuracy is not all chance
_MOST_ROWS = 24  # a longer table is closed at first
_FILES = (
  ('model.tflite', 'the network, full int8'),
  ('model.cc, model.h', 'the same bytes as an array aligned to 16, and the names of the classes'),
  ('rlnas_model.h', 'arena, shapes, scales, zero points, classes'),
  ('rlnas_operators.h', 'the list of operators, for classify.cc'),
  ('test_vectors.h', 'int8 inputs and the outputs that the device must give'),
  ('classify.h, classify.cc', 'one call from raw inputs to a class or values, with TFLite Micro'),
  ('main.cc', 'runs the test vectors with TFLite Micro on any board'),
  ('host_test.c, Makefile', 'make test: checks the files on this machine'),
  ('LICENSE', 'the C files are yours, without conditions'),
  ('architecture.json', 'the network as the search wrote it'),
)


@dataclasses.dataclass(frozen=True)
class Origin:
  """How a network was found.

  Attributes:
    trials: trials of the search.
    winner: the trial that found the network.
    board: name of the board whose budget was used.
    command: the command that finds it again.
    configuration: configuration of the search.
    finish_epochs: epochs of its full training, if known.
    validation_accuracy: accuracy of the float network, if known; the metric of the search.
    target: the board, to tell the time of an inference and the flash of the runtime; None if its
      description is gone.
    builds: the builds of TFLite Micro that the board may have, the one of the search first.
    number: number of the network among the finalists; 1 is the winner of the search.
    why: why the first finalist won, in one sentence; '' if not known.
    finalists: name and measurement of each finalist, the winner first; may be empty.
  """

  trials: tuple[Trial, ...]
  winner: Trial
  board: str
  command: str
  configuration: Mapping[str, Scalar | None]
  finish_epochs: int | None
  validation_accuracy: float | None
  target: Board | None = None
  builds: tuple[Build, ...] = ()
  number: int = 1
  why: str = ''
  finalists: tuple[tuple[str, Measurement], ...] = ()


def write_bundle(
  model: bytes,
  dataset: Dataset,
  budget: Budget,
  origin: Origin,
  folder: str | os.PathLike[str],
  *,
  name: str = DEFAULT_NAME,
  worlds: Sequence[str] = (),
) -> Page:
  """Writes model.tflite, the C files, report.html, REPORT.md and figures/: all of them or none.

  Args:
    model: the .tflite file.
    dataset: the data that it was trained on, with its test data; as seen through the window of the
      network, if it has one (`rlnas.data.windowed`).
    budget: the limits that it fits.
    origin: how it was found.
    folder: folder for the files; created if it does not exist.
    name: the model's name, with which its C symbols begin.
    worlds: see `rlnas.export.bundle.c_contents`.

  Raises:
    ValueError: the model does not fit the data, a platform is not known, or the name does not begin
      with a letter.
    OSError: a file cannot be written.
  """
  deployed = deployment(model, dataset, builds=origin.builds, name=name)
  deployed = dataclasses.replace(deployed, latency=_latency(deployed, origin))
  page = model_page(deployed, dataset, budget, origin)
  contents = {
    'model.tflite': model,
    **c_contents(deployed, dataset, budget, worlds),
    **page_contents(page, html_name='report.html', markdown_name='REPORT.md'),
  }
  write_folder(folder, contents)
  return page


def _latency(deployed: Deployment, origin: Origin) -> str:
  """The time of an inference on the board of the search; '' if it is not known."""
  workload, target = deployed.info.report.workload, origin.target
  if target is None or target.speed is None or workload is None:
    return ''
  least, middle, most = map(digits, target.speed.latency(workload))
  return f'{middle} ms ({least} to {most}) on {target.title}'


def model_page(deployed: Deployment, dataset: Dataset, budget: Budget, origin: Origin) -> Page:
  """The report of a network on the test data of `dataset`. Raises ValueError as `write_bundle`."""
  first, results = _results(deployed, dataset, origin)
  sections = (
    results,
    Section('Network', _network(deployed, dataset, origin)),
    Section(
      'Memory', (*_memory(deployed, dataset, budget), *_runtime(deployed, dataset, origin.target))
    ),
    Section('In a firmware', _firmware(deployed, dataset)),
    Section('How it was found', _found(budget, origin)),
    Section('Data', _data(dataset)),
  )
  lead = f'A full-integer network for {origin.board}, with a budget of {budget.flash_bytes:,} B '
  lead += f'flash and {budget.sram_bytes:,} B SRAM.'
  return Page(
    f'{dataset.name} on {origin.board}',
    lead,
    (_facts(first, deployed, dataset, budget, origin),),
    sections,
  )


def _results(
  deployed: Deployment, dataset: Dataset, origin: Origin
) -> tuple[list[tuple[str, str, str]], Section]:
  """The first figures, and the section on the results, as the task has them."""
  if dataset.head.task is Task.REGRESSION:
    test, val = (_judged_values(deployed, dataset, split) for split in ('test', 'val'))
    found = regression_section.blocks(test, val, validation_accuracy=origin.validation_accuracy)
    return regression_section.facts(test), Section('Errors', found)

  if dataset.head.task is Task.ANOMALY:
    alarms, known = (judged_scores(deployed.model, dataset, split) for split in ('test', 'val'))
    blocks = anomaly_section.blocks(alarms, known, validation_accuracy=origin.validation_accuracy)
    return anomaly_section.facts(alarms), Section('Anomalies', blocks)

  def judged(split: str) -> Quality:
    x, y, groups = (getattr(dataset, f'{what}_{split}') for what in ('x', 'y', 'groups'))
    return assess(real_logits(deployed.model, x, scaling=dataset.scaling), y, groups=groups)

  quality = judged('test')
  section = Section('Accuracy', _accuracy(quality, judged('val'), dataset, origin))
  return _facts_of_classes(quality, origin), section


def _judged_values(deployed: Deployment, dataset: Dataset, split: str) -> RegressionQuality:
  """The results of a regression on a split of its data."""
  x, y = getattr(dataset, f'x_{split}'), getattr(dataset, f'y_{split}')
  return assess_values(
    y,
    int8_answers(deployed.model, x, scaling=dataset.scaling, head=dataset.head),
    names=dataset.class_names,
    head=dataset.head,
  )


def _facts_of_classes(quality: Quality, origin: Origin) -> list[tuple[str, str, str]]:
  low, high = quality.interval
  text = f'95 % interval {low:.4f} to {high:.4f}'
  rows = [('int8 test accuracy', f'{quality.accuracy:.4f}', text)]
  metric = metric_of(origin.configuration)
  if metric is not Metric.ACCURACY:
    score = f'{quality.score(metric):.4f}'
    rows.append((f'int8 test {metric.label}', score, 'the metric of the search'))
  return rows


def _facts(
  first: list[tuple[str, str, str]],
  deployed: Deployment,
  dataset: Dataset,
  budget: Budget,
  origin: Origin,
) -> Facts:
  foot = deployed.info.report
  held = memory_of(dataset.preprocessing)
  flash = foot.flash_bytes + held.flash_bytes
  sram = deployed.reserve.arena.smallest_bytes + held.sram_bytes
  share = f'{flash / budget.flash_bytes:.0%} of budget'
  if held.flash_bytes:
    share += f'; {held.flash_bytes:,} B are tables of sound.h'
  rows = [
    *first,
    ('flash', f'{flash:,} B', share),
    ('SRAM', f'{sram:,} B', f'{sram / budget.sram_bytes:.0%} of budget'),
    ('MACs', 'unknown' if foot.macs is None else f'{foot.macs:,}', 'of one inference'),
  ]
  latency_ms, target = origin.winner.measurement.latency_ms, origin.target
  if target is not None and target.speed is not None and foot.workload is not None:
    least, middle, most = map(digits, target.speed.latency(foot.workload))
    rows.append(('latency', f'{middle} ms', f'{least} to {most} ms, estimated'))
  elif latency_ms is not None:
    rows.append(('latency', f'{latency_ms:,.1f} ms', 'of one inference, estimated'))
  return Facts(tuple(rows))


def _accuracy(
  quality: Quality, validation: Quality, dataset: Dataset, origin: Origin
) -> tuple[Block, ...]:
  names, metric = dataset.class_names, metric_of(origin.configuration)
  of_metric = '' if metric is Metric.ACCURACY else f' ({metric.label})'
  rows = tuple(
    (name, f'{sum(row):,}', _percent(recall), _percent(precision))
    for name, row, recall, precision in zip(
      names, quality.confusion, quality.recall, quality.precision, strict=True
    )
  )
  measured = f'On {quality.examples:,} test examples, which no earlier step uses. '
  measured += _chance(quality, dataset, metric)
  if origin.validation_accuracy is not None:
    measured += 'On the validation data the float network reached '
    measured += f'{origin.validation_accuracy:.4f}, this int8 network '
    measured += f'{validation.score(metric):.4f}{of_metric}. '
  measured += 'The interval covers the random choice of the test examples, not of the training.'
  mistakes = ', '.join(
    f'{names[true]} classified as {names[predicted]} ({count})'
    for true, predicted, count in quality.confusions(3)
  )
  return (
    Text(measured),
    Row(
      (
        Table(('class', 'examples', 'recall', 'precision'), rows),
        Figures(
          (
            Figure(
              'confusion', model_figures.confusion_matrix(quality, names), 'Confusion matrix.'
            ),
          )
        ),
      )
    ),
    *((Text(f'Most frequent mistakes: {mistakes}.'),) if mistakes else ()),
    *_groups(quality, validation),
    *calibration(quality),
  )


def _groups(quality: Quality, validation: Quality) -> tuple[Block, ...]:
  """The accuracy of the int8 network on each group, such as a person; nothing without groups."""
  found = [('test', quality.groups), ('validation', validation.groups)]
  rows = tuple(
    (one.group, split, f'{one.examples:,}', f'{one.accuracy:.4f}')
    for split, spread in found
    if spread is not None
    for one in spread.groups
  )
  if not rows:
    return ()
  texts = [f'On the {split} data: {spread}.' for split, spread in found if spread is not None]
  text = 'int8 accuracy by group, such as a person or a recording, each as a whole in one split. '
  text += 'The mean counts each group alike. '
  head = ('group', 'data', 'examples', 'int8 accuracy')
  title = f'All {len(rows)} groups' if len(rows) > _MOST_ROWS else ''
  return Text(text + ' '.join(texts)), Table(head, rows, title)


def calibration(quality: Quality) -> tuple[Block, ...]:
  """The calibration of the confidence: a sentence, and a diagram if it has several bins."""
  gap = sum(b.examples * (b.accuracy - b.confidence) for b in quality.reliability)
  text = (
    f'Confidence is the largest probability of a softmax over the outputs. Its mean error is '
    f'{quality.calibration_error:.3f} (expected calibration error, '
    f'{len(quality.reliability)} {"bin" if len(quality.reliability) == 1 else "bins"}).'
  )
  if abs(gap) > 0.01 * quality.examples:
    text += f' The accuracy is {"higher" if gap > 0 else "lower"} than the confidence.'
  if sum(b.examples >= _FEWEST_EXAMPLES for b in quality.reliability) < _FEWEST_BINS:
    return (Text(text),)
  caption = 'Accuracy over confidence; a larger dot means more examples.'
  picture = Figure('reliability', model_figures.reliability(quality), caption)
  return (Row((Figures((picture,)), Text(text))),)


def _chance(quality: Quality, dataset: Dataset, metric: Metric) -> str:
  """What always answering with the largest class reaches on the test data."""
  named = largest_class(dataset.y_train, classes=dataset.classes)
  confusion = chance_confusion([sum(row) for row in quality.confusion], named)
  shown = dict.fromkeys((Metric.ACCURACY, metric))
  reached = ' and '.join(f'{one.label} {one.of(confusion):.4f}' for one in shown)
  counts = np.bincount(dataset.y_train, minlength=dataset.classes)
  which = 'the largest class' if (counts == counts.max()).sum() == 1 else 'one of the largest'
  text = f'There, always naming {dataset.class_names[named]!r}, {which}, would reach '
  text += f'{reached}. '
  if quality.score(metric) <= metric.of(confusion):
    text += 'This network is not better than that. '
  return text


def _network(deployed: Deployment, dataset: Dataset, origin: Origin) -> tuple[Block, ...]:
  (svg,) = drawings(origin.winner.proposal.architecture, ['.svg'], task=dataset.given_task)
  rows = tuple(
    (str(i), o.kind, '×'.join(map(str, o.shape[1:])), f'{o.live_bytes:,}', f'{o.constant_bytes:,}')
    for i, o in enumerate(deployed.info.report.operators, start=1)
  )
  head = ('', 'operator', 'result', 'live, B', 'constants, B')
  return (
    Row(
      (
        Figures(
          (Figure('network', svg.decode(), 'The network, from the input (top) to the outputs.'),)
        ),
        Table(head, rows, f'All {len(rows)} operators' if len(rows) > _MOST_ROWS else ''),
      )
    ),
  )


def _memory(deployed: Deployment, dataset: Dataset, budget: Budget) -> tuple[Block, ...]:
  foot, room, info = deployed.info.report, deployed.reserve, deployed.info
  arena, build = room.arena, room.build
  held = memory_of(dataset.preprocessing).sram_bytes
  rows: tuple[tuple[str, str], ...] = (
    ('head: activations and scratch', f'{arena.head_bytes:,}'),
    ("tail: the interpreter's structures", f'{arena.tail_bytes:,}'),
    ('in use after loading', f'{arena.used_bytes:,}'),
    ('smallest arena that loads', f'{arena.smallest_bytes:,}'),
    (f'the same with {room.largest_build.title}', f'{room.largest_bytes:,}'),
    (
      f'to reserve on the board, at any alignment ({deployed.name.upper()}_ARENA_BYTES)',
      f'{room.total_bytes:,}',
    ),
    ('where a library decides on kernels (Arduino, ESP-IDF, Zephyr)', f'{room.any_total_bytes:,}'),
  )
  if held:
    what = 'window of a stream (window.h)'
    if dataset.sound is not None:
      what = 'front end of a stream (sound.h)'
    rows = (*rows, (f'beside the arena: the {what}', f'{held:,}'))
  over = room.total_bytes + held - budget.sram_bytes
  fits = f'The reserve exceeds the budget of {budget.sram_bytes:,} B by {over:,} B, which reduce '
  fits += f'the memory of the application; with {build.title} the array may be smaller.'
  peak = max(range(len(info.report.operators)), key=lambda i: info.report.operators[i].live_bytes)
  note = f'The arena needs most memory at operator {peak + 1}, {info.report.operators[peak].kind}. '
  is_measured = foot.sram_source == 'tflm'
  note += (
    'The bytes are predicted from what TFLite Micro allocated here.'
    if is_measured
    else 'The bytes are planned, not measured.'
  )
  caption = 'The head of the arena while the operators run, left to right: each area is a tensor '
  caption += 'at its address. Solid line: bytes in use; dashed: bytes that the plan needs.'
  return (
    Figures((Figure('arena', model_figures.arena(info), caption),)),
    Text(note),
    Table((f'tensor arena with {build.title}', 'bytes'), rows),
    *((Text(fits),) if over > 0 else ()),
  )


def _runtime(deployed: Deployment, dataset: Dataset, target: Board | None) -> tuple[Block, ...]:
  """What the runtime takes of the board's flash; nothing if the board is not known."""
  if target is None:
    return ()
  report = deployed.info.report
  taken, room = target.taken_flash_bytes(report.kinds), target.room_bytes(report.kinds)
  text = 'Beside the model, the runtime with these operators and the application take about '
  text += f'{taken:,} of {target.flash_bytes:,} B of flash ({target.builds[0]}, estimated). '
  flash_bytes = report.flash_bytes + memory_of(dataset.preprocessing).flash_bytes
  if not room:
    text += 'This leaves no room for the model.'
  elif room < flash_bytes:
    text += f'This leaves {room:,} B, less than the model takes.'
  else:
    text += f'This leaves {room:,} B for the model.'
  return (Text(text),)


def _firmware(deployed: Deployment, dataset: Dataset) -> tuple[Block, ...]:
  info = deployed.info
  ports = tuple(
    (name, f'int8 {"×".join(map(str, p.shape))}', f'{p.scale:.9g}', str(p.zero_point))
    for name, p in (('input', info.input), ('output: logits', info.output))
  )
  resolver = '\n'.join(f'resolver.{RESOLVER_METHODS[kind]}();' for kind in info.kinds)
  count = len(info.kinds)
  vectors = deployed.vectors
  return (
    Table(('file', 'content'), (*_FILES, *_front_end(dataset))),
    Table(('port', 'type and shape', 'scale', 'zero point'), ports),
    Text(
      'An input is round((raw - offset) / divisor / scale) + zero point, with '
      f'{_scaling(dataset.scaling)}: {deployed.name}_quantize(). '
      f'{len(vectors.inputs)} validation examples with the outputs of {vectors.interpreter} are '
      'in test_vectors.h.'
    ),
    Code(f'tflite::MicroMutableOpResolver<{count}> resolver;\n{resolver}'),
    Text(
      f'Or call {deployed.name}_add_operators(&resolver), which registers their int8 kernels alone '
      'and so takes less flash.'
    ),
  )


def _front_end(dataset: Dataset) -> tuple[tuple[str, str], ...]:
  """The rows of the files that bring samples of a sensor to the network's input."""
  if dataset.sound is not None:
    return (('sound.h, sound_test.c', 'from samples of a microphone to the input of the network'),)
  if window_in(dataset) is None:
    return ()
  return (('window.h, window_test.c', 'from samples of a sensor to the input of the network'),)


def _scaling(scaling: Scaling) -> str:
  limit = (
    '' if scaling.limit is None else f', (raw - offset) / divisor limited to ±{scaling.limit:g}'
  )
  if scaling.is_per_feature:
    return f'offset and divisor of each feature as in model.cc{limit}'
  return f'offset {scaling.offset:g} and divisor {scaling.scale:g}{limit}'


def _found(budget: Budget, origin: Origin) -> tuple[Block, ...]:
  finish = 'then trained again from scratch'
  if origin.finish_epochs is not None:
    finish += f' for {origin.finish_epochs} epochs'
  metric = metric_of(origin.configuration)
  text = f'Trial {origin.winner.index} of a search with {len(origin.trials):,} trials, {finish}. '
  if origin.number != 1:
    text += f'This is finalist {origin.number}, not the winner of that search. '
  text += 'On the same kind of processor this command finds it again:'
  return (
    Text(text),
    Code(origin.command),
    *_finalists(origin, metric),
    *tradeoffs(origin.trials, budget, chosen=origin.winner, metric=metric),
    front_table(
      origin.trials,
      budget,
      metric,
      chosen=origin.winner,
      mark='winner' if origin.number == 1 else 'this one',
    ),
    configuration_table(origin.configuration),
  )


def _finalists(origin: Origin, metric: Metric) -> tuple[Block, ...]:
  """Why the winner won, and what the other finalists would cost; nothing if that is not known."""
  if not origin.finalists:
    return ()
  (_, best), *_ = origin.finalists
  rows = []
  for number, (title, m) in enumerate(origin.finalists, start=1):
    figures = (m.flash_bytes, m.sram_bytes, m.macs)
    latency = () if best.latency_ms is None else (milliseconds(m.latency_ms),)
    against = 'the winner' if number == 1 else compared(m.resources, best.resources) or 'the same'
    mark = ' (this one)' if number == origin.number and origin.number != 1 else ''
    rows.append(
      (
        *(str(number), title + mark, f'{m.int8_validation_accuracy or 0:.4f}'),
        *('–' if figure is None else f'{figure:,}' for figure in figures),
        *latency,
        against,
      )
    )
  head = ('', 'finalist', f'int8 validation {metric.label}', 'flash, B', 'SRAM, B', 'MACs')
  last = ('against the winner',) if best.latency_ms is None else ('ms', 'against the winner')
  text = f'Why the first of these finalists won: {origin.why}.' if origin.why else 'The finalists:'
  return Text(text), Table((*head, *last), tuple(rows))


def _data(dataset: Dataset) -> tuple[Block, ...]:
  sizes = tuple(
    (split, f'{len(y):,}')
    for split, y in (
      ('training', dataset.y_train),
      ('validation', dataset.y_val),
      ('test', dataset.y_test),
    )
  )
  source = dataset.source or 'unknown'
  text = f'Source and licence of {dataset.name}: {source}. test_vectors.h holds a few of its '
  text += 'examples, which have the same licence.'
  if dataset.preprocessing is not None:
    what = f'hears {dataset.sound}' if dataset.sound else f'reads {dataset.preprocessing}'
    text += f' This network {what}.'
  return (
    Text(text),
    Table(('split', 'examples'), sizes),
    Text(f'Digest: {(dataset.given or dataset).digest}'),
  )


def _percent(share: float | None) -> str:
  return '–' if share is None else f'{share:.1%}'
