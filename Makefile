# Both targets set themselves up: Python 3.11 or later and make are all they need.
PYTHON ?= python3
VENV ?= .venv
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test slow sdks coverage lint types bench bench-full bench-check clean

$(VENV)/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)/bin/python -m pip install --quiet --editable . --group dev
	touch $@

demo: $(VENV)/ready  ## watch real requests go through a rate-limited API
	$(VENV)/bin/python -m scheduler.demo

test: $(VENV)/ready  ## the default test suite
	$(VENV)/bin/python -m pytest -m "not slow" -n 2

slow: $(VENV)/ready  ## the tests that take more than a few seconds
	$(VENV)/bin/python -m pytest -m slow -n 2

sdks: $(VENV)/ready  ## real SDKs, each in an environment that it can live in, made once beneath .sdks
	$(VENV)/bin/python tests/sdks/matrix.py $(SDKS)

# Tests of whole processes are left out: what they run cannot be seen from here.
coverage: $(VENV)/ready  ## all branches of core/ and engine/
	$(VENV)/bin/coverage run -m pytest -q -m "not slow" --ignore tests/end_to_end --ignore tests/cli --ignore tests/simulator --ignore tests/sdks
	$(VENV)/bin/coverage report --include 'scheduler/core/*,scheduler/engine/*' --fail-under 100
	$(VENV)/bin/coverage report --format total

bench: $(VENV)/ready  ## side by side with what others use, in about four minutes
	$(VENV)/bin/python benchmarks/compare.py --save short

bench-full: $(VENV)/ready  ## every workload and world, and the micro-costs, in hours
	$(VENV)/bin/python benchmarks/compare.py --full --save full
	$(VENV)/bin/python benchmarks/compare.py --llmock --cells tokens,requests --rounds 3 --at-once 3 --save llmock
	$(VENV)/bin/python benchmarks/micro.py --save
	$(VENV)/bin/uv run benchmarks/transports.py --save

bench-check: $(VENV)/ready  ## have our figures become worse?
	$(VENV)/bin/python benchmarks/check.py

lint: $(VENV)/ready  ## rules and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/ready  ## strict types of package, tests and benchmarks
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .sdks .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
