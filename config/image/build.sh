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
target=target/image
cargo build --locked --profile "$profile" --bin pillion --target-dir "$target"
[ "$profile" = dev ] && profile=debug
config/image/collect.sh "$target/$profile/pillion" "$folder"
