# Greenroom: `make demo` shows it, `make test` proves it, `make help` lists the rest.
# A fresh Debian 12 needs only Rust (stable, 1.92 or later), git and make; what else is missing is installed by apt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Builds that differ in their flags have a directory each, so that none makes another one start again.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TERM_PROGRESS_WHEN := never
BUILDS := $(CARGO_TARGET_DIR)

# Programs and libraries whose tests need no other process; `tests/` starts the real programs.
CRATES := -p greenroom-core -p greenroom-hal-linux -p greenroom-hal-mock -p greenroom-daemon

# What is tested with bugs in it: what needs nothing but the core and the mock, and few programs of Linux.
MUTATED := -p greenroom-core -p greenroom-hal-mock -p greenroom-hal-linux -p greenroom-mutants

# What `make install` installs, and where, below DESTDIR. The configuration is always read from /etc/greenroom.
BUILT ?= $(BUILDS)/release
PREFIX ?= /usr/local
DESTDIR ?=
COMMANDS := greenroomd greenroomctl greenroom-play greenroom-appmanager greenroom-receiver greenroom-browser greenroom-web
INSTALLED := $(DESTDIR)$(PREFIX)
CONFIGURATION := $(DESTDIR)/etc/greenroom/greenroom.toml

# Whether a browser is installed for what needs one, which says that it was skipped where there is none: 1 or 0. `make test`
# installs it unless this is 0, `make demo` and `make bench` where this is 1.
BROWSER ?=

# How long `make fuzz` fuzzes each target.
SECONDS ?= 3

# How often `make bench` lets each contestant of a comparison have its turn: 15 or more.
ROUNDS ?= 21

# How many boxes `make sim` runs, an hour each.
SEEDS ?= 500

# What `make test` does, in this order: first what fails fastest.
STEPS := packages format lint features docs build unit sim sim-presentation sim-same loom no-alloc firmware mutants fuzz e2e demo-check

# How long `make chaos` lasts. Its seed is another one each time unless SEED says one.
MINUTES ?= 5

# What `make verify` does beside that.
LONG_STEPS := test sim-long chaos fuzz-long

.PHONY: help demo test verify chaos fuzz-long fuzz-keep fuzz-seeds bench release install uninstall clean capacities $(STEPS)

help: ## List what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: ## Show it: build the programs and play the story (FILE=movie.mp4 plays your file, BROWSER=1 installs one)
	.ci/packages programs $(if $(filter 1,$(BROWSER)),browser)
	cargo build --release -p greenroom-daemon --bins
	cargo run --release -p greenroom-tests --example demo -- $(if $(FILE),"$(FILE)")

test: ## Do everything that CI does, and say how long each step took
	@.ci/steps $(STEPS)

verify: ## Do all of that, and what takes longer: chaos for MINUTES (default 5), a minute of each fuzz target
	@.ci/steps $(LONG_STEPS)

build: ## Build the programs
	cargo build -p greenroom-daemon --bins --examples
	$(BUILDS)/debug/examples/manual $(BUILDS)/debug/share

release: ## Build what `make install` installs: programs, manual pages, shell completions
	.ci/packages programs
	cargo build --release -p greenroom-daemon --bins --examples
	$(BUILDS)/release/examples/manual $(BUILDS)/release/share

# It builds nothing, so that root needs no compiler. A configuration that is there is the integrator's, and stays.
install: ## Install what `make release` built, below DESTDIR and PREFIX (/usr/local)
	@test -d "$(BUILT)/share" || { echo "nothing is built in $(BUILT); run 'make release' first" >&2; exit 1; }
	install -D -m 755 -t "$(INSTALLED)/bin" $(COMMANDS:%="$(BUILT)/%")
	install -D -m 755 -t "$(INSTALLED)/libexec/greenroom" "$(BUILT)/greenroom-session" "$(BUILT)/greenroom-presentation"
	find "$(BUILT)/share" -type f -printf '%P\0' | xargs -0 -I FILE install -D -m 644 "$(BUILT)/share/FILE" "$(INSTALLED)/share/FILE"
	sed 's|@BINDIR@|$(PREFIX)/bin|' daemon/systemd/greenroom.service.in | \
	  install -D -m 644 /dev/stdin "$(INSTALLED)/lib/systemd/system/greenroom.service"
	install -D -m 644 daemon/systemd/greenroom.sysusers "$(INSTALLED)/lib/sysusers.d/greenroom.conf"
	test -e "$(CONFIGURATION)" || install -D -m 644 daemon/greenroom.toml "$(CONFIGURATION)"

uninstall: ## Remove what `make install` installed, but not a configuration that was changed
	rm -f $(COMMANDS:%="$(INSTALLED)/bin/%") "$(INSTALLED)"/libexec/greenroom/greenroom-{session,presentation}
	rm -f "$(INSTALLED)"/share/man/man1/greenroom{ctl,-play,-appmanager}{,-*}.1 "$(INSTALLED)"/share/man/man8/greenroom{d,-session,-presentation,-receiver,-browser,-web}.8
	rm -f $(COMMANDS:%="$(INSTALLED)/share/bash-completion/completions/%.bash") $(COMMANDS:%="$(INSTALLED)/share/zsh/site-functions/_%")
	rm -f $(COMMANDS:%="$(INSTALLED)/share/fish/vendor_completions.d/%.fish")
	rm -f "$(INSTALLED)/lib/systemd/system/greenroom.service" "$(INSTALLED)/lib/sysusers.d/greenroom.conf"
	! cmp -s daemon/greenroom.toml "$(CONFIGURATION)" || rm -f "$(CONFIGURATION)"
	for directory in "$(INSTALLED)/libexec/greenroom" "$(DESTDIR)/etc/greenroom"; do \
	  test ! -d "$$directory" || rmdir --ignore-fail-on-non-empty "$$directory"; \
	done

clean: ## Remove everything that was built
	cargo clean

packages: ## Install the Debian packages that are missing
	.ci/packages programs fuzz firmware
	$(if $(filter 0,$(BROWSER)),,.ci/packages browser || echo "SKIPPED: no browser can be had here; no page is tested in one")

format: ## Check the formatting
	cargo fmt --all --check

lint: ## Let clippy read everything; a warning is an error
	cargo clippy --all-targets -- -D warnings

features: ## Check every feature alone, and that no role links another one's libraries
	.ci/features

docs: ## Build the documentation of the code; a warning is an error
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

unit: ## Run unit, table and conformance tests
	cargo test $(CRATES)

SIM := -p greenroom-hal-mock --example sim --
COMMIT = $$(git rev-parse HEAD 2>/dev/null || echo none)

sim: ## Run SEEDS (default 500) boxes for an hour of their own time each, under faults; or the one with SEED
	cargo run -q --profile sim $(SIM) --commit "$(COMMIT)" --logs $(BUILDS)/sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

# How many networks `make sim-presentation` runs, ten minutes each: one has about 430 sessions.
NETWORKS ?= 32

sim-presentation: ## Run NETWORKS (default 32) networks of boxes that show each other's pages, under faults; or the one with SEED
	cargo run -q --profile sim $(SIM) --presentation --commit "$(COMMIT)" --logs $(BUILDS)/sim/presentation \
	  $(if $(SEED),--seed $(SEED),--seeds $(NETWORKS))

sim-same: ## Run 32 of them twice each, in a debug build and as fast as a release: all must be the same
	debug=$$(cargo run -q $(SIM) --minutes 5 --seeds 32 --twice | tail -n 1); echo "$$debug"; \
	sim=$$(cargo run -q --profile sim $(SIM) --minutes 5 --seeds 32 --twice | tail -n 1); echo "$$sim"; \
	[ "$$debug" = "$$sim" ]

sim-long: ## Run 5000 of them
	$(MAKE) sim SEEDS=5000

# Built with small messages, so that 10,000 boxes fit into 6 GiB.
fleet: ## Keep 10,000 boxes in one process, and tell what a box and an input cost
	GREENROOM_MESSAGE_BYTES_MAX=1024 GREENROOM_CODEC_DATA_BYTES_MAX=512 GREENROOM_TEXT_BYTES_MAX=512 \
	GREENROOM_INIT_DATA_BYTES_MAX=512 GREENROOM_LICENSE_BYTES_MAX=512 CARGO_TARGET_DIR=$(BUILDS)/fleet \
	  cargo run -q --profile sim $(SIM) --fleet 10000

loom: ## Try every interleaving of the ring
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(BUILDS)/loom cargo test --release -p greenroom-core --test ring_loom

no-alloc: ## Prove that the core needs no allocator
	.ci/no-alloc

# No program has the bugs: the daemon does not compile with them.
mutants: ## Plant one bug after another: each must be noticed by a test that names what it breaks (ONLY=SM-36)
	cargo test --no-run --lib --tests $(MUTATED) --message-format=json-render-diagnostics >$(BUILDS)/mutants.json
	$(BUILDS)/debug/greenroom-mutants $(BUILDS)/mutants.json $(if $(ONLY),--only "$(ONLY)")

firmware: ## Build the core's example for a bare Cortex-M4 and run it in an emulator
	.ci/firmware

fuzz: ## Fuzz every decoder, ring and machine for SECONDS each (default 3), from the inputs that are kept
	.ci/fuzz run $(SECONDS)

fuzz-long: ## Fuzz every decoder, ring and machine for a minute each; the last line is the sum
	.ci/fuzz run 60

fuzz-keep: ## Keep the fewest and smallest inputs of all that fuzzing has found that reach as much
	.ci/fuzz keep

# The programs first: the example starts them.
chaos: ## Kill, stop and attack everything at random for MINUTES (default 5), with SEED; then nothing may be left or grown
	cargo build --release -p greenroom-daemon --bins
	cargo run --release -p greenroom-tests --example chaos -- --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# The second build has places for the crowd of devices that is measured; the default has not.
bench: ## Measure speed, each figure beside its limit or peer (ROUNDS, default 21); write target/bench/results.json
	.ci/packages programs $(if $(filter 1,$(BROWSER)),browser)
	cargo build --release -p greenroom-daemon -p greenroom-bench --bins
	GREENROOM_CHANNELS_MAX=4096 cargo build --release -p greenroom-daemon --bin greenroom-presentation --target-dir $(BUILDS)/roomy
	$(BUILDS)/release/greenroom-bench --rounds $(ROUNDS) --results $(BUILDS)/bench/results.json

capacities: ## Measure what one more of each capacity costs, for the README
	.ci/capacities

fuzz-seeds: ## Write the seeds of the fuzz targets anew
	cargo run -p greenroom-hal-mock --example seeds -- fuzz/seeds

e2e: build ## Run the real programs against each other
	cargo test -p greenroom-tests

demo-check: build ## Play the demo once, as quickly built as the tests
	cargo run -p greenroom-tests --example demo
