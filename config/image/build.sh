#!/usr/bin/env bash
# Builds Pillion and puts all that its image holds into a folder: the program, the libraries that it is linked with, the
# authorities that sign certificates, and a user without a name to log in by. The Dockerfile runs this.
#   config/image/build.sh FOLDER [PROFILE]
set -euo pipefail
folder=$1
profile=${2:-release}
cd "$(dirname "$0")/../.."

# No path of the machine that builds, so that the same source makes the same program.
export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=/src --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
# `make profile` has made it, or not: without it the program does the same, slower. It counts for builds with a target.
profdata=$PWD/config/image/pillion.profdata
if [ -f "$profdata" ]; then RUSTFLAGS+=" -Cprofile-use=$profdata"; fi
target=$(rustc --version --verbose | sed -n 's/^host: //p')
cargo build --locked --profile "$profile" --bin pillion --target-dir target/image --target "$target"
[ "$profile" = dev ] && profile=debug
config/image/collect.sh "target/image/$target/$profile/pillion" "$folder"
