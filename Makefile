# Every command a developer needs. Setting up happens by itself: python3 (3.11 or later) with pip, and make, are enough.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
BENCH_VENV := .venv-bench
TORCH_VENV := .venv-torch
DOCS_VENV := .venv-docs
CLIENTS_VENV := .venv-clients
READY := $(VENV)/.ready
NODE := $(RUN) -m tools.node
PAGE := src/modelyard/server/page/built/index.html
PAGE_SOURCES := $(shell find web -type d \( -name node_modules -o -path web/results -o -path web/tests -o -path web/bench \
	-o -path web/screenshots \) -prune -o -type f ! -name schema.d.ts -print)
BENCH_READY := $(BENCH_VENV)/.ready
TORCH_READY := $(TORCH_VENV)/.ready
DOCS_READY := $(DOCS_VENV)/.ready
CLIENTS_READY := $(CLIENTS_VENV)/.ready
CLIENTS_SOURCES := $(addprefix tests/journeys/generated_clients/,package.json package-lock.json .npmrc)
# Folders of Python that are checked; those that are not there yet are left out.
CODE := $(wildcard src tests tools bench)
# The suite runs on two processes; PYTEST adds arguments: make test PYTEST="-k paths".
PYTEST ?=
# So does PLAYWRIGHT for the page's tests: make browser PLAYWRIGHT="upload.spec.ts".
PLAYWRIGHT ?=
KILLS ?= 200
INSTALL := $(PYTHON) -m pip --python $(VENV)/bin/python --disable-pip-version-check --quiet install

# The tests start hundreds of interpreters; without bytecode files each compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup test test-slow neighbours test-large check fix lint types imports budgets journeys page browser screenshots kills check-large torch docs demo run bench bench-s3 bench-fleet bench-compare bench-page lock clean

help:  ## print this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r command text; do printf '%-18s %s\n' "$$command" "$$text"; done

setup: $(READY)  ## make .venv from the lock (every other command does it by itself)

# The environment is built without its own pip, by the pip that is there, so that Debian's python3 will do.
$(READY): requirements/build.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; $(PYTHON) is " + sys.version.split()[0]) \
		if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m pip --version > /dev/null || { echo "pip is needed: $(PYTHON) -m pip does not run" >&2; exit 1; }
	@test -x $(RUN) || { echo "Making $(VENV) from the lock: this takes a minute, once."; \
		$(PYTHON) -m venv --without-pip $(VENV); }
	@$(INSTALL) --require-hashes --requirement requirements/build.txt
	@$(INSTALL) --require-hashes --no-build-isolation --requirement requirements/dev.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

test: $(READY)  ## the fast tests, four in five: three minutes; without the journeys
	$(RUN) -m pytest -n 2 -m "not slow" $(PYTEST)

test-slow: $(READY)  ## the tests of modules that take more than half a second a test: processes, databases, time limits
	$(RUN) -m pytest -n 2 -m slow $(PYTEST)

# One at a time and without other tests: they compare latencies, which another test would change.
neighbours: $(READY)  ## latencies of other teams while one team sends expensive requests, on each database
	$(RUN) -m pytest tests/noisy_neighbours $(PYTEST)
	MODELYARD_TEST_ON=large $(RUN) -m pytest tests/noisy_neighbours $(PYTEST)

# What is left out tries every store and both databases in `make test` already, or needs neither.
test-large: $(READY)  ## the tests of the API once more, on PostgreSQL and S3
	MODELYARD_TEST_ON=large $(RUN) -m pytest -n 2 tests/server tests/attacks --ignore tests/server/storage \
		--ignore tests/server/database --ignore tests/server/verification --ignore tests/server/inspection $(PYTEST)

check: lint types imports budgets test test-slow test-large neighbours page browser journeys  ## everything that must pass before a commit: what CI runs

fix: $(READY)  ## format, apply safe fixes, write the reference pages anew
	$(RUN) -m ruff check --fix $(CODE)
	$(RUN) -m ruff format $(CODE)
	$(RUN) -m tools.reference

lint: $(READY)  ## ruff: rules and format; private terms in code, page and documents
	$(RUN) -m ruff check $(CODE)
	$(RUN) -m ruff format --check $(CODE)
	$(RUN) -m tools.wording

types: $(READY)  ## mypy, strict, on code and tests
	$(RUN) -m mypy $(CODE)

imports: $(READY)  ## who may import whom
	$(VENV)/bin/lint-imports

budgets: $(READY)  ## what is longer than it should be (tests/architecture refuses what is longer than it may be)
	$(RUN) -m tools.budgets

journeys: $(READY) $(CLIENTS_READY)  ## slow tests of the whole product: real processes, killed half way
	$(RUN) -m pytest tests/journeys -n 2 --dist loadfile $(PYTEST)

page: $(READY) $(PAGE)  ## the web page, checked and built into the package

$(PAGE): $(PAGE_SOURCES) docs/reference/openapi.json | $(READY)
	$(NODE) npm run check
	$(NODE) npm run build
	@touch $@

browser: $(READY) $(PAGE)  ## the page in a real browser, against real servers
	$(NODE) npx playwright test $(PLAYWRIGHT)

screenshots: $(READY) $(PAGE)  ## the pictures in docs/images, taken anew
	$(NODE) npx playwright test --config screenshots.config.ts

kills: $(READY)  ## agents killed KILLS times (200) on each set-up, and the server while it promotes versions
	MODELYARD_TEST_KILLS=$(KILLS) $(RUN) -m pytest tests/journeys/test_fleet_survives_kill.py \
		tests/journeys/test_versions_survive_kill.py $(PYTEST)

check-large: kills torch  ## what is too long for `make check`: before a release

# Not part of `make check`: torch is up to 3 GB, and no lock can pin it (requirements/torch.in says why).
torch: $(READY) $(TORCH_READY)  ## what the pickle scanner calls clean, loaded by torch.load(weights_only=True)
	$(RUN) -m pytest tests/torch_loading $(PYTEST)

docs: $(READY) $(DOCS_READY)  ## check the pages against the code, and build them as a searchable site
	$(RUN) -m pytest tests/docs $(PYTEST)
	$(DOCS_VENV)/bin/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs build/docs
	@echo "Open $(CURDIR)/build/docs/index.html"

demo: $(READY) $(PAGE)  ## the whole story on real bytes: serve, push, list, pull; leaves the registry running
	$(RUN) -m tools.demo

run: $(READY) $(PAGE)  ## a registry with SQLite and a folder, in ./.data
	$(VENV)/bin/modelyard serve --data-dir .data

bench: $(READY) $(BENCH_READY)  ## ratios against named peers and limits, as a table and as a chart in docs/images
	$(RUN) -m bench --plot docs/images/bench.svg

bench-s3: $(READY) $(BENCH_READY)  ## push and pull over S3, against s5cmd, rclone, the aws cli and boto3
	$(RUN) -m bench --only s3 --rounds 3

bench-fleet: $(READY)  ## 200 machines on one server; one real agent, against aria2c and sha256sum
	$(RUN) -m bench --only fleet

bench-compare: $(READY)  ## medians of requests against those of an older commit: make bench-compare COMMIT=7b96001
	$(RUN) -m bench.compare_commits $(COMMIT)

bench-page: $(READY) $(PAGE)  ## the page's reactions at 100,000 models; a push of 2 GiB against the rate of its hash alone
	$(NODE) npx playwright test --config bench

$(BENCH_READY): requirements/bench.txt
	@test -x $(BENCH_VENV)/bin/python || { echo "Making $(BENCH_VENV) from the lock: this takes some minutes, once."; \
		$(PYTHON) -m venv --without-pip $(BENCH_VENV) && echo "*" > $(BENCH_VENV)/.gitignore; }
	@$(PYTHON) -m pip --python $(BENCH_VENV)/bin/python --disable-pip-version-check --quiet install \
		--require-hashes --requirement requirements/bench.txt
	@touch $@

$(DOCS_READY): requirements/docs.txt
	@test -x $(DOCS_VENV)/bin/python || { echo "Making $(DOCS_VENV) from the lock: this takes half a minute, once."; \
		$(PYTHON) -m venv --without-pip $(DOCS_VENV) && echo "*" > $(DOCS_VENV)/.gitignore; }
	@$(PYTHON) -m pip --python $(DOCS_VENV)/bin/python --disable-pip-version-check --quiet install \
		--require-hashes --requirement requirements/docs.txt
	@touch $@

# Node comes from the lock too: the generator of TypeScript clients needs a newer one than the page does.
$(CLIENTS_READY): requirements/clients.txt $(CLIENTS_SOURCES)
	@test -x $(CLIENTS_VENV)/bin/python || { echo "Making $(CLIENTS_VENV) from the lock: this takes half a minute, once."; \
		$(PYTHON) -m venv --without-pip $(CLIENTS_VENV) && echo "*" > $(CLIENTS_VENV)/.gitignore; }
	@$(PYTHON) -m pip --python $(CLIENTS_VENV)/bin/python --disable-pip-version-check --quiet install \
		--require-hashes --requirement requirements/clients.txt
	@mkdir -p $(CLIENTS_VENV)/typescript && cp $(CLIENTS_SOURCES) $(CLIENTS_VENV)/typescript
	@cd $(CLIENTS_VENV)/typescript && PATH="$(CURDIR)/$(CLIENTS_VENV)/bin:$$PATH" npm ci --silent
	@touch $@

$(TORCH_READY): requirements/torch.in
	@test -x $(TORCH_VENV)/bin/python || { echo "Making $(TORCH_VENV): this downloads torch, up to 3 GB, once."; \
		$(PYTHON) -m venv --without-pip $(TORCH_VENV) && echo "*" > $(TORCH_VENV)/.gitignore; }
	@$(PYTHON) -m pip --python $(TORCH_VENV)/bin/python --disable-pip-version-check --quiet install \
		--requirement requirements/torch.in || { echo "torch could not be installed. Left out: tests/torch_loading," \
		"which loads with torch what the pickle scanner calls clean." >&2; exit 1; }
	@touch $@

lock: $(READY)  ## write requirements/*.txt from pyproject.toml (UPGRADE=1: newest versions)
	$(RUN) -m tools.lock $(if $(UPGRADE),--upgrade)

clean:  ## remove what can be made again (.data and .demo stay)
	rm -rf $(VENV) $(BENCH_VENV) $(TORCH_VENV) $(DOCS_VENV) $(CLIENTS_VENV) web/node_modules web/results src/modelyard/server/page/built .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
