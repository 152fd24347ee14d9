# What CI runs is what people run. On Windows, or without make: the plain commands stand in the README.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?=
DEMO_DIR ?= demo/$(if $(DATA),$(notdir $(patsubst %/,%,$(DATA))),phantom)
# PyTorch's small CPU wheels, for machines without a GPU: make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
INSTALLED := $(VENV)/.installed

# Threads that wait give their core away: beside other work, training is several times faster (benchmarks/wait_policy.py).
OMP_WAIT_POLICY ?= PASSIVE
export OMP_WAIT_POLICY
# Processes that the tests are spread over.
TEST_JOBS ?= 2

.PHONY: setup demo test check bench fuzz compare format clean

setup: $(INSTALLED)

$(INSTALLED): setup.cfg setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(PIP) -e ".[train,segment,azure,http,dask,tracking,test,peers,dev]"
	@touch $(INSTALLED)

demo: setup
	@PATH="$(abspath $(BIN)):$$PATH" docs/tutorials/whole_road.sh "$(DEMO_DIR)" $(if $(DATA),"$(DATA)")

test: setup
	@$(BIN)/python -m pytest -q -n $(TEST_JOBS)

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: setup
	@$(BIN)/python -m pytest -q benchmarks --benchmark-only

# 2,400 ways to spoil a series or an RTSTRUCT; failing inputs stay in build/fuzz (tests/fuzz/README.md).
fuzz: setup
	@$(BIN)/python tests/fuzz/run.py --seed 1 --count 2400 --jobs 4 --keep build/fuzz

# docs/reference/comparison.md: this converter beside every other one that is installed (benchmarks/peers).
compare: setup
	@$(BIN)/python -m benchmarks.peers

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info demo .pytest_cache .mypy_cache .ruff_cache
