#!/usr/bin/env bash
# Puts a program and all that it needs into a folder that can be the root of a file system.
#   config/image/collect.sh PROGRAM FOLDER
set -euo pipefail
program=$1
folder=$2
mkdir -p "$folder"/{etc/ssl/certs,usr/local/bin,var/lib/pillion,tmp}
chmod 1777 "$folder/tmp"
install -m 755 "$program" "$folder/usr/local/bin/pillion"
echo "libraries:"
ldd "$program" | grep -o '/[^ ]*' | sort | while read -r library; do
  echo "  $library"
  install -m 755 -D "$library" "$folder$library"
done
install -m 644 /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt"
echo 'pillion:x:65532:65532::/var/lib/pillion:/nonexistent' >"$folder/etc/passwd"
echo 'pillion:x:65532:' >"$folder/etc/group"
echo 'hosts: files dns' >"$folder/etc/nsswitch.conf"
chown 65532:65532 "$folder/var/lib/pillion"
# The same source makes the same image.
find "$folder" -exec touch --no-dereference --date=@"${SOURCE_DATE_EPOCH:-0}" {} +
du -sh "$folder"
