#!/usr/bin/env bash
# Builds the Debian package of a program that is built already.
#   packaging/deb.sh PROGRAM FOLDER
# DEB_COMPRESSION is that of dpkg-deb (xz). MAINTAINER, as "Name <address>", is the publisher of the package.
set -euo pipefail
program=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/.."
. packaging/common.sh
maintainer=${MAINTAINER:-Pillion maintainers <pillion@maintainers.invalid>}
architecture=$(dpkg --print-architecture)
# As dpkg-shlibdeps expects it.
tree=$work/debian/pillion

put() { install -D -m "${3:-644}" "$1" "$tree/$2"; } # file, place, mode

put "$program" usr/bin/pillion 755
put packaging/debian/pillion.service usr/lib/systemd/system/pillion.service
put packaging/debian/pillion.yaml etc/pillion/pillion.yaml
put packaging/debian/actions.yaml etc/pillion/metadata/actions.yaml
put packaging/debian/actions.graphql etc/pillion/metadata/actions.graphql
put packaging/debian/copyright usr/share/doc/pillion/copyright
put config/pillion.example.yaml usr/share/doc/pillion/examples/pillion.example.yaml
for schema in pillion actions relationships; do
  put "config/$schema.schema.json" "usr/share/pillion/$schema.schema.json"
done
make_documents "$work/man" "$work/completions"
for page in "$work"/man/*.1; do put "$page" "usr/share/man/man1/$(basename "$page")"; done
put "$work/completions/pillion.bash" usr/share/bash-completion/completions/pillion
put "$work/completions/_pillion" usr/share/zsh/vendor-completions/_pillion
put "$work/completions/pillion.fish" usr/share/fish/vendor_completions.d/pillion.fish
put CHANGELOG.md usr/share/doc/pillion/changelog
{
  echo "pillion ($version) unstable; urgency=medium"
  echo
  echo "  * Version $version: see /usr/share/doc/pillion/changelog.gz."
  echo
  echo " -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} >"$work/changelog"
put "$work/changelog" usr/share/doc/pillion/changelog.Debian
gzip -9n "$tree"/usr/share/doc/pillion/changelog* "$tree"/usr/share/man/man1/*

# The versions of the libraries that the program is linked with.
mkdir -p "$work/debian"
printf 'Source: pillion\n\nPackage: pillion\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "$tree/usr/bin/pillion" | sed -n 's/^shlibs:Depends=//p')
mkdir "$tree/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/${depends:-libc6}/" \
  -e "s/@MAINTAINER@/$maintainer/" -e "s/@SIZE@/$(du -sk --apparent-size "$tree/usr" | cut -f 1)/" \
  packaging/debian/control >"$tree/DEBIAN/control"
(cd "$tree" && find etc -type f | sort | sed 's,^,/,') >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr -type f | sort | xargs md5sum) >"$tree/DEBIAN/md5sums"
for script in postinst prerm postrm; do put "packaging/debian/$script" "DEBIAN/$script" 755; done
package=$folder/pillion_${version}_$architecture.deb
dpkg-deb --root-owner-group "-Z${DEB_COMPRESSION:-xz}" --build "$tree" "$package" >/dev/null
echo "$package"
