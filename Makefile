# Everything runs from a fresh clone: `make setup` is part of every target.
#   make test    all tests            COMFYUI_DIR=/path make test   ... on another ComfyUI
#                                    FRONT_END=1.58.1 make test      ... with another comfyui-frontend-package
#   make test-floor    the unit tests, and a server that starts, on the oldest Python and torch that we support
#   make demo    a contact sheet     make run                      a server to open in the browser
#   make lint    ruff, pyright and tsc     make demo-train    train the small model; stop and go on at any time
#   make bench   what a ControlNet costs here and elsewhere; BENCH_ARGUMENTS="--help" tells what can be chosen
#   make robustness BUDGET=900       every robustness test for a quarter of an hour; WRITE=1 puts what it
#                                    finds into docs/reliability.md

PYTHON ?= python3.11
# The oldest of both; PYTHON may be any from it on, for each target.
FLOOR_PYTHON ?= python3.10
TORCH ?= requirements-torch.txt
PYTEST_ARGUMENTS ?=
BENCH_ARGUMENTS ?=
BUDGET ?= 300
WRITE ?=
VENV := .venv
COMFYUI_FLOOR := $(CURDIR)/.cache/comfyui
REFERENCES := .cache/references
JAVASCRIPT := scripts/javascript
COMFYUI_DIR := $(or $(COMFYUI_DIR),$(COMFYUI_FLOOR))
export COMFYUI_DIR

# Playwright brings the Node that it runs on, pinned as everything else; js/ needs no package.json to be modules.
NODE := $(VENV)/lib/python3.*/site-packages/playwright/driver/node --disable-warning=MODULE_TYPELESS_PACKAGE_JSON

# A ComfyUI other than the floor has requirements of its own, hence its own interpreter.
HOST_PYTHON = python=$$($(VENV)/bin/python scripts/comfyui.py interpreter "$(COMFYUI_DIR)") && "$$python"

# A front end other than the host's, as people update it apart from the host.
FRONT_END ?=
WITH_FRONT_END = $(if $(FRONT_END),FRONT_END_ROOT=$$($(VENV)/bin/python scripts/comfyui.py front-end "$(FRONT_END)") && \
	export FRONT_END_ROOT &&)

.PHONY: setup test test-floor test-units robustness demo demo-train bench run lint format clean

setup: $(VENV)/installed $(COMFYUI_FLOOR)/main.py $(REFERENCES)/unpacked
	@scripts/install-chromium.sh

$(VENV)/installed: requirements-dev.txt $(TORCH) pyproject.toml
	scripts/create-venv.sh "$(PYTHON)" "$(VENV)" "$(TORCH)"
	touch $@

$(COMFYUI_FLOOR)/main.py: scripts/comfyui.py | $(VENV)/installed
	$(VENV)/bin/python scripts/comfyui.py install "$(COMFYUI_FLOOR)"

$(REFERENCES)/unpacked: scripts/references.py | $(VENV)/installed
	$(VENV)/bin/python scripts/references.py "$(REFERENCES)"

# In the order of the folders: the slow tests, with servers and browsers, begin first, and neither process waits long.
test: setup
	@$(NODE) --test --test-reporter=dot "tests/javascript/**/*.test.js"
	@$(WITH_FRONT_END) $(HOST_PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGUMENTS)

robustness: setup
	@$(HOST_PYTHON) tests/robustness/run.py --budget $(BUDGET) $(if $(WRITE),--write)

# Needs no browser and no other implementations to compare with.
test-units: $(VENV)/installed $(COMFYUI_FLOOR)/main.py
	$(VENV)/bin/python -m pytest tests/unit tests/host/nodes/test_pack.py $(PYTEST_ARGUMENTS)

test-floor:
	@$(MAKE) test-units VENV=.cache/venv-floor PYTHON="$(FLOOR_PYTHON)" TORCH=requirements-torch-floor.txt

demo: setup
	@$(HOST_PYTHON) -m zeroconv.demo.run

run: setup
	@$(HOST_PYTHON) -m zeroconv.demo.run --serve

bench: setup
	@$(HOST_PYTHON) benchmarks/run.py $(BENCH_ARGUMENTS)

demo-train: $(VENV)/installed
	$(VENV)/bin/python -m zeroconv.demo.train

lint: $(VENV)/installed $(JAVASCRIPT)/node_modules/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(NODE) $(JAVASCRIPT)/node_modules/typescript/bin/tsc --project $(JAVASCRIPT)

# By the npm that pyright installs itself with.
$(JAVASCRIPT)/node_modules/installed: $(JAVASCRIPT)/package-lock.json | $(VENV)/installed
	$(VENV)/bin/python -c "from pyright import node; node.run('npm', 'ci', '--prefix', '$(JAVASCRIPT)', check=True)"
	touch $@

format: $(VENV)/installed
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean:
	rm -rf $(VENV) .cache
