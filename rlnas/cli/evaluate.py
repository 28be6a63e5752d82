"""`rlnas evaluate`: tests the winner of a search, in int8, on other examples of the same kind.

They are read as the search read its data, with the settings in its config.json unless flags say
otherwise, and scaled as its training data were. If the data have test examples, only these are
used. Classes are matched by name where the data name them, otherwise by number. Without --dataset
the result is that of the search on its own test data.
"""

from __future__ import annotations

import json
import os
import pathlib
from typing import TYPE_CHECKING, Any

from absl import flags

from rlnas.cli.config import SOUND, SearchConfig
from rlnas.cli.finished import FinishedSearch, load
from rlnas.cli.flags import define_some_flags, named_by_flags, no_arguments, show
from rlnas.cli.loading import load_tensorflow
from rlnas.cli.text_tables import aligned
from rlnas.cli.workdir import dataset_of, named_workdir
from rlnas.cost.hearing import Hearing
from rlnas.data import folders
from rlnas.data.atomic_file import write_file
from rlnas.data.csv_files import SUFFIXES
from rlnas.data.labelled import Labelled, load_labelled, test_part
from rlnas.data.loaders import BUILT_IN
from rlnas.data.metrics import Metric
from rlnas.data.sound_settings import HEARD, SoundSettings
from rlnas.data.sounds import is_list
from rlnas.data.windowed import through

if TYPE_CHECKING:
  from rlnas.reports.anomaly_metrics import AnomalyQuality
  from rlnas.reports.classification_metrics import Quality
  from rlnas.reports.regression_metrics import RegressionQuality

_READING = ('label', 'group', 'features', 'window', 'hop', 'image_size', 'channels', *SOUND)
_OF_TABLES = ('features', 'window', 'hop')  # that suit every kind of CSV files
_SOUNDS = ('list of sound', 'sound')  # kinds of data
_OF_IMAGES = ('image_size', 'channels')
_WIDTH = 100  # of a confusion matrix on a terminal; instead of a wider one come the mistakes
_MOST_MISTAKES = 10


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of this command."""
  define_some_flags(flag_values, 'workdir', 'data_dir', *_READING)
  flags.DEFINE_string(
    'dataset',
    None,
    f'Data to test on: the path of an .npz file (x_test, y_test, or x, y; optional class_names, '
    f'groups), of a .csv file, or of a folder of images, .csv or .wav files by class; or one of '
    f'{", ".join(BUILT_IN)}. Default: the test data of the search.',
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'finalist',
    1,
    'Number of the finalist, as result.json and the table of finalists list them: 1 is the winner.',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'json', None, 'Also writes all figures to this JSON file.', flag_values=flag_values
  )


def main(flag_values: flags.FlagValues, arguments: list[str]) -> None:
  """Evaluates a finalist of the search in the workdir."""
  no_arguments(arguments)
  search = load(named_workdir(flag_values), finalist=flag_values['finalist'].value)
  with named_by_flags():
    data = examples_of(
      search,
      flag_values['dataset'].value,
      data_dir=flag_values['data_dir'].value,
      **{name: flag_values[name].value for name in _READING},
    )
  load_tensorflow()
  from rlnas.reports.anomaly_metrics import AnomalyQuality
  from rlnas.reports.regression_metrics import RegressionQuality

  try:
    quality = search.evaluate(data.x, data.y, groups=data.groups)
  except ValueError as error:
    raise ValueError(f'{data.source or data.name}: {error}') from error
  which = 'the winner' if search.number == 1 else f'finalist {search.number}'
  show(f'network  {which} of {search.workdir}, int8')
  show(f'data     {data.name}: {data.source}')
  for note in data.notes:
    show(f'note     {note}')
  if isinstance(quality, RegressionQuality):
    show('\n' + format_values(quality))
    record = values_record(quality)
  elif isinstance(quality, AnomalyQuality):
    show('\n' + format_alarms(quality))
    record = {'int8_quality': quality.auc, 'int8_interval': list(quality.interval)}
    record |= {'examples': quality.examples, **quality.to_record()}
  else:
    show('\n' + format_quality(quality, search.class_names))
    record = to_record(quality, search)
  record |= {
    'dataset': data.source or data.name,
    'workdir': str(search.workdir),
    'finalist': search.number,
  }
  if path := flag_values['json'].value:
    write_file(pathlib.Path(os.path.expanduser(path)), json.dumps(record, indent=2) + '\n')


def examples_of(
  search: FinishedSearch, dataset: str | None, *, data_dir: str | None = None, **given: Any
) -> Labelled:
  """The examples that a search's networks are to be tested on.

  Args:
    search: the search.
    dataset: a path or the name of a data set. If it is None or the data set of the search, the
      examples are its test data, since the networks have seen its other examples.
    data_dir: see `rlnas.data.load`.
    **given: how files are read, as `SearchConfig` has it; None for the setting of the search.

  Raises:
    ValueError: the data break a rule, or do not fit the networks.
    OSError: they cannot be read.
  """
  config = search.config
  if data_dir is not None:
    config = _with(config, data_dir=data_dir)
  if dataset is None or _is_same(dataset, config.dataset):
    for name, value in given.items():
      if value is not None:
        raise ValueError(
          f'{name}={value}: not with the data of the search, which are read with its own settings'
        )
    own = dataset_of(config, search.configuration, search.trials)
    if search.sound is not None and search.architecture is not None:
      _, own = through(search.architecture, own)
    # Results of earlier versions do not name the classes, so these are its own by definition.
    return test_part(own, own.class_names, search.raw_shape)
  kept = {name: getattr(config, name) for name in _inherited(dataset, config)}
  kept |= {name: value for name, value in given.items() if value is not None}
  reading = _with(SearchConfig(), **kept).reading()
  if 'features' in kept and given.get('features') is None:  # in whatever order they stand there
    reading['features'] = search.features or reading['features']
  if isinstance(search.preprocessing, Hearing) and _kind(dataset) in _SOUNDS:
    for name in HEARD:
      if given.get(name) is not None:
        decided = getattr(search.preprocessing, name)
        raise ValueError(f'{name}={given[name]}: the network itself decided on {decided}')
    reading['sound'] = (reading['sound'] or SoundSettings()).heard_by(search.preprocessing)
  try:
    return load_labelled(
      dataset,
      class_names=search.class_names,
      input_shape=search.raw_shape,
      dtype=search.input_type,
      head=search.head,
      data_dir=data_dir,
      **reading,
    )
  except ValueError as error:
    if str(error).startswith('group=') and given.get('group') is None:
      raise ValueError(
        f'{error}; the search has that group: give another, --group=none for none'
      ) from error
    raise


def _with(config: SearchConfig, **settings: Any) -> SearchConfig:
  return SearchConfig(**{**vars(config), **settings})


def _is_same(dataset: str, own: str) -> bool:
  """Whether two settings are one file, folder or built-in data set."""
  if dataset in BUILT_IN or own in BUILT_IN:
    return dataset == own
  one, other = (pathlib.Path(os.path.expanduser(path)).resolve() for path in (dataset, own))
  return one == other


def _inherited(dataset: str, config: SearchConfig) -> tuple[str, ...]:
  """The settings of the search that other data are read with: all if they are of the same kind."""
  kind, own = _kind(dataset), _kind(config.dataset)
  if kind == own:
    return _READING if kind != 'built-in' else ()
  if kind in _SOUNDS:  # the groups of a folder are not a column of a list
    return SOUND if own in _SOUNDS else ()
  tables = ('csv', 'recordings')
  if kind in tables:
    return (*_OF_TABLES, *(('group',) if own in tables and config.group != 'folder' else ()))
  return _OF_IMAGES if kind == 'images' else ()


def _kind(dataset: str) -> str:
  """The kind of data; 'images' for a folder that no longer exists."""
  if dataset in BUILT_IN:
    return 'built-in'
  path = pathlib.Path(os.path.expanduser(dataset))
  if not path.is_dir() and path.suffix.lower() in ('.npz', *SUFFIXES):
    if path.suffix.lower() == '.npz':
      return 'npz'
    return 'list of sound' if is_list(path) else 'csv'
  kind = folders.kind_in(path) if path.is_dir() else folders.IMAGES
  return {folders.TABLES: 'recordings', folders.SOUNDS: 'sound'}.get(kind, 'images')


def format_alarms(quality: AnomalyQuality) -> str:
  """The figures of an anomaly detection, for a terminal."""
  low, high = quality.interval
  interval = f'95 % interval {low:.4f} to {high:.4f}; {quality.examples:,} examples'
  head = ('allowed', 'threshold', 'false alarms', 'found')
  rows = [
    (f'{a.rate:.0%}', f'{a.threshold:.4g}', f'{a.false_alarms:.1%}', f'{a.found:.1%}')
    for a in quality.alarms
  ]
  areas = f'int8 AUC          {quality.auc:.4f}  ({interval})\n'
  areas += f'int8 partial AUC  {quality.partial_auc:.4f}  (at most 10 % of false alarms)'
  return f'{areas}\n\n{aligned([head, *rows])}' if rows else areas


def format_values(quality: RegressionQuality) -> str:
  """The figures of a regression, for a terminal."""
  low, high = quality.interval
  interval = f'95 % interval {low:.4f} to {high:.4f}; {quality.examples:,} examples'
  head = ('value', 'R²', 'MAE', 'RMSE', 'MAE of the mean', 'RMSE of the mean')
  rows = [
    (v.name, f'{v.r2:.4f}', *(f'{e:.4g}' for e in (v.mae, v.rmse, v.mean_mae, v.mean_rmse)))
    for v in quality.values
  ]
  return f'int8 R²  {quality.quality:.4f}  ({interval})\n\n{aligned([head, *rows])}'


def format_quality(quality: Quality, class_names: tuple[str, ...]) -> str:
  """Figures, recall by class and confusion matrix, for a terminal."""
  low, high = quality.interval
  rows = [
    (
      'int8 accuracy',
      f'{quality.accuracy:.4f}  (95 % interval {low:.4f} to {high:.4f}; {quality.correct:,} of '
      f'{quality.examples:,} examples)',
    ),
    ('macro F1', f'{quality.score(Metric.MACRO_F1):.4f}'),
    ('balanced accuracy', f'{quality.score(Metric.BALANCED_ACCURACY):.4f}'),
  ]
  if quality.groups is not None:
    rows.append(('accuracy by group', str(quality.groups)))
  figures = '\n'.join(f'{name:17}  {text}' for name, text in rows)
  places = [str(place) for place in range(len(class_names))]
  table = [
    ('', 'class', 'examples', 'recall'),
    *(
      (place, name, f'{sum(row):,}', '–' if recall is None else f'{recall:.3f}')
      for place, name, row, recall in zip(
        places, class_names, quality.confusion, quality.recall, strict=True
      )
    ),
  ]
  counts = [places, *([str(count) for count in row] for row in quality.confusion)]
  matrix = aligned([(*row, ' ', *count) for row, count in zip(table, counts, strict=True)])
  if max(map(len, matrix.splitlines())) <= _WIDTH:
    title = 'Examples of each class (rows), by the class that the network predicts (columns):'
    return f'{figures}\n\n{title}\n{matrix}'
  mistakes = '\n'.join(
    f'  {class_names[true]} as {class_names[predicted]}: {count:,}'
    for true, predicted, count in quality.confusions(_MOST_MISTAKES)
  )
  return f'{figures}\n\n{aligned(table)}\n\nMost frequent mistakes:\n{mistakes or "  none"}'


def values_record(quality: RegressionQuality) -> dict[str, Any]:
  """What --json writes of a regression."""
  return {
    'int8_quality': quality.quality,
    'int8_interval': list(quality.interval),
    'examples': quality.examples,
    'values': {value.name: value.to_record() for value in quality.values},
  }


def to_record(quality: Quality, search: FinishedSearch) -> dict[str, Any]:
  """What --json writes of a classification; figures that the examples do not define are null."""
  return {
    'int8_accuracy': quality.accuracy,
    'int8_interval': list(quality.interval),
    **{
      metric.value: quality.score(metric) for metric in (Metric.MACRO_F1, Metric.BALANCED_ACCURACY)
    },
    'examples': quality.examples,
    'classes': list(search.class_names),
    'recall': dict(zip(search.class_names, quality.recall, strict=True)),
    'confusion': [list(row) for row in quality.confusion],
    'groups': None if quality.groups is None else quality.groups.to_record(),
  }
