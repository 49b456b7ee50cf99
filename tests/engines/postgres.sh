#!/usr/bin/env bash
# A PostgreSQL of its own, on a free port of loopback, with the sample shop in it.
#   postgres.sh start FOLDER PORT    sets up FOLDER and starts a server there
#   postgres.sh again FOLDER PORT    starts it once more, with what is there
#   postgres.sh stop FOLDER          ends it
# POSTGRES_FSYNC=on has it write to the disk as it would where it matters.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
command=$1 folder=$2

# Debian keeps the programs out of the path.
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
export PATH="${bin:+$bin:}$PATH" LC_ALL=C

# PostgreSQL refuses to run as root.
as_user() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

serve() {
  as_user pg_ctl --pgdata "$folder/data" --log "$folder/log" --wait start \
    --options "-c listen_addresses=127.0.0.1 -c port=$1 -c unix_socket_directories='' -c fsync=${POSTGRES_FSYNC:-off}" >/dev/null
}

case $command in
start)
  port=$3
  mkdir -p "$folder"
  [ "$(id -u)" != 0 ] || chown postgres "$folder"
  cd "$folder"
  as_user initdb --pgdata "$folder/data" --username shop --auth trust --no-sync >/dev/null
  serve "$port"
  psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 "postgres://shop@127.0.0.1:$port/postgres" --file "$here/shop.sql"
  ;;
again)
  cd "$folder"
  serve "$3"
  ;;
stop)
  cd /
  as_user pg_ctl --pgdata "$folder/data" --mode immediate --wait stop >/dev/null
  ;;
*)
  echo "usage: postgres.sh start|again FOLDER PORT | stop FOLDER" >&2
  exit 2
  ;;
esac
