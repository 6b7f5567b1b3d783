# Every target sets up first what it needs; see tools/set_up.py.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3,10) <= sys.version_info[:2] <= (3,13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Tests and demos keep to themselves: this host, and a domain of their own.
QUIET_DDS := ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_DOMAIN_ID=$$((100 + $$$$ % 100))

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## set up .venv: Python packages, ROS 2 (the sourced one, or wheels), messages
	@test -n "$(PYTHON)" || { echo "set-up: no Python 3.10 to 3.13 found: sudo apt install python3 python3-venv, or make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) tools/set_up.py

demo: setup ## take sensors away from a running node and score what it publishes: demo_output/report.html
	@$(BIN)/any2seg demo

test: setup ## run the tests
	@$(QUIET_DDS) ROS_PYTHON_CHECK_FIELDS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup ## check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

clean: ## remove .venv and everything built
	@rm -rf .venv build demo_output
