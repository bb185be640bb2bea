# Perdure. `make hello` and `make test` install what they need on a fresh Debian 12 and say what they do.
# Everything made is below build/ and .cache/; `make clean` removes build/.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := all
SEED ?= 1
RUNS ?= 200
MINUTES ?= 60

.PHONY: all hello test sim sim-long soak asan tsan fuzz cover bench tidy wheel clean help

all: ## the server and command line, at build/perdure
	@scripts/build.sh release

hello: ## start the server on a file, run the tutorial's worker and workflow against it
	@scripts/hello.sh

test: ## every test; the last line is "N passed, N failed"
	@scripts/test.sh

sim: ## one simulated world: make sim SEED=7
	@scripts/build.sh test src/sim/perdure-sim
	@build/test/src/sim/perdure-sim --seed $(SEED)

sim-long: ## thousands of simulated worlds: make sim-long MINUTES=60
	@scripts/build.sh test src/sim/perdure-sim
	@build/test/src/sim/perdure-sim --seed $(SEED) --runs 1000000 --wall $(MINUTES)

soak: ## the Python package: a million activations in flat memory, 500 script exits, references counted over many calls
	@PERDURE_ACTIVATIONS=1000000 PERDURE_EXITS=500 PERDURE_CALLS=5000 "$$(scripts/wheel.sh --venv test)" -m pytest -q -p no:cacheprovider python/tests/test_leaks.py python/tests/test_exits.py

asan: ## unit tests, simulator and the Python extension under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/sanitize.sh asan

tsan: ## unit tests under ThreadSanitizer
	@scripts/sanitize.sh tsan

fuzz: ## every fuzz target for SECONDS_EACH (60) under ASan and UBSan
	@scripts/fuzz.sh

cover: ## line coverage of the unit tests, as a table
	@scripts/cover.sh

bench: ## throughput, latency, CPU, memory, start-up and size; OFFICIAL=path puts the official server beside
	@scripts/bench.sh

tidy: ## layering, dead files, overlong functions and files
	@python3 scripts/tidy.py

wheel: ## the Python package, at build/wheel/
	@scripts/wheel.sh

clean: ## remove everything built; the download cache stays
	@rm -rf build

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18
