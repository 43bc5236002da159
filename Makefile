# Every command a developer needs. Setting up happens by itself: python3 (3.11 or later) with pip, and make, are enough.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
TORCH_VENV := .venv-torch
CLIENTS_VENV := .venv-clients
READY := $(VENV)/.ready
NODE := $(RUN) -m tools.node
BENCH_READY := .venv-bench/.ready
TORCH_READY := $(TORCH_VENV)/.ready
PRETRAINED_VENV := .venv-pretrained
PRETRAINED_READY := $(PRETRAINED_VENV)/.ready
DOCS_READY := .venv-docs/.ready
COMFYUI_VENV ?= .venv-comfyui
COMFYUI_READY := $(COMFYUI_VENV)/.ready
CLIENTS_READY := $(CLIENTS_VENV)/typescript/.ready
DIST_READY := .venv-dist/.ready
HF_READY := $(addsuffix /.ready,.venv-hf-2 .venv-hf-1 .venv-hf-0)
MANAGER_READY := .venv-manager/.ready
INSTALLERS_READY := .venv-installers/.ready
CLIENTS_SOURCES := $(addprefix tests/journeys/generated_clients/,package.json package-lock.json .npmrc)
# Folders of Python that are checked; those that are not there yet are left out.
CODE := $(wildcard src tests tools bench extension)
# What runs on a laptop or a machine with ComfyUI, and so on Windows and macOS too.
CLIENT_CODE := $(addprefix src/modelyard/,__init__.py __main__.py wire comfyui transfer client sync agent cli)
# PYTEST adds arguments: make test PYTEST="-k paths".
PYTEST ?=
# Each process runs whole files, whose tests share fixtures, until one of them has nothing left. Slow tests wait for other
# programs for part of the time, so that two cores have work for four processes.
PARALLEL := -n 2 --dist worksteal
PARALLEL_SLOW := -n 4 --dist worksteal
# So does PLAYWRIGHT for the page's tests: make browser PLAYWRIGHT="upload.spec.ts".
PLAYWRIGHT ?=
KILLS ?= 200
# Some stages of check or check-all: make check-all STAGES="kills browser".
STAGES ?=
TIMES ?= 20
INSTALL := $(PYTHON) -m pip --python $(VENV)/bin/python --disable-pip-version-check --quiet install

# The tests start hundreds of interpreters; without bytecode files each compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup check check-all test test-check test-stores test-extended test-random test-large flaky fix lint types imports budgets journeys journeys-extended page page-built browser browser-extended screenshots kills hf-clients manager-models older-release torch from-pretrained docs dist publish extension extension-test packaging container demo run bench bench-chart bench-s3 bench-small-files bench-fleet bench-compare bench-neighbours bench-page lock clean

help:  ## print this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r command text; do printf '%-25s %s\n' "$$command" "$$text"; done

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

# `make check` runs what is right or wrong on any machine, once; tests with these marks say why they are not part of it.
IN_CHECK := not extended and not flaky
STORES := $(addprefix tests/server/,models uploads agents garbage/test_garbage.py verification/test_verification.py \
	collections/test_collections.py collections/test_pins.py)
# Of these folders, what asks the database and the store nothing that the others do not.
NOT_STORES := $(addprefix --ignore tests/server/,agents/test_folders.py agents/test_partial_heartbeats.py \
	agents/test_waiting_limits.py models/folders/test_limits.py models/test_model_types.py \
	models/registration/test_rules.py)

check: $(READY)  ## what decides whether a change is right: what CI runs
	$(RUN) -m tools.check check $(STAGES)

check-all: $(READY)  ## that and everything else, before a release: a table in build/check-all.md; STAGES="kills browser" runs some
	$(RUN) -m tools.check all $(STAGES)

test: $(READY)  ## the fast tests, three in four
	$(RUN) -m pytest $(PARALLEL) -m "not slow and $(IN_CHECK)" $(PYTEST)

test-check: $(READY)  ## the fast tests and the slow ones of `make check`
	$(RUN) -m pytest $(PARALLEL_SLOW) -m "$(IN_CHECK)" $(PYTEST)

test-stores: $(READY)  ## what a database or a store can change in the rules for models, on PostgreSQL and S3
	MODELYARD_TEST_ON=large $(RUN) -m pytest $(PARALLEL_SLOW) -m "$(IN_CHECK)" $(STORES) $(NOT_STORES) $(PYTEST)

test-extended: $(READY)  ## tests that are too long for `make check`, and those that depend on time until they are mended
	$(RUN) -m pytest $(PARALLEL_SLOW) -m "extended or flaky" $(PYTEST)

test-random: $(READY)  ## tests with generated cases, other cases at each run; races of two servers, ten times as often
	MODELYARD_TEST_ROUNDS=30 $(RUN) -m pytest $(PARALLEL) -m "hypothesis or race" --hypothesis-profile random $(PYTEST)

# What is left out tries every store and both databases in `make test-check` already, or needs neither.
test-large: $(READY)  ## all tests of the API once more, on PostgreSQL and S3
	MODELYARD_TEST_ON=large $(RUN) -m pytest $(PARALLEL_SLOW) tests/server tests/attacks --ignore tests/server/storage \
		--ignore tests/server/database --ignore tests/server/inspection $(PYTEST)

flaky: $(READY)  ## repeat tests beside two busy processes, and count failures: make flaky TIMES=20 PYTEST="tests/journeys -m core"
	$(RUN) -m tools.flaky $(TIMES) $(PYTEST)

fix: $(READY)  ## format, apply safe fixes, write the reference pages anew
	$(RUN) -m ruff check --fix $(CODE)
	$(RUN) -m ruff format $(CODE)
	$(RUN) -m tools.reference

lint: $(READY)  ## ruff: rules and format; private terms in code, page and documents
	$(RUN) -m ruff check $(CODE)
	$(RUN) -m ruff format --check $(CODE)
	$(RUN) -m tools.wording

types: $(READY)  ## mypy, strict, on code and tests; beside it what runs on a client, as on Windows and macOS
	@echo "$(RUN) -m mypy $(CODE)"; $(RUN) -m mypy $(CODE) & all=$$!; trap "kill $$all" INT TERM; failed=0; \
		for platform in win32 darwin; do \
			echo "$(RUN) -m mypy --platform $$platform (client and agent)"; \
			$(RUN) -m mypy --platform $$platform --cache-dir .mypy_cache/$$platform $(CLIENT_CODE) || failed=1; done; \
		wait $$all && exit $$failed

imports: $(READY)  ## who may import whom
	$(VENV)/bin/lint-imports

budgets: $(READY)  ## what is longer than it should be (tests/architecture refuses what is longer than it may be)
	$(RUN) -m tools.budgets

journeys: $(READY)  ## the main job with real processes, some of them killed: push, resume, pull, two servers, agents, backups
	$(RUN) -m pytest tests/journeys -n 2 --dist loadfile -m core $(PYTEST)

journeys-extended: $(READY) $(CLIENTS_READY)  ## the other tests of the whole product: outages, floods, kills at every step
	$(RUN) -m pytest tests/journeys -n 2 --dist loadfile -m "not core" $(PYTEST)

page: $(READY) page-built  ## the web page, checked and built into the package
	$(NODE) npm run check

page-built: $(READY)  ## the web page, built into the package unless it is built from the same sources already
	@$(RUN) -m tools.page

browser: $(READY) page-built  ## each view and each main flow of the page in a real browser, against real servers
	$(NODE) npx playwright test --grep @core $(PLAYWRIGHT)

browser-extended: $(READY) page-built  ## the other tests of the page
	$(NODE) npx playwright test --grep-invert @core $(PLAYWRIGHT)

screenshots: $(READY) page-built  ## the pictures in docs/images, taken anew
	$(NODE) npx playwright test --config screenshots.config.ts

kills: $(READY)  ## agents killed KILLS times (200) on each set-up, the server while it promotes versions, and syncs of folders
	MODELYARD_TEST_KILLS=$(KILLS) $(RUN) -m pytest tests/journeys/test_fleet_survives_kill.py \
		tests/journeys/test_versions_survive_kill.py tests/journeys/test_folder_sync_survives_kill.py $(PYTEST)

hf-clients: $(READY) $(HF_READY)  ## clients of Hugging Face against a running registry: huggingface_hub 2.x, 1.x and 0.36
	$(RUN) -m pytest tests/hub_clients $(PYTEST)

manager-models: $(READY) $(MANAGER_READY)  ## the table of ComfyUI-Manager's models against its list: which pickle policy each needs
	$(RUN) -m pytest tests/manager_models $(PYTEST)

# Not part of `make check`: it downloads the packages of that release, once.
older-release: $(READY)  ## agents of the last release with this registry, agents of this one with that registry, and upgrades
	$(RUN) -m tools.older_release
	$(RUN) -m pytest tests/older_release $(PYTEST)

# Not part of `make check`: torch is up to 3 GB, and no lock can pin it (requirements/torch.in says why).
torch: $(READY) $(TORCH_READY)  ## what the pickle scanner calls clean, loaded by torch.load(weights_only=True)
	$(RUN) -m pytest tests/torch_loading $(PYTEST)

# Not part of `make check`, for the reason of `make torch`.
from-pretrained: $(READY) $(PRETRAINED_READY)  ## transformers and diffusers load a pushed folder from the Hugging Face endpoint
	$(RUN) -m pytest tests/from_pretrained $(PYTEST)

docs: $(READY) $(DOCS_READY)  ## check the pages against the code, and build them as a searchable site
	$(RUN) -m pytest tests/docs $(PYTEST)
	.venv-docs/bin/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs build/docs
	@echo "Open $(CURDIR)/build/docs/index.html"

dist: $(READY) $(DIST_READY)  ## wheel, sdist, bills of materials and hashes in dist/: what a release publishes
	$(RUN) -m tools.dist

publish: $(READY) $(DIST_READY)  ## build and upload a release, if this commit is one (docs/release.md)
	$(RUN) -m tools.publish

extension: $(READY)  ## the ComfyUI extension as a zip in dist/; for Comfy's registry with PUBLISHER=ID REPOSITORY=URL
	$(RUN) -m tools.extension $(if $(PUBLISHER),--publisher $(PUBLISHER)) $(if $(REPOSITORY),--repository $(REPOSITORY))

# Not part of `make check`: it downloads torch for the CPU once, and needs an archive of ComfyUI's source.
extension-test: $(READY) $(COMFYUI_READY)  ## the extension in a real ComfyUI with two of its pages: MODELYARD_COMFYUI_ARCHIVE=comfyui.tar.xz
	MODELYARD_COMFYUI_VENV=$(abspath $(COMFYUI_VENV)) $(NODE) npx playwright test --config comfyui $(PLAYWRIGHT)

packaging: $(READY) page-built $(DIST_READY) $(INSTALLERS_READY)  ## install the packages of `make dist` on Python 3.11 and 3.13, as users do
	$(RUN) -m pytest tests/packaging -m "not container" $(PYTEST)

# Not part of `make check`: as root, with Debian's mmdebstrap, buildah and netavark.
container: $(READY) page-built $(DIST_READY)  ## the container image: build it on a minimal Debian, run it read-only, upgrade 0.3.0
	@test "$$(id -u)" = 0 || { echo "Run make container as root: buildah builds without namespaces for root only." >&2; exit 1; }
	$(RUN) -m pytest tests/packaging -m container $(PYTEST)

demo: $(READY) page-built  ## the whole story on real bytes: serve, push, list, pull; leaves the registry running
	@$(RUN) -m tools.demo

run: $(READY) page-built  ## a registry with SQLite and a folder, in ./.data
	$(VENV)/bin/modelyard serve --data-dir .data

# With RESULTS=FILE, the benches add their goals to a file, from which bench-chart draws all of them.
SAVE = $(if $(word 2,$(RESULTS)),$(error RESULTS has several files. Name the one to which this run adds its goals))$(if \
	$(RESULTS),--save $(RESULTS))

bench: $(READY) $(BENCH_READY)  ## ratios against named peers and limits, as a table and as a chart in docs/images
	$(RUN) -m bench --plot docs/images/bench.svg $(SAVE)

bench-chart: $(READY) $(BENCH_READY)  ## the chart in docs/images, from saved results: make bench-chart RESULTS="a.json b.json"
	$(RUN) -m bench --plot docs/images/bench.svg --results $(RESULTS)

bench-s3: $(READY) $(BENCH_READY)  ## push and pull over S3, against s5cmd, rclone, the aws cli and boto3
	$(RUN) -m bench --only s3 --rounds 3 $(SAVE)

bench-small-files: $(READY)  ## push and pull of 2,000 files of 1 MB over S3, against rclone copy
	$(RUN) -m bench --only small-files --files 2000 --rounds 7 $(SAVE)

bench-fleet: $(READY)  ## 200 machines on one server; one real agent, against aria2c and sha256sum
	$(RUN) -m bench --only fleet $(SAVE)

bench-compare: $(READY)  ## medians of requests against those of an older commit: make bench-compare COMMIT=7b96001
	$(RUN) -m bench.compare_commits $(COMMIT)

bench-neighbours: $(READY)  ## latencies of a team while another sends floods; in turn with another commit: COMMIT=7b96001
	$(RUN) -m bench.neighbours $(if $(COMMIT),--commit $(COMMIT)) $(if $(ONLY),--only $(ONLY)) $(if $(TEAMS),--teams $(TEAMS))

bench-page: $(READY) page-built  ## the page at BENCH_MODELS (100,000) models: paints, pictures, scrolling, reactions; a push of 2 GiB
	$(NODE) npx playwright test --config bench

# An environment of its own from the lock of its name: .venv-docs from requirements/docs.txt.
.venv-%/.ready: requirements/%.txt
	@test -x .venv-$*/bin/python || { echo "Making .venv-$* from the lock: this takes a while, once."; \
		$(PYTHON) -m venv --without-pip .venv-$* && echo "*" > .venv-$*/.gitignore; }
	@$(PYTHON) -m pip --python .venv-$*/bin/python --disable-pip-version-check --quiet install \
		--require-hashes $(INSTALL_OPTIONS) --requirement $<
	@touch $@

# A file of the package is read, and nothing of it runs.
$(MANAGER_READY): INSTALL_OPTIONS := --no-deps

# Node comes from the lock too: the generator of TypeScript clients needs a newer one than the page does.
$(CLIENTS_READY): $(CLIENTS_VENV)/.ready $(CLIENTS_SOURCES)
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

$(PRETRAINED_READY): requirements/pretrained.in
	@test -x $(PRETRAINED_VENV)/bin/python || { echo "Making $(PRETRAINED_VENV): this downloads torch, up to 3 GB, once."; \
		$(PYTHON) -m venv --without-pip $(PRETRAINED_VENV) && echo "*" > $(PRETRAINED_VENV)/.gitignore; }
	@$(PYTHON) -m pip --python $(PRETRAINED_VENV)/bin/python --disable-pip-version-check --quiet install --requirement $<
	@touch $@

# The pages that the extension is tested with, beside each other: ComfyUI takes one by --front-end-root.
COMFYUI_PAGES := 1.27.10 1.58.1

$(COMFYUI_READY): requirements/comfyui.in
	@test -x $(COMFYUI_VENV)/bin/python || { echo "Making $(COMFYUI_VENV): this downloads torch for the CPU, once."; \
		$(PYTHON) -m venv --without-pip $(COMFYUI_VENV) && echo "*" > $(COMFYUI_VENV)/.gitignore; }
	@$(PYTHON) -m pip --python $(COMFYUI_VENV)/bin/python --disable-pip-version-check --quiet install --requirement $<
	@for page in $(COMFYUI_PAGES); do $(PYTHON) -m pip --python $(COMFYUI_VENV)/bin/python --disable-pip-version-check \
		--quiet install --no-deps --upgrade --target $(COMFYUI_VENV)/pages/$$page comfyui-frontend-package==$$page || exit 1; done
	@touch $@

lock: $(READY)  ## write requirements/*.txt from pyproject.toml (UPGRADE=1: newest versions)
	$(RUN) -m tools.lock $(if $(UPGRADE),--upgrade)

clean:  ## remove what can be made again (.data and .demo stay)
	rm -rf $(VENV) .venv-* web/node_modules web/results src/modelyard/server/page/built .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
