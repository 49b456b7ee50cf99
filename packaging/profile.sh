#!/usr/bin/env bash
# Makes the profile that a release build is optimized with: builds the program so that it counts what it runs, has it do the work of
# tests/support/src/training.rs, and merges the counts. Builds with the same profile make the same program.
#   packaging/profile.sh FILE
# CARGO (`cargo auditable`) is what will build the program, because names of functions depend on that. TARGET is what is built for, if it
# is not this machine, which has to be able to run it. LLVM_PROFDATA is the llvm-profdata to use, of the version of LLVM that rustc has, or
# newer.
set -euo pipefail
file=$(realpath --canonicalize-missing "$1")
cd "$(dirname "$0")/.."
folder=target/profile
host=$(rustc --version --verbose | sed -n 's/^host: //p')
target=${TARGET:-$host}
llvm=$(rustc --version --verbose | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

profdata=${LLVM_PROFDATA:-}
for tool in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" "llvm-profdata-$llvm"; do
  [ -n "$profdata" ] || ! command -v "$tool" >/dev/null 2>&1 || profdata=$tool
done
if [ -z "$profdata" ]; then
  echo "profile: there is no llvm-profdata of LLVM $llvm here: 'apt-get install llvm-$llvm', or 'rustup component add llvm-tools'" >&2
  exit 1
fi

counts=$(mktemp --directory)
trap 'rm -rf "$counts"' EXIT
echo "profile: building the program that counts" >&2
# With a target, because the programs that run while it is built are not to count.
RUSTFLAGS="${RUSTFLAGS:-} -Cprofile-generate" \
  ${CARGO:-cargo} build --locked --release --bin pillion --target-dir "$folder" --target "$target"
echo "profile: having it serve requests" >&2
LLVM_PROFILE_FILE="$counts/pillion-%p.profraw" \
  cargo run --quiet --locked --package pillion-test-support --example training -- "$PWD/$folder/$target/release/pillion"
mkdir -p "$(dirname "$file")"
"$profdata" merge --output "$file" "$counts"
echo "$file"
