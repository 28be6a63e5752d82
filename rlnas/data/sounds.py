"""Examples of WAV files: clips of recordings by class, as features (`rlnas.data.sound_settings`).

The conventions are those of Speech Commands (Warden 2018, arXiv:1804.03209): a folder for each
class, lists of the validation and test files, speakers in the names of the files, and a folder of
noise, which is the class of silence.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence

from rlnas.data import folders
from rlnas.data.csv_files import CsvTable, check_filled, read_csv
from rlnas.data.npz_keys import NO_GROUPS
from rlnas.data.sound_clips import MOST_SHIFT_MS, NOISE_DB, Clips, Collected, Cutter
from rlnas.data.sound_settings import SoundSettings
from rlnas.data.wav_files import WavReader

SILENCE = '_silence_'
_SILENCES = (SILENCE, 'silence')
_LISTS = {'val': 'validation_list.txt', 'test': 'testing_list.txt'}
_SPEAKER_END = '_nohash_'  # what is before it in the name of a file is the speaker
# Which part of each recording of noise is for which split, so that no noise lies in two.
_OF_NOISE = {'train': (0.0, 0.8), 'val': (0.8, 0.9), 'test': (0.9, 1.0)}
_FILES = ('file', 'files', 'filename', 'file_name', 'path', 'wav', 'recording')
_LABELS = ('label', 'labels', 'class', 'target', 'category', 'keyword', 'word')
_SPEAKERS = ('speaker', 'speaker_id', 'group', 'groups', 'person', 'subject', 'user', 'machine')
_MOST_OF_LINE = 10_000  # characters, to see what a CSV file holds


@dataclasses.dataclass(frozen=True)
class Recording:
  """A WAV file with its label, and its group if it has one."""

  path: pathlib.Path
  label: str
  group: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Sounds:
  """What a folder or a list of WAV files holds.

  Attributes:
    parts: the examples by split.
    classes: names of the classes, in order; None if the labels are the classes.
    notes: the decisions made in reading them.
  """

  parts: Mapping[str, Clips]
  classes: tuple[str, ...] | None
  notes: tuple[str, ...]


def sounds_in(
  root: pathlib.Path,
  settings: SoundSettings,
  *,
  group: str | None,
  classes: tuple[str, ...] | None = None,
  keep_samples: bool = False,
) -> Sounds:
  """Reads a folder of WAV files by class.

  Args:
    root: the folder; it may have folders or lists for the splits.
    settings: how recordings become examples.
    group: 'folder' if the files lie in folders of their groups, 'none' for no groups; by default
      the speakers in the names of the files, or else the recordings if they have several clips.
    classes: names of a network's classes: only the examples to test it on are read then.
    keep_samples: whether the samples of clips are kept.

  Raises:
    ValueError: `group` is another word, or as `rlnas.data.own_files.from_folder`.
    FileNotFoundError: a file of a list is missing.
  """
  if group not in (None, NO_GROUPS, folders.IN_FOLDERS):
    raise ValueError(
      f'group={group!r}: groups of WAV files are folders, {folders.IN_FOLDERS!r} or {NO_GROUPS!r}'
    )
  held_out = classes is not None
  found = folders.split_folders(root, held_out=held_out)
  top = next(iter(found.values()))
  noise = _noise_of(root) or _noise_of(top)
  named = folders.classes_in(top) if classes is None else classes
  recordings: dict[str, list[Recording]] = {}
  notes: tuple[str, ...] = ()
  for split, folder in found.items():
    labelled, passed_over = folders.files_by_class(
      folder, named, folders.SOUNDS, in_folders=group == folders.IN_FOLDERS
    )
    notes += passed_over
    recordings[split] = [
      Recording(path, named[label], _group_of(path, group)) for path, label in labelled
    ]
  if len(found) == 1:
    recordings, said = _split_by_lists(root, recordings, held_out=held_out)
    notes += said
  silence = bool(noise) and not set(_SILENCES) & set(folders.subfolders(top))
  if silence and not held_out:
    named = tuple(sorted({*named, SILENCE}))
  silence = silence and SILENCE in named
  is_split = len(found) > 1 or len(recordings) > 1 or _has_lists(root)
  parts, said = _read(
    recordings,
    settings,
    noise=noise,
    silence=silence,
    is_split=is_split,
    group=group,
    keep_samples=keep_samples,
  )
  return Sounds(parts, classes or named, (*notes, *said))


def is_list(path: pathlib.Path) -> bool:
  """Whether the second line of a CSV file names a WAV file; False if it cannot be read."""
  try:
    with path.open(encoding='utf-8-sig') as file:
      lines = [file.readline(_MOST_OF_LINE) for _ in range(2)]
  except (OSError, UnicodeDecodeError):
    return False
  cells = re.split('[,;\t]', lines[1])
  return any(folders.SOUNDS.has(pathlib.Path(cell.strip().strip('"'))) for cell in cells)


def sounds_listed(
  path: pathlib.Path,
  settings: SoundSettings,
  *,
  label: str | None,
  group: str | None,
  split: str = 'train',
  keep_samples: bool = False,
) -> Sounds:
  """Reads the WAV files that a CSV file lists, with their labels.

  Args:
    path: the CSV file; names of WAV files are relative to its folder.
    settings: how recordings become examples.
    label: column of the labels; by default one of a usual name.
    group: column of the groups, 'none' for none; by default one of a usual name, such as speaker.
    split: the split of the examples.
    keep_samples: whether the samples of clips are kept.

  Raises:
    FileNotFoundError: a file is missing.
    ValueError: a column is missing or has an empty cell, or a file is unreadable.
  """
  table = read_csv(path)
  file = _file_column(table)
  if file is None:
    raise ValueError(f'{path}: no column holds names of WAV files; name it file')
  labels = _column(table, 'label', label, _LABELS)
  if labels is None:
    raise ValueError(
      f'{path}: of the columns {", ".join(table.names)} none is named {", ".join(_LABELS)}; name '
      'that of the labels: --label=NAME'
    )
  groups = None if group == NO_GROUPS else _column(table, 'group', group, _SPEAKERS)
  for name in filter(None, (file, labels, groups)):
    check_filled(table, name)
  cells = zip(
    table.column(file),
    table.column(labels),
    table.column(groups) if groups else [None] * len(table.rows),
    strict=True,
  )
  recordings = [Recording(path.parent / name, word, owner) for name, word, owner in cells]
  parts, said = _read({split: recordings}, settings, group=group, keep_samples=keep_samples)
  columns = f'WAV files of column {file}; label {labels}' + (f'; group {groups}' if groups else '')
  return Sounds(parts, None, (columns, *said))


def _file_column(table: CsvTable) -> str | None:
  """The column whose cells all name WAV files; a usual name first."""
  names = sorted(table.names, key=lambda name: name.casefold() not in _FILES)
  for name in names:
    if all(folders.SOUNDS.has(pathlib.Path(cell)) for cell in table.column(name)):
      return name
  return None


def _column(table: CsvTable, setting: str, given: str | None, usual: Sequence[str]) -> str | None:
  """The column that is given, or one of a usual name. Raises ValueError."""
  if given is not None and given not in table.names:
    raise ValueError(
      f'{setting}={given!r}: {table.path} has no such column, only {", ".join(table.names)}'
    )
  found = [name for name in table.names if name.casefold() in usual]
  return given or next(iter(sorted(found, key=lambda name: usual.index(name.casefold()))), None)


def _noise_of(folder: pathlib.Path) -> list[pathlib.Path]:
  """The recordings of noise in a folder of classes."""
  noise = folder / folders.NOISE_FOLDER
  return folders.class_files(noise, folders.SOUNDS)[0] if noise.is_dir() else []


def _group_of(path: pathlib.Path, group: str | None) -> str | None:
  if group == folders.IN_FOLDERS:
    return path.parent.name
  speaker, mark, _ = path.stem.partition(_SPEAKER_END)
  return speaker if mark and group is None else None


def _has_lists(root: pathlib.Path) -> bool:
  return any((root / name).is_file() for name in _LISTS.values())


def _split_by_lists(
  root: pathlib.Path, recordings: Mapping[str, list[Recording]], *, held_out: bool
) -> tuple[dict[str, list[Recording]], tuple[str, ...]]:
  """Splits recordings as the lists of Speech Commands say, if a folder has them.

  Raises ValueError if the test recordings are wanted, and the list of these is missing or empty.
  """
  if not _has_lists(root):
    return dict(recordings), ()
  split_of: dict[str, str] = {}
  for split, name in _LISTS.items():
    if (root / name).is_file():
      lines = (root / name).read_text(encoding='utf-8').splitlines()
      split_of |= {line.strip(): split for line in lines if line.strip()}
  found: dict[str, list[Recording]] = {}
  for one in next(iter(recordings.values())):
    split = split_of.get(one.path.relative_to(root).as_posix(), 'train')
    found.setdefault(split, []).append(dataclasses.replace(one, group=None))
  if held_out and 'test' not in found:
    raise ValueError(f'{root}: {_LISTS["test"]} must be there and list some of the files')
  if held_out:
    found = {'test': found['test']}
  note = f'split as {" and ".join(_LISTS.values())} say'
  return {split: found[split] for split in _OF_NOISE if split in found}, (note,)


def _read(
  recordings: Mapping[str, Sequence[Recording]],
  settings: SoundSettings,
  *,
  group: str | None,
  noise: Sequence[pathlib.Path] = (),
  silence: bool = False,
  is_split: bool = False,
  keep_samples: bool,
) -> tuple[dict[str, Clips], tuple[str, ...]]:
  """The examples of each split, and what was decided."""
  reader, cutter = WavReader(settings.sample_rate), Cutter(settings)
  noises = [reader.read(path) for path in noise]
  parts = {}
  for split, chosen in recordings.items():
    low, high = _OF_NOISE[split] if is_split else (0.0, 1.0)
    own_noise = [n[round(low * len(n)) : round(high * len(n))] for n in noises]
    copies = settings.noisy_copies if split == 'train' else 0
    found = Collected(settings, copies=copies, keep_samples=keep_samples)
    for one in chosen:
      samples = reader.read(one.path)
      for clip in cutter.clips(samples):
        found.add(clip, one.label, one.group or str(one.path), own_noise)
    if silence:
      for path, samples in zip(noise, own_noise, strict=True):
        for place, clip in enumerate(cutter.clips(samples) if len(samples) else ()):
          found.add(clip, SILENCE, f'{path}, clip {place}', own_noise)
    grouped = group != NO_GROUPS and (cutter.cut > 0 or any(one.group for one in chosen))
    parts[split] = found.clips(grouped=grouped)
  notes = [str(settings), *reader.notes(), *cutter.notes()]
  notes += [f'{SILENCE} is made of the recordings in {folders.NOISE_FOLDER}'] if silence else []
  if settings.noisy_copies:
    kind = f'noise of {folders.NOISE_FOLDER}' if noise else 'white noise'
    notes.append(
      f'{settings.noisy_copies} copies of each training example, moved by up to {MOST_SHIFT_MS} '
      f'ms and with {kind} of {NOISE_DB[0]:g} to {NOISE_DB[1]:g} dB below the signal'
    )
  return parts, tuple(notes)
