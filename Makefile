# Everything a newcomer needs. Each target does its own set-up and says what it does.
.PHONY: demo test bench setup lint clean

demo: setup
	cargo build --locked
	demo/run.sh

test: setup
	cargo test --locked --lib --no-default-features
	cargo test --locked

bench:
	tests/setup.sh bench
	cargo bench --locked --bench proxies

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
