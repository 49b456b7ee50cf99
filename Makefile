# Everything a newcomer needs. Each target installs what it needs itself (tests/setup.sh), and says what it does.
.DEFAULT_GOAL := help
.PHONY: abuse book console help demo test chaos bench endure fuzz instructions packages profile setup lint clean
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

# What a release is optimized for: docs/decisions/0090. It is made once; `make profile` makes it again, and `PROFILE=` does without.
PROFILE ?= config/image/pillion.profdata
# Names of functions depend on how a program is built, so packages need one of their own.
PACKAGES_PROFILE = $(if $(PROFILE),target/packages.profdata)
# A profile counts for builds with a target.
target = $(or $(TARGET),$(shell rustc --version --verbose | sed -n 's/^host: //p'))

help: ## What there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## PostgreSQL, PostGraphile, a handler and Pillion: requests with their responses
	@tests/setup.sh demo
	@$(MAKE) --no-print-directory console
	@demo/run.sh

# Without Node the page of the console is left out; everything else is built as always.
console: ## The page of the console, in console/dist
	@if command -v npm >/dev/null; then tests/setup.sh console && node console/build.mjs; \
	else echo "console: left out, because there is no Node.js here"; fi

test: setup console ## All tests, with real databases, GraphQL servers and clients
	cargo test --locked
	@for example in examples/*.rs; do cargo run --locked --quiet --example "$$(basename "$$example" .rs)" || exit 1; done

# Kills the program 200 times under load, fails every write to the disk once, has two replicas run 10,000 calls, looks for what was
# lost, and times the stores with a million ended calls in them.
# Then compares 30,000 random documents with extension fields with graphql-js; PILLION_EXTENSION_SEED says from which seed.
chaos: setup ## Asynchronous calls while processes are killed and disks fail, and random documents, about a quarter of an hour
	PILLION_CHAOS_ROUNDS=200 PILLION_CHAOS_CALLS=10000 cargo test --locked --test e2e -- job
	PILLION_EXTENSION_DOCUMENTS=30000 PILLION_EXTENSION_SEED=$${PILLION_EXTENSION_SEED:-100000} cargo test --locked --test e2e -- extension_fields

abuse: setup ## Attacks on memory at full size, against the release build
	PILLION_ABUSE_SCALE=1 cargo test --locked --release --test e2e -- memory_budget --test-threads=1 --nocapture
	PILLION_ABUSE_SCALE=1 cargo test --locked --release --test e2e -- random_hashes_take_no_memory --nocapture

# Without nightly: PILLION_FUZZ_CASES=100000 cargo test --locked --test fuzz. What is found becomes a file in fuzz/seeds.
fuzz: ## What must hold for any bytes, with libFuzzer (FUZZ_SECONDS=60 for each target)
	@tests/setup.sh fuzz
	@fuzz/run.sh

endure: ## Reloads, restarts, overload and a soak (ENDURE_SECONDS=1800 for half an hour)
	@tests/setup.sh bench
	cargo bench --locked --bench endurance

scale: ## Replicas behind a balancer with one PostgreSQL and one Redis: throughput, load of both, kills
	@tests/setup.sh bench
	cargo bench --locked --bench scale

# 5 % more than benches/instructions.rs says of any of them fails.
instructions: ## Counts the instructions of the core's functions
	@tests/setup.sh instructions
	GUNGRAUN_RUNNER=$(CURDIR)/target/tools/bin/gungraun-runner cargo bench --locked --no-default-features --bench instructions

# Measures the program that the image has.
bench: $(PROFILE) ## nginx, a plain pingora proxy, two gateways on Node and Pillion side by side
	@tests/setup.sh bench
	RUSTFLAGS="$$RUSTFLAGS $(if $(PROFILE),-Cprofile-use=$(abspath $(PROFILE)))" \
		cargo build --locked --release --bin pillion --target-dir target/image --target $(target)
	for bench in proxies extension_fields allocations stored; do \
		BENCH_PROGRAM=$(CURDIR)/target/image/$(target)/release/pillion cargo bench --locked --bench $$bench || exit 1; done

book: ## The manual as a book, in target/book
	@tests/setup.sh book
	mdbook build docs

lint: ## Formatting, clippy, types of the console, the manual, licences of dependencies
	@tests/setup.sh lint
	npm run --silent --prefix console check
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --lib --no-default-features -- -D warnings
	mdbook build docs
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib
	cargo deny --locked check bans licenses sources

profile: ## What the image and benchmarks are optimized for: counts what a build runs while it serves usual requests
	@tests/setup.sh profile
	TARGET=$(target) packaging/profile.sh config/image/pillion.profdata

config/image/pillion.profdata:
	@$(MAKE) --no-print-directory profile

target/packages.profdata:
	@tests/setup.sh profile
	@tests/setup.sh packages
	TARGET=$(target) CARGO="cargo auditable" packaging/profile.sh $@

# TARGET=x86_64-unknown-linux-musl for a program without shared libraries: see docs/how-to/packages.md.
packages: $(PACKAGES_PROFILE) ## Debian package, tarball, chart, SBOM and checksums of a release build, in target/packages
	@tests/setup.sh packages
	@$(MAKE) --no-print-directory console
	RUSTFLAGS="$$RUSTFLAGS $(if $(PROFILE),-Cprofile-use=$(abspath $(PACKAGES_PROFILE))) --remap-path-prefix=$(CURDIR)=/src --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo" \
		cargo auditable build --locked --release --bin pillion --target-dir target/release-packages --target $(target)
	mkdir -p target/packages
	$(if $(PROFILE),cp $(PACKAGES_PROFILE) target/packages/pillion.profdata)
	packaging/build.sh target/release-packages/$(target)/release/pillion target/packages

setup: ## Installs what the tests need
	@tests/setup.sh test

clean: ## Removes all that was built and installed into this folder
	cargo clean
	rm -rf config/image/pillion.profdata fuzz/target fuzz/corpus console/dist console/node_modules tests/engines/node_modules tests/engines/.venv demo/node_modules benches/peers/node_modules
