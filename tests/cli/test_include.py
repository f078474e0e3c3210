from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from hepae.cli import main


def test_the_folder_that_is_printed_has_the_headers():
    result = CliRunner().invoke(main, ["include"])
    assert result.exit_code == 0
    folder = Path(result.output.strip())
    assert folder.is_absolute()
    assert (folder / "hepae.hpp").is_file()
