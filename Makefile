# What a person and CI run here. The work is done by scripts/, one for each thing.

.DEFAULT_GOAL := help
.PHONY: help run test lint bench bench-guard load bench-peers abuse conformance simulate mutants fuzz prepare

# Seeds of the simulator.
SEEDS ?=

# Further arguments, as in `make run ARGS='--listen 127.0.0.1:9000'`.
ARGS ?=
# Seconds for each target of the fuzzer.
TIME ?= 60

help: ## Lists what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Starts the server for development: prints a ready URL, a curl line and the live page
	cargo run --release -- serve --dev $(ARGS)

test: ## Everything that must hold: lint, all tests, conformance, abuse in short, Autobahn
	scripts/test

lint: prepare ## Format, clippy, documentation and dependencies
	scripts/lint

bench: ## Benches of the core; ARGS narrows them, as in ARGS=matching
	cargo bench --package tidings-benches --benches -- $(ARGS)

bench-guard: ## Instructions of the core's main work beside what is recorded; ARGS=record records them anew
	scripts/bench-guard $(ARGS)

load: ## Fan-out beside the bare loops, a line of JSON a run; ARGS as in `--only 'fan-out W=64'`
	cargo build --release --package tidings-mio --package tidings-benches --bins
	target/release/tidings-load run benches/scenarios/fan-out.toml $(ARGS)

bench-peers: ## The server beside its peers, all in turn, into benches/RESULTS.md; ROUNDS=3, PEERS=, SCENARIOS=, SHORT=1
	scripts/bench-peers

conformance: prepare ## PROTOCOL over real sockets; ARGS as in `--section 5`
	scripts/conformance $(ARGS)

abuse: prepare ## Attacks at length, 20 s each; ARGS as in `--seconds 60`
	scripts/conformance abuse $(ARGS)

simulate: ## A bad network under virtual time; SEEDS as in `SEEDS=0..100000`, ARGS as in `--seed 42 --trace`
	scripts/simulate $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

fuzz: ## Fuzzes each target for TIME seconds; ARGS names targets, as in ARGS=token
	scripts/fuzz $(TIME) $(ARGS)

mutants: ## Plants faults in a copy of the core: the simulator must find each; ARGS names some of fuzz/mutants
	scripts/mutants $(ARGS)

prepare: ## Installs what the tests need and this machine lacks
	scripts/prepare
