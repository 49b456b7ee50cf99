#!/usr/bin/env bash
# Installs what is missing for one of the Makefile's targets, and nothing that the target does not need.
#   tests/setup.sh [book | console | demo | test | bench | fuzz | instructions | packages | profile | lint]      (default: test)
# Debian packages come by apt-get; Node and Python packages and Rust's tools go into folders of this repository.
# Says each step before it begins; does nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-test}

say() { echo "setup: $*"; }
fail() { say "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
missing=()
need() { has "$1" || missing+=("$2"); } # command, Debian package

need_postgresql() {
  need psql postgresql-client
  # Debian keeps the server's programs out of the path.
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need initdb postgresql
}

# A Python that can make virtual environments: the active one, else Debian's. What the tests need goes into one of
# their own, so that neither is changed.
python=python3
can_make_venvs() { "$1" -c 'import venv, ensurepip' 2>/dev/null; }
need_python() {
  can_make_venvs "$python" && return
  python=/usr/bin/python3
  can_make_venvs "$python" || missing+=(python3 python3-venv)
}

install_debian_packages() {
  [ ${#missing[@]} -gt 0 ] || return 0
  has apt-get || fail "these Debian packages are missing, and there is no apt-get here: ${missing[*]}"
  say "installing Debian packages, one to three minutes: ${missing[*]}"
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}" >/dev/null
}

check_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  has cargo && has rustc || fail "Rust $wanted or newer is needed: install it as https://rustup.rs says, then call make again"
  found=$(rustc --version | cut -d ' ' -f 2)
  [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -1)" = "$wanted" ] ||
    fail "Rust $wanted or newer is needed, and this is $found: \`rustup update stable\`, then call make again"
}

# folder, what it says
install_node_packages() {
  [ ! "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] || return 0
  say "installing Node packages into $1, about half a minute: $2"
  npm ci --prefix "$1" --no-fund --no-audit --loglevel=error
}

# into target/tools, not into the user's own folder: name, version
install_rust_tool() {
  [ "$(cat "target/tools/$1.version" 2>/dev/null)" != "$2" ] || return 0
  say "building $1 into target/tools, a few minutes"
  # Without optimisation, which takes longer than it saves, and with what the tools share built once.
  CARGO_PROFILE_DEV_DEBUG=none cargo install --quiet --locked --debug --root target/tools --target-dir target/tools/build --version "$2" "$1"
  echo "$2" >"target/tools/$1.version"
}

install_python_packages() {
  [ ! tests/engines/.venv/installed -nt tests/engines/requirements.txt ] || return 0
  say "installing Python packages into tests/engines/.venv, about half a minute: Flask, FastAPI, helm, what looks at manifests"
  "$python" -m venv tests/engines/.venv
  tests/engines/.venv/bin/python -m pip install --quiet --requirement tests/engines/requirements.txt
  touch tests/engines/.venv/installed
}

[ "$part" = console ] || check_rust
case $part in book | console | demo | test | bench | fuzz | instructions | packages | profile | lint) ;; *) fail "there is no part \"$part\"" ;; esac
[ "$part" = console ] || {
  need cmake cmake
  need cc build-essential
}
case $part in
demo)
  need npm npm
  need_postgresql
  ;;
test | bench)
  need curl curl
  need openssl openssl
  need go golang-go
  need npm npm
  need redis-server redis-server
  need pgbouncer pgbouncer
  need promtool prometheus
  need haproxy haproxy
  need_python
  need_postgresql
  ;;
instructions) need valgrind valgrind ;;
console | lint) need npm npm ;;
profile)
  llvm=$(rustc --version --verbose | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
  # rustup's component of the same name serves as well.
  compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/llvm-profdata" >/dev/null || need "llvm-profdata-$llvm" "llvm-$llvm"
  ;;
packages)
  need npm npm
  need dpkg-shlibdeps dpkg-dev
  need_python
  ;;
esac
# The console is tested in a real browser.
[ "$part" != test ] || need chromium chromium
if [ "$part" = bench ]; then
  need nginx nginx-light
  need wrk wrk
  need h2load nghttp2-client
  need taskset util-linux
fi
install_debian_packages

case $part in
console) install_node_packages console "what the console is made of" ;;
demo) install_node_packages demo PostGraphile ;;
test | bench)
  install_node_packages tests/engines "PostGraphile, GraphQL Yoga, Express, NestJS, clients, what reads schemas"
  install_python_packages
  ;;
instructions) install_rust_tool gungraun-runner 0.20.0 ;;
packages)
  install_python_packages
  install_rust_tool cargo-auditable 0.7.7
  install_rust_tool cargo-cyclonedx 0.5.9
  ;;
fuzz)
  cargo +nightly --version >/dev/null 2>&1 || {
    has rustup || fail "a nightly toolchain is needed, and there is no rustup here to install one"
    say "installing a nightly toolchain, a minute"
    rustup toolchain install nightly --profile minimal
  }
  install_rust_tool cargo-fuzz 0.13.2
  ;;
book) install_rust_tool mdbook 0.5.4 ;;
lint)
  install_node_packages console "what the console is made of"
  has cargo-deny || install_rust_tool cargo-deny 0.18.9
  install_rust_tool mdbook 0.5.4
  ;;
esac
if [ "$part" = bench ]; then
  install_node_packages benches/peers "the gateways that are measured beside Pillion"
fi
