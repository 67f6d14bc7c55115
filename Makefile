# make demo    the service with example queries and made-up data; prints the page's address (DEMO='--rate 500': flags)
# make test    everything that must hold, and what it needs is installed first: this is the whole CI
# make deny    licences, duplicates, advisories (needs cargo-deny, and the network for the last)
# make bench   measurements, about an hour after the build; figures go to BENCH_FIGURES [default: bench in the target folder]
# make clean-peers    removes the clients and servers that tests talk to

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:

# The profile of the demo's binary.
PROFILE ?= dev
# Outside the checkout: builds outlive it.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millstream-target
export MILLSTREAM_PEERS ?= $(HOME)/.cache/millstream-peers
BENCH_FIGURES ?= $(CARGO_TARGET_DIR)/bench
export CHROMIUM ?= $(or $(shell command -v chromium),/usr/bin/chromium)
# Node is there where the machine has none.
export PATH := $(MILLSTREAM_PEERS)/bin:$(PATH)

# Cargo's folder for `dev` is `debug`.
demo_binary = $(CARGO_TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/millstream
web_sources := $(shell find web/src web/public web/types -type f 2>/dev/null) \
  web/index.html web/package.json web/tsconfig.json web/vite.config.ts

.PHONY: demo test setup-build setup-test web format clippy rust-test deny licences browser e2e bench clean-peers

demo: setup-build web
	cargo build --package millstream --profile $(PROFILE)
	exec env --unset=MILLSTREAM_PEERS $(demo_binary) demo $(DEMO)

# The quick refusals first. pytest is last, after everything it runs has been built.
test: setup-test format web clippy licences browser rust-test e2e

setup-build:
	scripts/setup build

setup-test:
	scripts/setup test

web: web/dist/index.html

web/dist/index.html: web/node_modules/.package-lock.json $(web_sources)
	cd web && npm run build

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci --no-audit --no-fund

format:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --locked -- --deny warnings

# Against a stand-in service; `e2e` has the real one.
browser: web
	cd web && npx playwright test

# The programs are built along with the tests, with the same features: nothing is compiled twice.
rust-test:
	cargo build --workspace --bins --tests --locked
	cargo test --workspace --locked

e2e: web
	MILLSTREAM=$(CARGO_TARGET_DIR)/debug/millstream $(MILLSTREAM_PEERS)/python/bin/pytest tests/e2e

deny:
	cargo deny check

# Without advisories: they change while the tree does not. Without cargo-deny, which takes minutes to build, not at all.
licences:
	@if cargo deny --version >/dev/null 2>&1; \
	then cargo deny check licenses bans sources; \
	else echo "cargo-deny is not installed: dependencies are not checked"; fi

bench:
	scripts/setup bench
	cargo build --release --package millstream
	benches/all.py $(CARGO_TARGET_DIR)/release/millstream --json $(BENCH_FIGURES)

clean-peers:
	rm -rf "$(MILLSTREAM_PEERS)"
