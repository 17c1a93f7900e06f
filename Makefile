# Everything a newcomer types. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-stamp
DEV_STAMP := $(VENV)/.dev-stamp

# The tests start hundreds of processes; where Python is told to keep no compiled code, each compiles all of it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test half-1 half-2 pictures crash bench lint format browser words lock clean

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUN_STAMP) ## Show the whole Thursday on this machine; ONCE=1 ends with the last reader, PORT=… is for the pages.
	$(BIN)/python -m digest demo $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

test: lint browser ## Lint, then the whole suite, in two halves beside each other; ARGS="tests/mail -x" runs a part.
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target half-1 half-2
endif

# What stands in no half by name is in the second. Each has a folder of its own for temporary files, which another run
# of pytest would else clear away.
HALF := browser crash corpus paths queue web
half-1:
	@folder=$$(mktemp -d) && $(BIN)/python -m pytest -q $(HALF:%=tests/%) --basetemp=$$folder/t; \
	code=$$?; rm -rf $$folder; exit $$code
half-2:
	@folder=$$(mktemp -d) && $(BIN)/python -m pytest -q tests $(HALF:%=--ignore=tests/%) --basetemp=$$folder/t; \
	code=$$?; rm -rf $$folder; exit $$code

pictures: $(DEV_STAMP) browser ## Leave pictures of the pages and mails in screenshots/, to be looked at.
	PICTURES=1 $(BIN)/python -m pytest -q tests/browser

crash: $(DEV_STAMP) ## Kill senders at every point, 200 times (SEEDS=…), and print the table; SEED=17 plays one again.
	$(BIN)/python -m tests.crash $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SEED),--seed $(SEED))

bench: $(DEV_STAMP) ## Measure sending beside Postfix's own generator; QUICK=1 takes two minutes, ARGS="--row cpu" a part.
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

lint: $(DEV_STAMP) ## Format, style, types and layers.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP) ## Put the format right.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

browser: ## See to it that Chromium is there for the browser tests, where this can be done.
	@sh tests/browser/ensure_chromium.sh

words: $(DEV_STAMP) ## Collect what the readers' pages say into each language's catalogue; LANG=de begins a new one.
	$(BIN)/python -m subscribers.catalogues $(if $(filter command line,$(origin LANG)),$(LANG))

lock: ## Pin the dependencies anew (needs uv).
	uv pip compile pyproject.toml $(LOCK) -o requirements.lock
	uv pip compile pyproject.toml --group dev $(LOCK) -o requirements-dev.lock

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

clean: ## Remove what was made.
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# `.venv/bin/digest`, without a build tool, which only the other lock has: a path to here, and a script. A large import
# starts a second process, which reads the script again: what stands under `__main__` is for the first alone.
define COMMAND
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "digest-checkout.pth").write_text(str(pathlib.Path.cwd()) + "\n")
script = pathlib.Path(sysconfig.get_path("scripts"), "digest")
script.write_text(f"#!{sys.executable}\nfrom digest.cli import main\n\nif __name__ == '__main__':\n    main()\n")
script.chmod(0o755)
endef
export COMMAND

$(RUN_STAMP): requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@grep -qs __main__ $(BIN)/digest || $(BIN)/python -c "$$COMMAND"
	@touch $@

$(DEV_STAMP): requirements-dev.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
