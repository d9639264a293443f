# Every target sets up what it needs. PORT, BIND and the variables in the README change how `make serve` serves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROJECTS := pyproject.toml plugins/diffusers/pyproject.toml plugins/starter/pyproject.toml \
	plugins/vllm_omni/pyproject.toml
LOCAL := -e plugins/diffusers -e plugins/starter -e plugins/vllm_omni
# Not for `make serve`: its library is compiled, which takes some minutes the first time (pip keeps the wheel), and
# needs a C++ compiler. Without one, its tests are skipped.
COMPILED := plugins/stablediffusion

# The oldest of OpenAI's clients that the tests are run with; the newest one is in the virtual environment.
OPENAI := openai-3.54.0

.PHONY: serve test lint unit test-engines bench bench-engines soak clean

serve: $(VENV)/serve
	@exec $(BIN)/python manage.py serve --migrate

test: lint unit

lint: $(VENV)/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

# One thread for torch in each of the two processes and in all that they start: with more, they wait for each other.
unit: $(VENV)/test $(VENV)/$(OPENAI)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile
	PYTHONPATH=$(VENV)/$(OPENAI) VIDEOAPI_TEST_OPENAI=$(OPENAI) $(BIN)/python -m pytest tests/openai_api

bench: $(VENV)/test
	$(BIN)/python -m tests.benchmarks.overhead
	$(BIN)/python -m tests.benchmarks.startup
	$(BIN)/python -m tests.benchmarks.jobs
	$(BIN)/python -m tests.benchmarks.stablediffusion
	$(BIN)/python -m tests.benchmarks.diffusers
	$(BIN)/python -m tests.benchmarks.diffusers_options --model tiny --device cpu
	$(BIN)/python -m tests.benchmarks.batches
	$(BIN)/python -m tests.benchmarks.bad_inputs
	$(BIN)/python -m tests.benchmarks.metrics

soak: $(VENV)/test
	$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),300)

# Against a real vLLM-Omni on the CPU, in an environment of its own: 4 GB and some minutes the first time.
test-engines: $(VENV)/test $(VENV)/vllm-omni/ready
	VIDEOAPI_TEST_VLLM_OMNI=$(VENV)/vllm-omni $(BIN)/python -m pytest tests/engines

bench-engines: $(VENV)/test $(VENV)/vllm-omni/ready
	VIDEOAPI_TEST_VLLM_OMNI=$(VENV)/vllm-omni $(BIN)/python -m tests.benchmarks.vllm_omni

$(VENV)/vllm-omni/ready:
	tests/engines/environment.sh $(VENV)/vllm-omni
	touch $@

clean:
	rm -rf $(VENV) build dist db.sqlite3* media/videos media/thumbnails media/inputs media/scratch

$(VENV)/$(OPENAI): $(VENV)/test
	$(BIN)/pip install --quiet --no-deps --upgrade --target $@ $(subst -,==,$(OPENAI))
	touch $@

$(VENV)/serve: $(PROJECTS) constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "Installing what videoapi needs; the first time takes some minutes."
	$(BIN)/pip install --quiet --constraint constraints.txt -e . $(LOCAL)
	touch $@

$(VENV)/test: $(PROJECTS) $(COMPILED)/pyproject.toml constraints.txt
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "Installing what videoapi needs; the first time takes some minutes."
	$(BIN)/pip install --quiet --constraint constraints.txt -e ".[dev]" $(LOCAL) \
		$(if $(shell command -v c++),-e $(COMPILED))
	$(BIN)/pip install --quiet --no-deps -e $(COMPILED)
	touch $@ $(VENV)/serve
