# Everything a newcomer needs. Each target does its own set-up and says what it does.
.PHONY: demo test chaos bench endure instructions setup lint clean

demo: setup
	cargo build --locked
	demo/run.sh

test: setup
	cargo test --locked --lib --no-default-features
	cargo test --locked

# Kills the program 200 times under load, fails every write to the disk once, has two replicas run 10,000 calls, looks for what was
# lost, and times the stores with a million ended calls in them. Takes about ten minutes.
chaos: setup
	PILLION_CHAOS_ROUNDS=200 PILLION_CHAOS_CALLS=10000 cargo test --locked --test e2e -- job

# What nobody may notice: reloads, restarts, ten times the load, a handler that hangs, a soak (ENDURE_SECONDS=1800 for half an hour).
endure:
	tests/setup.sh bench
	cargo bench --locked --bench endurance

# Counts the instructions of the pure core; 5 % more than benches/instructions.rs says of any of them fails.
instructions:
	tests/setup.sh instructions
	GUNGRAUN_RUNNER=$(CURDIR)/target/tools/bin/gungraun-runner cargo bench --locked --no-default-features --bench instructions

bench:
	tests/setup.sh bench
	cargo bench --locked --bench proxies
	cargo bench --locked --bench allocations
	cargo bench --locked --bench stored

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --lib --no-default-features -- -D warnings
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny --version '^0.18'
	cargo deny --locked check bans licenses sources

setup:
	@tests/setup.sh

clean:
	cargo clean
	rm -rf tests/engines/node_modules
