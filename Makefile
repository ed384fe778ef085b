# Everything a person types here. `make` alone prints this list.

# make demo
REGIONS ?= 2
DURATION ?= 20
KILLS ?= 0
KEEP ?= 0
WRITERS ?= 2
RATE ?= 60
SHARED ?= 10
SEED ?= 1

# make bench: what else the program takes, such as BENCH="--only drain --rounds 5"; `bench --help` tells.
BENCH ?=

# make fuzz: for so long each target.
FUZZ_SECONDS ?= 60

# make chaos: so many faults, none longer than LONGEST seconds, drawn from SEED (above).
FAULTS ?= 100
LONGEST ?= 60

# make soak: for so long random statements on real servers; then a year is until someone stops it.
RANDOM_SECONDS ?= 1800
SECONDS ?= 31536000

CARGO ?= cargo
TARGET_DIR = $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
# Each test with real servers keeps two cores busy by itself.
export RUST_TEST_THREADS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-long canaries bench bench-quick fuzz chaos soak static fmt lint docs deny audit

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo takes REGIONS=2..6, DURATION=seconds, KILLS=n (kill -9 of a random concord), KEEP=1 (leave it running),"
	@echo "  WRITERS=clients per region, RATE=transactions a second and client (0: no bound), SHARED=percent, SEED=n."
	@echo "  A MySQL server is fetched if there is none; CONCORD_MYSQLD=/path/to/mysqld names one."

demo: ## real servers, all written to at once, become and stay equal
	scripts/mysql-fetch >/dev/null
	$(CARGO) build --release --locked -p replicator -p integration --bin concord --bin demo
	@$(TARGET_DIR)/release/demo --regions $(REGIONS) --duration $(DURATION) --kills $(KILLS) --keep $(KEEP) \
	  --writers $(WRITERS) --rate $(RATE) --shared $(SHARED) --seed $(SEED)

test: ## all quick and middling tests, with real servers
	scripts/mysql-fetch >/dev/null
	$(CARGO) build --locked -p replicator --bin concord
	$(CARGO) build --locked -p test-system
	$(CARGO) test --locked --workspace

test-long: ## the large, the random and the slow tests (in release mode)
	scripts/mysql-fetch >/dev/null
	$(CARGO) build --release --locked -p replicator -p integration --bin concord --bin demo
	$(CARGO) build --release --locked -p test-system
	$(CARGO) test --release --locked -p integration --features long --test long --test huge --test hot_rows --test cases --test walker --test chaos
	@$(MAKE) --no-print-directory canaries

canaries: ## a concord that makes a deliberate mistake, one at a time: each must make the harness fail (as root)
	scripts/mysql-fetch >/dev/null
	$(CARGO) build --release --locked -p replicator --bin concord --features canary --target-dir $(TARGET_DIR)/canary
	$(CARGO) build --release --locked -p test-system
	@# One at a time, so that each has both cores, and what it prints belongs together.
	CONCORD_BIN=$(abspath $(TARGET_DIR)/canary/release/concord) \
	  $(CARGO) test --release --locked -p integration --features canary --test canary -- --nocapture --test-threads=1

bench: ## beside MySQL's own replication, rounds in turn: target/bench/report.md and report.json (BENCH="--only drain": that part)
	scripts/mysql-fetch >/dev/null
	$(CARGO) build --release --locked -p replicator --bin concord
	$(CARGO) build --release --locked -p replicator --bin concord --features blind --target-dir $(TARGET_DIR)/compared
	cp $(TARGET_DIR)/compared/release/concord $(TARGET_DIR)/compared/concord-blind
	$(CARGO) build --release --locked -p replicator --bin concord --features relaxed --target-dir $(TARGET_DIR)/compared
	$(CARGO) build --release --locked -p benches --bin bench
	@# Foreign code, and the only one here that links OpenSSL, so what stops its build costs four figures and not the run.
	@rivals=$(TARGET_DIR)/rivals/release/rivals; \
	OPENSSL_NO_VENDOR=$$(pkg-config --exists openssl 2>/dev/null && echo 1 || echo 0) \
	$(CARGO) build --release --locked --manifest-path benches/rivals/Cargo.toml --target-dir $(TARGET_DIR)/rivals || { \
	  rivals=; echo "make bench: WITHOUT RIVALS: benches/rivals was not built, for the reason above;" \
	    "walk.ratio_vs_* and log.append_ratio_vs_sled will not be measured" >&2; }; \
	CONCORD_BLIND_BIN=$(TARGET_DIR)/compared/concord-blind CONCORD_RELAXED_BIN=$(TARGET_DIR)/compared/release/concord \
	  CONCORD_RIVALS_BIN=$$rivals $(TARGET_DIR)/release/bench $(BENCH)

bench-quick: ## the same with a small backlog and fewer rounds, within ten minutes
	@$(MAKE) --no-print-directory bench BENCH="--quick $(BENCH)"

fuzz: ## every fuzz target for FUZZ_SECONDS seconds (60), no panic and bounded memory (fuzz/README.md)
	scripts/fuzz $(FUZZ_SECONDS)

chaos: ## FAULTS=n faults (100) drawn from SEED on three regions: processes, servers, disks and links (as root)
	scripts/mysql-fetch >/dev/null
	$(CARGO) build --release --locked -p replicator --bin concord
	$(CARGO) build --release --locked -p test-system
	CONCORD_CHAOS_FAULTS=$(FAULTS) CONCORD_CHAOS_LONGEST=$(LONGEST) CONCORD_CHAOS_SEED=$(SEED) \
	  $(CARGO) test --release --locked -p integration --test chaos ten_faults -- --nocapture

soak: ## random schemas and statements for half an hour, then schedules of the conflict rules until stopped (SECONDS=n)
	scripts/mysql-fetch >/dev/null
	$(CARGO) build --locked -p replicator --bin concord
	CONCORD_RANDOM_SECONDS=$(RANDOM_SECONDS) $(CARGO) test --locked -p integration --test random -- --nocapture
	CONCORD_SOAK_SECONDS=$(SECONDS) $(CARGO) test --locked -p conflict --test convergence soak -- --nocapture

static: ## the static binary that deploy/Containerfile takes
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked -p replicator --bin concord \
	  --target x86_64-unknown-linux-gnu

fmt: ## format all code
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml
	$(CARGO) fmt --manifest-path benches/rivals/Cargo.toml

lint: ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) fmt --manifest-path benches/rivals/Cargo.toml --check
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings

docs: ## the API documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

deny: ## licences, banned crates and sources of all dependencies
	$(CARGO) deny --locked check licenses bans sources

audit: ## known vulnerabilities of all dependencies (fetches the database of advisories)
	$(CARGO) deny --locked check advisories
	$(CARGO) deny --locked --manifest-path fuzz/Cargo.toml --config deny.toml check advisories
	$(CARGO) deny --locked --manifest-path benches/rivals/Cargo.toml --config deny.toml check advisories
