"""A search writes into its workdir and its cache folder, and nowhere else.

Each process of the search, workers too, loads a `sitecustomize` that reports whatever Python code
opens for writing, makes, renames or removes. What C++ code writes is not seen by it; it would be
found in the home, current or temporary folder, which belong to the test. Two libraries keep
settings of their own in a home that has none: Keras, and matplotlib a list of the fonts.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

SEARCH = pathlib.Path(__file__).parents[2] / 'experiments' / 'search.py'

WATCH = """
import json, os, sys

_log = os.open(os.environ['WRITES_LOG'], os.O_WRONLY | os.O_APPEND)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Of each event where its paths stand, and where the folder that each is relative to.
_PATHS = {
  'os.chmod': [(0, 2)], 'os.chown': [(0, 3)], 'os.link': [(1, 3)], 'os.mkdir': [(0, 2)],
  'os.remove': [(0, 1)], 'os.rename': [(0, 2), (1, 3)], 'os.rmdir': [(0, 1)],
  'os.symlink': [(1, 2)], 'os.truncate': [(0, None)], 'os.utime': [(0, 3)],
  'sqlite3.connect': [(0, None)],
}

def _report(event, arguments):
  if event == 'open':
    path, _, flags = arguments
    places = [(0, None)] if flags & _WRITING and not isinstance(path, int) else []
  else:
    places = _PATHS.get(event, [])
  for place, folder in places:
    path = arguments[place]
    if isinstance(path, int):
      continue  # it was open already
    base = '.'
    if folder is not None and arguments[folder] not in (None, -1):
      base = os.readlink(f'/proc/self/fd/{arguments[folder]}')
    whole = os.path.abspath(os.path.join(base, os.fsdecode(path)))
    os.write(_log, json.dumps([os.getpid(), event, whole]).encode() + b'\\n')

sys.addaudithook(_report)
"""


def is_harmless(path: pathlib.Path) -> bool:
  """Devices, what the kernel shows of this process, and compiled Python modules."""
  return (
    path == pathlib.Path(os.devnull)
    or path.is_relative_to('/proc/')
    or path.parent == pathlib.Path('/dev/shm')  # noqa: S108
    or '__pycache__' in path.parts
  )


LIBRARIES = ('.cache', '.cache/matplotlib', '.config', '.config/matplotlib', '.keras')


@pytest.mark.nightly
def test_a_search_writes_only_to_its_workdir_and_cache(tmp_path):
  folders = {n: tmp_path / n for n in ('home', 'tmp', 'here', 'workdir', 'cache', 'watch')}
  for folder in folders.values():
    folder.mkdir()
  (folders['watch'] / 'sitecustomize.py').write_text(WATCH)
  log = tmp_path / 'writes.jsonl'
  log.touch()
  kept = {n: v for n, v in os.environ.items() if not n.startswith(('XDG_', 'MPL'))}
  command = [
    *(sys.executable, str(SEARCH), '--dataset=digits', '--trials=2', '--batch=2', '--epochs=1'),
    *('--finish_epochs=1', '--finish_top=1', '--workers=1', '--space_option=max_depth=3'),
    *(f'--workdir={folders["workdir"]}', f'--cache_dir={folders["cache"]}'),
  ]
  done = subprocess.run(
    command,
    cwd=folders['here'],
    env=kept
    | {
      'HOME': str(folders['home']),
      'TMPDIR': str(folders['tmp']),
      'PYTHONPATH': str(folders['watch']),
      'WRITES_LOG': str(log),
    },
    capture_output=True,
    text=True,
    check=False,
    timeout=600,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  writes = [json.loads(line) for line in log.read_text().splitlines()]
  allowed = [folders[name] for name in ('workdir', 'cache', 'tmp')]
  allowed += [folders['home'] / name for name in LIBRARIES if '/' in name or name == '.keras']
  outside = {
    (event, path)
    for _, event, path in writes
    if not is_harmless(pathlib.Path(path))
    and not any(pathlib.Path(path).is_relative_to(folder) for folder in allowed)
    and (event, path) not in {('os.mkdir', str(folders['home'] / name)) for name in LIBRARIES}
  }
  assert not outside
  made = {str(path.relative_to(folders['home'])) for path in folders['home'].rglob('*')}
  fonts = {name for name in made if name.startswith('.cache/matplotlib/fontlist-')}
  assert made - fonts <= {*LIBRARIES, '.keras/keras.json'}
  assert not [*folders['here'].iterdir(), *folders['tmp'].iterdir()]
  # The watch was awake, in workers too.
  assert str(folders['workdir'] / 'journal.jsonl') in {path for *_, path in writes}
  assert len({pid for pid, *_ in writes}) >= 2
