#!/usr/bin/env bash
# `make demo`: PostgreSQL, PostGraphile, a handler and Pillion on free ports of loopback; a mixed query and a mixed
# mutation with their answers. Ctrl-C ends all of it. With DEMO_ONCE=1 it ends after the answers.
set -euo pipefail
cd "$(dirname "$0")/.."
engines=tests/engines
node=$engines/node.sh
folder=$(mktemp -d)
pids=()

finish() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  $engines/postgres.sh stop "$folder/postgres" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT
trap 'echo; exit 0' INT TERM

free_ports() {
  "$node" -e '
    const net = require("node:net");
    const servers = Array.from({ length: 5 }, () => net.createServer().listen(0, "127.0.0.1"));
    Promise.all(servers.map((s) => new Promise((done) => s.on("listening", done)))).then(() => {
      console.log(servers.map((s) => s.address().port).join(" "));
      servers.forEach((s) => s.close());
    });'
}
wait_for() { # port, path
  for _ in $(seq 600); do
    curl --silent --fail --output /dev/null "http://127.0.0.1:$1$2" ${3:+-H 'content-type: application/json' -d "$3"} && return
    sleep 0.05
  done
  echo "demo: nothing answers on port $1" >&2
  exit 1
}

read -r database engine handler clients admin < <(free_ports)
chmod 755 "$folder"
echo "demo: PostgreSQL on port $database"
$engines/postgres.sh start "$folder/postgres" "$database"
echo "demo: PostGraphile on http://127.0.0.1:$engine/graphql"
(cd $engines && DATABASE_URL="postgres://shop@127.0.0.1:$database/postgres" PORT=$engine GRAPHILE_ENV=production \
  exec ./node.sh node_modules/.bin/postgraphile --config graphile.config.mjs >"$folder/engine.log" 2>&1) &
pids+=($!)
echo "demo: the handler on http://127.0.0.1:$handler"
PORT=$handler "$node" demo/handler.mjs &
pids+=($!)
wait_for "$engine" /graphql '{"query":"{__typename}"}'
echo "demo: Pillion between them"
HANDLER_URL="http://127.0.0.1:$handler" ./target/debug/pillion serve --upstream "http://127.0.0.1:$engine" \
  --metadata demo/metadata --listen "127.0.0.1:$clients" --admin-listen "127.0.0.1:$admin" --log-level error &
pids+=($!)
wait_for "$admin" /readyz

show() { # file, variables
  echo
  cat "$1"
  [ "$2" = '{}' ] || printf '\nvariables: %s\n' "$2"
  echo
  "$node" -e '
    const [file, variables, url] = process.argv.slice(1);
    const query = require("node:fs").readFileSync(file, "utf8");
    const body = JSON.stringify({ query, variables: JSON.parse(variables) });
    fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })
      .then((answer) => answer.json())
      .then((json) => console.log("→ " + JSON.stringify(json, null, 2)));' \
    "$1" "$2" "http://127.0.0.1:$clients/graphql"
}
show demo/query.graphql '{}'
show demo/mutation.graphql '{"order":{"productId":2,"amount":2,"note":"as a present"}}'

cat <<TEXT

Try more:
  curl http://127.0.0.1:$clients/graphql -H 'content-type: application/json' \\
    -d '{"query":"{ allProducts { nodes { name price } } quote(productId: 2) { total } }"}'
  curl http://127.0.0.1:$admin/metrics
The actions are in demo/metadata, their handler is demo/handler.mjs.
TEXT
if [ -n "${DEMO_ONCE:-}" ]; then exit 0; fi
echo "Ctrl-C ends all of it."
wait
