# What the scripts of this folder share: version, target, time of the source, and a folder for intermediate files.
# They are sourced from the root of the repository, with the program in $program.

version=$("$program" version | cut -d ' ' -f 2)
target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
# The same source makes the same packages: the time of all files is that of the commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

# Manual pages and completions, made by the program itself: FOLDER for man/, FOLDER for completions/
make_documents() {
  mkdir -p "$1" "$2"
  env -i "$program" man "$1"
  env -i "$program" completions bash >"$2/pillion.bash"
  env -i "$program" completions zsh >"$2/_pillion"
  env -i "$program" completions fish >"$2/pillion.fish"
}
