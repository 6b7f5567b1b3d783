# any2seg_ros: `make` lists the targets.
SHELL := /bin/sh
VENV ?= .venv
PYTHON ?=
PYTEST_ARGS ?=
JOBS ?= 2
export VENV

BIN := $(VENV)/bin
SET_UP = python=$$(tools/find_python.sh "$(PYTHON)") && "$$python" tools/set_up.py
# A ROS domain of its own, on this host only: tests and other robots must not hear each other.
TEST_ENV = ROS_PYTHON_CHECK_FIELDS=1 ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST \
	ROS_DOMAIN_ID=$${ROS_DOMAIN_ID:-$$(( $$$$ % 90 + 10 ))} PYTHONUNBUFFERED=1

.DEFAULT_GOAL := help
.PHONY: help setup demo test weights weights-real lint format clean

help:  ## this text
	@echo "any2seg_ros: semantic segmentation from any subset of RGB, depth, LiDAR and events"
	@echo
	@echo "  make demo     set up, take sensors away from a running node, score its masks"
	@echo "  make test     set up, run the tests               (PYTEST_ARGS='-k synchronizer -x', JOBS=2 processes)"
	@echo "  make setup    set up only: .venv with ROS 2 (the sourced one, or from PyPI)"
	@echo "  make weights  render the data and train any2seg_streets (minutes with a GPU, else three hours; resumes)"
	@echo "  make weights-real  train the weights of real data again; needs data/camvid, data/idd_lite and two drives (docs/training.md)"
	@echo "  make lint     ruff and mypy"
	@echo "  make format   let ruff fix what it can"
	@echo "  make clean    remove .venv and build output; keep models, runs and data"
	@echo
	@echo "Needs git, make, a C++ compiler, cmake and Python 3.10 to 3.13 with venv. PYTHON=... selects one."
	@echo "Afterwards: .venv/bin/any2seg --help, .venv/bin/any2seg doctor"

setup:
	@$(SET_UP)

demo:
	@$(SET_UP)
	@$(BIN)/any2seg demo

test:
	@$(SET_UP) --tests
	@$(TEST_ENV) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

weights:
	@$(SET_UP) --tests
	$(BIN)/any2seg simulate --out data/benchmark --recipe config/simulation_benchmark.yaml
	$(BIN)/any2seg train config/training/full_set.yaml
	$(BIN)/any2seg train config/training/any2seg.yaml
	$(BIN)/any2seg train config/training/full_set_further.yaml
	$(BIN)/any2seg train config/training/any2seg_adapters.yaml
	cp runs/any2seg_adapters/weights.safetensors models/any2seg_streets.safetensors

weights-real:
	@$(SET_UP) --tests
	$(BIN)/any2seg simulate --out data/benchmark --recipe config/simulation_benchmark.yaml
	$(BIN)/any2seg simulate --out data/rigs --recipe config/simulation_rigs.yaml
	$(BIN)/any2seg train config/training/real_trunk.yaml
	$(BIN)/any2seg train config/training/real_sharp.yaml
	$(BIN)/any2seg train config/training/real.yaml
	$(BIN)/torchrun --nproc-per-node 2 -m any2seg_ros.training config/training/real_jaccard.yaml
	$(BIN)/any2seg train config/training/real_without_kitti.yaml
	$(BIN)/any2seg train config/training/real_without_nuscenes.yaml
	cp runs/real_jaccard/weights.safetensors models/any2seg_real.safetensors

lint:
	@$(SET_UP) --tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format:
	@$(SET_UP) --tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf "$(VENV)" "$(VENV).lock" "$(VENV).log" build install log demo_output
