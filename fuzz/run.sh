#!/usr/bin/env bash
# Gives each property to libFuzzer for FUZZ_SECONDS (60 if nothing is said), or only those that are named. What does not hold is
# kept in fuzz/artifacts; as a file in fuzz/seeds it is a test. `make fuzz` does what is needed before.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${FUZZ_SECONDS:-60}
say() { echo "fuzz: $*"; }
# The same versions of all libraries as in the program; libFuzzer joins them.
cp ../Cargo.lock Cargo.lock
targets=("$@")
[ $# -gt 0 ] || for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
say "building ${#targets[@]} targets with a nightly toolchain, the first time ten minutes"
# There is no unsafe code to watch over, and without a sanitizer it is several times as fast.
cargo +nightly fuzz build --fuzz-dir . --sanitizer none
failed=()
for target in "${targets[@]}"; do
  say "$target, $seconds s"
  mkdir -p "corpus/$target"
  cargo +nightly fuzz run --fuzz-dir . --sanitizer none "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || { say "does not hold: ${failed[*]}; see fuzz/artifacts" >&2; exit 1; }
say "all hold"
