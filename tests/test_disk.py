"""A full disk in a test leaves nothing behind that fails a later one."""

import subprocess
import sys

from tests.disk import full_disk


def test_what_is_imported_while_the_disk_is_full_can_be_imported_again(tmp_path, monkeypatch):
  monkeypatch.delenv('PYTHONDONTWRITEBYTECODE', raising=False)
  (tmp_path / 'long').with_suffix('.py').write_text(f'numbers = {list(range(1000))}')

  def imported() -> str:
    command = [sys.executable, '-c', 'import long; print(len(long.numbers))']
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

  with full_disk(500):
    assert imported() == '1000\n'
  assert not list(tmp_path.rglob('*.pyc'))
  assert imported() == '1000\n'
  assert len(list(tmp_path.rglob('*.pyc'))) == 1
