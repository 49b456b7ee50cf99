#!/usr/bin/env bash
# Makes all packages of a program that is built already: Debian package, tarball, Helm chart, SBOM and SHA-256 checksums.
# A release pipeline calls this, and publishes what is in the folder.
#   packaging/build.sh PROGRAM FOLDER
# TARGET is what the program was built for. What needs a tool that is missing (dpkg-deb, helm, cargo-cyclonedx) is left out, which is said.
set -euo pipefail
program=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/.."
PATH=$PWD/target/tools/bin:$PWD/tests/engines/.venv/bin:$PATH
has() { command -v "$1" >/dev/null 2>&1; }
left_out() { echo "packaging: no $1 here, so there is no $2" >&2; }

packaging/tarball.sh "$program" "$folder"
case ${TARGET:-gnu} in
*-musl) ;; # The Debian package has the program that is linked with Debian's libraries.
*) if has dpkg-shlibdeps; then packaging/deb.sh "$program" "$folder"; else left_out dpkg-shlibdeps "Debian package"; fi ;;
esac
if has helm; then
  helm package config/kubernetes/chart --destination "$folder" | sed 's/^.*: //'
else
  left_out helm "archive of the chart"
fi
if has cargo-cyclonedx; then
  . packaging/common.sh
  cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$target" --override-filename pillion-sbom
  # Without the folder of the machine that builds.
  sed "s,path+file://$PWD,path+file:///src," pillion-sbom.json >"$folder/pillion-$version-$target.cdx.json"
  # One is written for each member of the workspace.
  rm -f pillion-sbom.json tests/support/pillion-sbom.json
  echo "$folder/pillion-$version-$target.cdx.json"
else
  left_out cargo-cyclonedx "SBOM"
fi
cd "$folder"
find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS
echo "$folder/SHA256SUMS"
