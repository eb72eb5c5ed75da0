# The commands of the project; `make` alone lists them.

CARGO ?= cargo
# Set by people who have the charts and cases of the conformance corpus; tests say aloud when it is missing.
export PINTLE_SHARED ?= $(abspath $(CURDIR)/../shared)

FUZZ_JUDGE ?= $(or $(PINTLE_CACHE),$(HOME)/.cache/pintle)/bin/fuzz-judge

.PHONY: help demo test unit e2e chaos faults conformance golden bench bench-cluster bench-waiting fuzz fuzz-check fuzz-diff lint generate assets

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: build assets ## play the main job on a local control plane: install, upgrade, break, roll back, delete
	@$(CARGO) test --no-run --test e2e
	@$(CARGO) test --quiet --test e2e -- demo $(DEMO_FLAGS)

test: lint unit e2e conformance ## everything that must pass: lints, unit tests, stories on a real API server

.PHONY: build
build:
	$(CARGO) build --bin pintle

unit: ## unit tests of all crates
	$(CARGO) test --workspace --lib
	$(CARGO) test -p pintle-helm --test directory --test corpora

e2e: build assets ## the stories of e2e/ on a real control plane
	$(CARGO) test --test authoring
	$(CARGO) test --test e2e

chaos: build assets ## every request of a release's life goes wrong once; CHAOS_FLAGS="--only=upgrade/kill-after/7" for one run
	$(CARGO) test --quiet --test e2e -- chaos $(CHAOS_FLAGS)

faults: build assets ## as `make chaos`, and write docs/faults.md from it
	$(CARGO) test --quiet --test e2e -- chaos --write-docs

conformance: ## rendering compared with the real helm
	$(CARGO) test -p pintle-helm --test conformance -- --nocapture

golden: assets ## write what the real helm prints for the project's own cases
	crates/helm/tests/golden "$$(e2e/controlplane/build)"

bench: assets ## how fast: beside Helm's library in process, and beside `helm template` as a process
	$(CARGO) build --release --bin pintle
	$(CARGO) build --release -p pintle-bench
	e2e/bench/run
	$(CARGO) bench --bench index

bench-cluster: assets ## what 200 and 1,000 releases cost, beside a bare client; BENCH_FLAGS="--releases=200 --idle=10"
	$(CARGO) test --release --test e2e -- bench-cluster $(BENCH_FLAGS)

bench-waiting: build assets ## what 200 releases that wait cost 50 others; BENCH_FLAGS="--waiting=20 --json"
	$(CARGO) test --quiet --test e2e -- bench-waiting $(BENCH_FLAGS)

fuzz: ## every fuzz target for FUZZ_SECONDS=60, on stable; with coverage: cargo +nightly fuzz run NAME
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) $(CARGO) test -p pintle-helm --test corpora -- --nocapture

fuzz-check: ## the targets of fuzz/ for libFuzzer still compile; on stable
	$(CARGO) check --manifest-path fuzz/Cargo.toml --bins --target-dir target/fuzz

fuzz-diff: assets ## random charts rendered by us and by the real helm; FUZZ_CASES=10000 for more, FUZZ_SEED=N to repeat
	GOFLAGS= GOWORK=off CGO_ENABLED=0 go -C e2e/fuzz build -trimpath -buildvcs=false -mod=readonly -o "$(FUZZ_JUDGE)" .
	FUZZ_JUDGE="$(FUZZ_JUDGE)" FUZZ_HELM="$$(e2e/controlplane/build)/helm" $(CARGO) test --quiet -p pintle-helm --test fuzz_diff

lint: ## formatting and clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

generate: ## write crds/ from the types
	$(CARGO) run --quiet --bin pintle -- crds --output-dir crds

assets: ## build the control plane's binaries (minutes, once; then cached outside the tree)
	@e2e/controlplane/build >/dev/null
