# setup does nothing when nothing changed; everything else calls it.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.slipway-setup
BENCH := .venv-bench

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk 'BEGIN{FS=":.*## "}{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP) ## install everything into .venv

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml .python-version
	@sh local/setup.sh $(VENV)
	@touch $@

$(BENCH)/.slipway-setup: requirements.txt requirements-dev.txt bench/requirements.txt pyproject.toml .python-version
	@sh local/setup.sh $(BENCH)
	@$(BENCH)/bin/python -m pip install -q --disable-pip-version-check -r bench/requirements.txt
	@touch $@

bench: $(BENCH)/.slipway-setup ## measure against named peers, both in one run
	@$(BENCH)/bin/python -m bench

demo: setup ## the main job, end to end; PLATFORM=azure-standins: by the Azure SDKs, against stand-ins
ifeq ($(PLATFORM),azure-standins)
	@$(BIN)/python -m tests.standins $(BIN)/slipway demo --data-dir .slipway/azure-standins --meter {meter}
else
	@$(BIN)/slipway demo
endif

test: setup ## the tests
	@$(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

fuzz: setup ## ask every operation for more, for longer
	@SLIPWAY_FUZZ_EXAMPLES=200 $(BIN)/python -m pytest -q tests/api/test_fuzz.py

run: setup ## serve until stopped
	@$(BIN)/slipway serve

check: setup ## lint, format, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

previews: setup ## what infra/ would make in dev and prod, without a cloud
	@for stack in dev prod; do $(BIN)/python -m shared.adapters.provisioners.embedded preview --program infra --stack $$stack --policy-pack infra/policy || exit 1; done

package: setup ## the deployment zip, with its bill of materials beside it
	@$(BIN)/python -m deploy package --out dist/slipway.zip

routes: setup ## one line per served route, kept in functions/routes.tsv
	@$(BIN)/slipway routes --write

clean: ## remove what setup and runs have made
	rm -rf $(VENV) $(BENCH) .slipway build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: help setup bench demo test fuzz run check package previews routes clean
