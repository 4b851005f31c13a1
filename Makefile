# Everything a newcomer needs: `make quickstart` and `make test`. Each sets itself up.

# The first that runs: pyenv has a program for each version, also for those that are not chosen.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13; do $$each -c '' 2>/dev/null && echo $$each && exit; done; echo python3)
# What to set up for: cpu, gpu, or what the machine is.
DEVICE ?= auto
# Whose evidence to gather: plain, careless.
WORLD ?= plain
BIN := .venv/bin
# Each step is a process that imports torch: 11 s of it would be compiling the same modules again.
unexport PYTHONDONTWRITEBYTECODE
# What `make check` leaves out: whole operators on a cluster in memory, processes, a browser, training.
LONG := tests/charts tests/cli tests/cluster tests/control tests/report/test_browser.py tests/steps/training
DOCKER ?= docker
REGISTRY ?= localhost/selfreward
TAG ?= 0.1.0
IMAGES ?= operator generator judge trainer

.PHONY: help setup quickstart check chromium test test-api-server test-bare test-cluster nightly evidence known-world docs \
  lint generate lock images release clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

setup: .venv/.ready  ## Virtual environment from the locks, for what this machine is (DEVICE=cpu, DEVICE=gpu)

.venv/.ready: locks/dev.txt locks/cuda.txt locks/gpu.txt locks/languages.txt locks/docs.txt pyproject.toml $(wildcard setup/*.py)
	$(PYTHON) setup --device $(DEVICE)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --requirement locks/languages.txt --requirement locks/docs.txt
	@touch $@

quickstart: setup  ## A whole self-rewarding run on this machine
	$(BIN)/selfreward run examples/quickstart/run.yaml --workdir runs

known-world: setup  ## A run whose models measurably get better, on two cores in minutes, and its picture
	$(BIN)/selfreward run examples/known_world/run.yaml --workdir runs
	PYTHONPATH=examples $(BIN)/python -m known_world.picture runs/artifacts/namespace=default/known-world >runs/known-world/picture.svg
	@echo 'picture  runs/known-world/picture.svg'

# A file's tests share what is dear to make, so they go to one worker; tests/conftest.py puts the longest files first.
PYTEST := $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

check: setup lint  ## Lint, types and the fast tests, while you edit
	$(PYTEST) -m "not slow" $(LONG:%=--ignore=%)

test: chromium setup .venv/.browser lint  ## Everything that CI checks
	$(PYTEST)

.venv/.browser: .venv/.ready locks/browser.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --requirement locks/browser.txt
	@touch $@

# Said before a quarter of an hour of tests, and not after.
chromium:
	@command -v chromium >/dev/null || { echo "the report's page is tested in Chromium, which is not here: apt install chromium" >&2; exit 1; }

test-api-server: setup  ## Our API server's tests, on it and on the one that REAL_API_SERVER, a kubeconfig, names
	$(BIN)/pytest -n 2 -k "memory or real" tests/kube

test-bare:  ## README's commands in Debians with nothing prepared; as root, after a change of the locks
	.ci/bare

test-cluster: setup  ## Whole runs on the cluster that KUBECONFIG names (see docs/development.md)
	$(BIN)/pytest -n 0 -v -s --durations=0 -o python_files='check_*.py' tests/real_cluster

nightly: setup  ## Hours: 10,000 schedules of faults, 5,000 hostile runs, a run of each model, two engines (see docs/development.md)
	SCHEDULES=0:10000 $(BIN)/pytest -n auto -q tests/control/test_schedules.py
	HOSTILE=5000 $(BIN)/pytest -n auto -q tests/control/test_hostile.py
	$(BIN)/pytest -n auto -v -o python_files='check_*.py' tests/lookalikes tests/cluster

evidence: setup  ## The known world on five seeds, with one thing changed at a time (WORLD=careless; see docs/evidence.md)
	PYTHONPATH=examples $(BIN)/python -m known_world.evidence evidence/$(WORLD) --world $(WORLD) --jobs 2

docs: setup  ## The documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: setup  ## Style, types and the layering of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

generate: setup  ## The CRD, the chart's copy and README, the API reference, from the models; tables of datasets and models
	$(BIN)/python -m selfreward.api.crd > crds/selfreward.dev_selfrewardruns.yaml
	$(BIN)/python -m selfreward.api.crd --chart > charts/selfreward/templates/crd.yaml
	$(BIN)/python -m selfreward.api.reference > docs/api-reference.md
	PYTHONPATH=tests $(BIN)/python -m charts.generated
	PYTHONPATH=tests $(BIN)/python -m gitops.generated
	$(BIN)/python tests/steps/importing/seed/lookalikes.py > docs/datasets.md
	PYTHONPATH=tests $(BIN)/python tests/lookalikes/page.py > docs/models.md

lock: setup  ## Resolve the locks again
	locks/resolve

images:  ## Build the images (DOCKER=buildah, REGISTRY=…, TAG=…, IMAGES="operator judge", BUILD_FLAGS="--build-arg BASE=…")
	for image in $(IMAGES); do \
	  $(DOCKER) build --build-arg VERSION=$(TAG) --build-arg REVISION=$$(git rev-parse HEAD) $(BUILD_FLAGS) --file images/$$image/Dockerfile --tag $(REGISTRY)/$$image:$(TAG) . || exit 1; done

release: setup images  ## dist/: the images, their lists of packages, the chart, checksums (arguments as for images)
	DOCKER="$(DOCKER)" REGISTRY="$(REGISTRY)" TAG="$(TAG)" IMAGES="$(IMAGES)" BUILD_FLAGS="$(BUILD_FLAGS)" .ci/release

clean:  ## Remove the environment, the runs of examples and the site
	rm -rf .venv runs site
