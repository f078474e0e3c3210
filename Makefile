# Everything a newcomer needs: `make demo` and `make test`, each on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := plots/demo
STUDY := runs/study
# What was imported from elsewhere must not decide what is tested here.
unexport PYTHONPATH

.PHONY: venv demo test test-long test-minimums test-latest every-bit lint docs plots studies package clean
.DELETE_ON_ERROR:

venv: $(READY)

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --prefer-binary --editable ".[all]"
	touch $@

demo: $(READY)
	rm -rf $(DEMO)
	mkdir -p $(DEMO)
	$(BIN)/hepae sample $(DEMO)/jets.root
	$(BIN)/hepae compress $(DEMO)/jets.root -o $(DEMO)/bounded.root
	$(BIN)/hepae verify $(DEMO)/jets.root $(DEMO)/bounded.root
	$(BIN)/hepae compare $(DEMO)/jets.root $(DEMO)/bounded.root -o $(DEMO)/bounded
	$(BIN)/hepae train $(DEMO)/jets.root --spectra -o $(DEMO)/model.safetensors --runs-dir $(DEMO)/runs
	$(BIN)/hepae compress $(DEMO)/jets.root -m $(DEMO)/model.safetensors -o $(DEMO)/small.root
	$(BIN)/hepae decompress $(DEMO)/small.root -o $(DEMO)/restored.root
	$(BIN)/hepae compare $(DEMO)/jets.root $(DEMO)/small.root -o $(DEMO)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not long"

test-long: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m long

# The tests with the oldest versions that setup.cfg allows, and with the newest there are; only torch stays, whose other builds are for graphics cards.
test-minimums: VERSIONS = $(PYTHON) .ci/minimum_constraints.py
test-latest: VERSIONS = grep '^torch==' constraints.txt
test-minimums test-latest:
	$(PYTHON) -m venv --clear .$@
	$(VERSIONS) > .$@/constraints.txt
	.$@/bin/python -m pip install --quiet --prefer-binary --upgrade --constraint .$@/constraints.txt --editable ".[test]"
	OMP_NUM_THREADS=1 .$@/bin/python -m pytest -n auto --dist loadfile -m "not slow and not long and not jobs and not real_data" --ignore tests/validation/test_images.py

# A night: each bit of a small file of each codec and storage, read in every way.
every-bit: $(READY)
	HEPAE_ROOT=off OMP_NUM_THREADS=1 $(BIN)/python analysis/mutations.py tests/golden/v1/flat_*.root --every-bit
	$(BIN)/python analysis/every_bit_cpp.py tests/golden/v1/flat_bounded_*.root

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell

docs: $(READY)
	$(BIN)/python -m sphinx --fail-on-warning --fresh-env --keep-going --quiet -d docs/_build/doctrees docs docs/_build/html

# Everything in plots/ but what is drawn of the trigger jets, which `make studies` does.
plots: $(READY)
	$(BIN)/python analysis/gallery.py plots
	$(BIN)/python analysis/explain_codec.py plots
	$(BIN)/python analysis/benchmark_rate.py --figure plots/rate_against_bound.png
	$(BIN)/python analysis/benchmark_spectra.py --figure plots/spectra_shift.png

# Those of many columns where DATA has the jets.
studies: $(READY)
	@test -n "$(DATA)" || { echo "name the folder with the trigger jets' pickles: make studies DATA=..." >&2; exit 2; }
	$(BIN)/python analysis/trigger_jet_study.py $(DATA) -o plots --runs $(STUDY)
	OMP_NUM_THREADS=1 $(BIN)/python analysis/training_ideas.py
	test -e $(STUDY)/ttbar_spectra.root || $(BIN)/hepae generate $(STUDY)/ttbar_spectra.root --process ttbar --events 6000 --seed 5
	OMP_NUM_THREADS=1 $(BIN)/python analysis/restored_spectra.py $(STUDY)/ttbar_spectra.root -o plots
	test -e $(STUDY)/dijets.root || $(BIN)/hepae generate $(STUDY)/dijets.root --process dijets --events 6000 --seed 3 --constituents
	test -e $(STUDY)/ttbar.root || $(BIN)/hepae generate $(STUDY)/ttbar.root --process ttbar --events 5000 --seed 2 --constituents
	OMP_NUM_THREADS=1 $(BIN)/python analysis/latent_uses.py $(STUDY)/dijets.root $(STUDY)/ttbar.root -o plots
	test ! -e $(DATA)/pythia_jets_18columns.root || OMP_NUM_THREADS=1 $(BIN)/python analysis/many_columns.py $(DATA)/pythia_jets_18columns.root -o plots
	test ! -e $(DATA)/nanoaod_tt_v12.root || OMP_NUM_THREADS=1 $(BIN)/python analysis/many_columns.py $(DATA)/nanoaod_tt_v12.root \
		-o plots --epochs 400 --name many_columns_nanoaod --label "NanoAOD, 46 columns"

package: $(READY)
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) .test-minimums .test-latest $(DEMO) docs/_build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
