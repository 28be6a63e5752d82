"""A file is the old one or the new one, never a part of one, and nothing else is left."""

import os
import stat

import pytest

from rlnas.data.atomic_file import WriteError, write_file, write_files, write_folder
from tests.disk import full_disk


def test_content_and_folders_are_written(tmp_path):
  write_folder(tmp_path / 'new', {'a.txt': 'größe', 'deep/b.bin': b'\0\xff', 'empty': b''})
  assert (tmp_path / 'new/a.txt').read_bytes() == 'größe'.encode()
  assert (tmp_path / 'new/deep/b.bin').read_bytes() == b'\0\xff'
  assert (tmp_path / 'new/empty').read_bytes() == b''
  assert sorted(os.listdir(tmp_path / 'new')) == ['a.txt', 'deep', 'empty']


@pytest.mark.parametrize('mask', [0o022, 0o077, 0o002])
def test_permissions_are_the_usual_ones(tmp_path, mask):
  before = os.umask(mask)
  try:
    write_file(tmp_path / 'ours', 'x')
    (tmp_path / 'usual').write_text('x')
  finally:
    os.umask(before)
  modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ('ours', 'usual')}
  assert modes == {0o666 & ~mask}


def test_on_a_full_disk_all_files_stay_and_the_error_names_the_one(tmp_path):
  write_files({tmp_path / 'small': 'old', tmp_path / 'large': b'old' * 9000})
  with full_disk(4096), pytest.raises(WriteError, match='cannot be written') as raised:
    write_files({tmp_path / 'small': 'new', tmp_path / 'large': b'new' * 9000})
  assert raised.value.filename == str(tmp_path / 'large')
  assert 'large' in str(raised.value)
  assert (tmp_path / 'small').read_text() == 'old'
  assert (tmp_path / 'large').read_bytes() == b'old' * 9000
  assert sorted(os.listdir(tmp_path)) == ['large', 'small']


def test_what_is_not_a_file_is_not_replaced(tmp_path):
  (tmp_path / 'folder').mkdir()
  with pytest.raises(WriteError, match='folder'):
    write_files({tmp_path / 'a': 'new', tmp_path / 'folder': 'x'})
  with pytest.raises(WriteError, match='/dev/null'):
    write_file('/dev/null', 'x')
  assert os.listdir(tmp_path) == ['folder']
