#!/usr/bin/env bash
# Packs a program that is built already with its manual pages, completions and configuration, for any Linux of its target.
#   packaging/tarball.sh PROGRAM FOLDER
# TARGET is what the program was built for; default: this machine's.
set -euo pipefail
program=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/.."
. packaging/common.sh
# As `cargo binstall` expects it: package.metadata.binstall in Cargo.toml.
name=pillion-$version-$target
tree=$work/$name

install -D -m 755 "$program" "$tree/pillion"
make_documents "$tree/man" "$tree/completions"
install -m 644 LICENSE README.md CHANGELOG.md "$tree"
install -D -m 644 -t "$tree/config" config/*.schema.json config/pillion.example.yaml packaging/debian/pillion.service
tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --directory="$work" "$name" |
  gzip -9n >"$folder/$name.tar.gz"
echo "$folder/$name.tar.gz"
