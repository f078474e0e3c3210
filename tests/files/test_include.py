from __future__ import annotations

from pathlib import Path

import hepae
from hepae.files.include import include_folder


def test_the_folder_is_the_packages_own():
    folder = include_folder()
    assert folder == Path(hepae.__file__).resolve().parent / "include"
    assert '#include "hepae/' in (folder / "hepae.hpp").read_text()
