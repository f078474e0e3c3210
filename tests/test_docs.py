"""The documentation: its commands and code run, its links and names are real, and it builds without a warning."""

from __future__ import annotations

import configparser
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from click.testing import CliRunner

import hepae
from hepae.cli import main

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts),
]
CHECKED_ELSEWHERE = {
    "docs/how_to/batch_systems.md": "there is no batch system; the page says what was tried",
    "docs/how_to/rdataframe.md": "tests/files/test_rdataframe.py runs it with ROOT",
}
"""Pages with Python that does not run here, and why."""
SHORTER = {"train": ["--epochs", "1", "--hidden", "16-8"], "generate": ["--events", "5"]}
"""Options that make a command short enough for a test."""
NEEDS = {"generate": "pythia8mc", "export": "onnxruntime"}
"""Modules of the extras that a command needs."""
OTHER_PROGRAMS = {"make", "pip", "python", "g++", "eval"}
"""First words of lines that are not hepae's; scripts of ``analysis`` and targets of the Makefile are checked below."""


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page):
    """Language and text of each fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def lines(text):
    """Words of each shell line, without comments, redirections and settings of the environment."""
    for line in text.splitlines():
        words = shlex.split(re.split(r" [>&]", line)[0], comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words:
            yield words


def shell_lines(page):
    return [words for language, text in blocks(page) if language == "sh" for words in lines(text)]


def has_code(page):
    return any(language == "python" for language, _ in blocks(page)) or any(
        words[0] == "hepae" for words in shell_lines(page)
    )


def marks(page):
    """Pages that draw figures take more than 5 s."""
    compares = any(words[:2] == ["hepae", "compare"] for words in shell_lines(page))
    return [pytest.mark.slow] if compares else []


RUN = [page for page in PAGES if has_code(page) and name_of(page) not in CHECKED_ELSEWHERE]


@pytest.fixture
def folder(sample, make_tree, tmp_path, monkeypatch):
    """A folder with the files that pages begin with: small NanoAOD and PHYSLITE files made of the bundled sample."""
    jets = hepae.read_jets(sample)[:2000]
    columns = {name: ak.values_astype(jets[name], np.float32) for name in ("pt", "eta", "phi", "mass")}
    number = np.arange(len(jets), dtype=np.uint32)
    momenta = {
        f"{collection}_{name}": values
        for collection in ("Jet", "GenJet", "Muon")
        for name, values in columns.items()
    }
    event = {"run": number, "luminosityBlock": number, "event": number.astype(np.uint64)}
    others = {"MET_pt": number.astype(np.float32), "HLT_IsoMu24": number % 2 == 0}
    make_tree(
        event | momenta | others,
        "nanoaod.root",
        counters={name: f"n{name.split('_')[0]}" for name in momenta},
    )
    scales = {"pt": 1000, "eta": 1, "phi": 1, "m": 1000}
    physlite = {
        f"AnalysisJetsAuxDyn.{name}": ak.values_astype(columns[name.replace("m", "mass")] * scale, np.float32)
        for name, scale in scales.items()
    }
    make_tree(physlite, "physlite.root", "CollectionTree", dict.fromkeys(physlite, "nAnalysisJets"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_command(words):
    """Run a command of hepae as a page has it."""
    if words[1] == "sample":  # a tenth of it is enough here
        Path(words[2]).write_bytes(Path("nanoaod.root").read_bytes())
        return
    if words[1] in NEEDS:
        pytest.importorskip(NEEDS[words[1]], reason=f"hepae {words[1]} needs an extra that is not installed")
    command, options = main.commands[words[1]], SHORTER.get(words[1], [])
    quiet = ["--quiet"] if any(option.name == "quiet" for option in command.params) else []
    if words[1] == "compare":
        words = [word for word in words if word != "--report"]  # which needs figures that are saved
    result = CliRunner().invoke(main, [*words[1:], *options, *quiet])
    assert result.exit_code == 0, (words, result.output)


@pytest.mark.usefixtures("folder", "figures")
@pytest.mark.filterwarnings("ignore:Missing cross-reference:RuntimeWarning")
@pytest.mark.parametrize("page", [pytest.param(page, marks=marks(page), id=name_of(page)) for page in RUN])
def test_a_page_runs(page):
    """Commands and Python, from top to bottom."""
    names = {}
    for language, text in blocks(page):
        if language == "sh":
            for words in lines(text):
                if words[0] == "hepae":
                    run_command(words)
        elif language == "python":
            exec(compile(text, name_of(page), "exec"), names)


def test_pages_that_do_not_run_are_those_that_say_so():
    assert {name_of(page) for page in PAGES if has_code(page)} >= set(CHECKED_ELSEWHERE)
    assert len(RUN) >= 8


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_real(page):
    targets = " ".join(re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)).split()
    for words in shell_lines(page):
        assert words[0] in OTHER_PROGRAMS | {"hepae"}, words
        if words[0] == "hepae":
            known = {option for parameter in main.commands[words[1]].params for option in parameter.opts}
            assert {word.split("=")[0] for word in words if word.startswith("-")} <= known, words
        elif words[0] == "make":
            assert words[1] in targets, words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_scripts_and_their_options_are_real(page, monkeypatch):
    pytest.importorskip("pysz", reason="the benchmarks compare with SZ3 (extra bench)")
    pytest.importorskip("zfpy", reason="the benchmarks compare with zfp (extra bench)")
    monkeypatch.syspath_prepend(ROOT / "analysis")
    found = re.findall(r"python (analysis/\w+)\.py([^`\n]*)", page.read_text(encoding="utf-8"))
    for script, arguments in found:
        command = importlib.import_module(Path(script).name).main
        commands = [command, *getattr(command, "commands", {}).values()]
        known = {option for one in commands for parameter in one.params for option in parameter.opts}
        words = shlex.split(arguments, comments=True)
        assert {word.split("=")[0] for word in words if word.startswith("-")} <= known, (script, arguments)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", prose):
        assert (page.parent / link).exists(), link
    for path in re.findall(r"`((?:analysis|plots|hepae|docs|tests)/[\w./]+\.\w+)`", text):
        assert (ROOT / path).exists() or path.startswith("plots/demo"), path


def test_every_command_and_public_name_is_in_the_documentation():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for command in main.commands:
        assert re.search(rf"hepae {command}\b", text), command
    reference = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    for name in hepae.__all__:
        assert f":: hepae.{name}\n" in reference, name


def test_the_readme_is_short_and_begins_with_two_commands():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    commands = [" ".join(words) for words in shell_lines(README)]
    assert commands[:2] == ["make demo", "make test"]
    assert "hepae verify jets.root small.root" in commands


def test_the_version_is_the_same_everywhere():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    version = setup["metadata"]["version"]
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="the extra docs is not installed: the site is not built")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-d"]
    done = subprocess.run(
        [*command, tmp_path / "doctrees", ROOT / "docs", tmp_path / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "reference" / "command_line.html").read_text(encoding="utf-8")
    assert all(f'id="hepae-{command}"' in page for command in main.commands)
