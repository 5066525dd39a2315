#!/bin/sh
# Installs hfdl with its completions and its manual pages. In an unpacked package it installs the program
# beside it; in a checkout it builds one.
#
# Usage: sh scripts/install.sh [--prefix DIR] [--uninstall] [--help]
#
#   --prefix DIR   where to: DIR/bin, DIR/share (default: ~/.local, for root /usr/local)
#   --uninstall    remove what was installed under the prefix, and nothing else
#
# HFDL_BIN=PATH   install this program instead
# DESTDIR=DIR     put everything below DIR, for those who make packages
#
# Models, settings and the timer are left alone. Before removing hfdl for good run `hfdl stop`.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")

fail() {
    printf 'error: %s\n' "$1" >&2
    exit "${2:-1}"
}

usage() { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"; }

prefix=
uninstall=no
while [ "$#" -gt 0 ]; do
    case $1 in
    --prefix)
        [ "$#" -ge 2 ] || fail '--prefix wants a directory' 2
        prefix=$2
        shift
        ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --uninstall) uninstall=yes ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "there is no option \`$1\`; \`--help\` lists all" 2 ;;
    esac
    shift
done

if [ -z "$prefix" ]; then
    if [ "$(id -u)" -eq 0 ]; then
        prefix=/usr/local
    else
        prefix=${HOME:?'HOME is not set: give --prefix DIR'}/.local
    fi
fi
case $prefix in
/*) ;;
*) prefix=$PWD/$prefix ;;
esac
base=${DESTDIR:-}$prefix

bin=$base/bin
man=$base/share/man/man1
topics=$base/share/man/man7
bash=$base/share/bash-completion/completions
zsh=$base/share/zsh/site-functions
fish=$base/share/fish/vendor_completions.d

remove() {
    for file in "$bin/hfdl" "$bash/hfdl" "$zsh/_hfdl" "$fish/hfdl.fish" "$man"/hfdl.1 "$man"/hfdl-*.1 "$topics"/hfdl-*.7; do
        if [ -e "$file" ]; then
            rm -f -- "$file"
            printf 'removed %s\n' "$file"
        fi
    done
}

if [ "$uninstall" = yes ]; then
    [ -e "$bin/hfdl" ] || fail "hfdl is not installed under $prefix"
    remove
    printf 'models, settings and a timer are left as they are\n'
    exit 0
fi

program=${HFDL_BIN:-}
if [ -z "$program" ] && [ -f "$here/hfdl" ]; then
    program=$here/hfdl
fi
if [ -z "$program" ]; then
    command -v cargo >/dev/null 2>&1 ||
        fail 'cargo is missing: install Rust as https://www.rust-lang.org/tools/install says'
    target=${CARGO_TARGET_DIR:-$root/target}
    case $target in
    /*) ;;
    *) target=$PWD/$target ;;
    esac
    # Named on the line, so that no configuration of cargo puts the program elsewhere.
    (cd "$root" && cargo build --release --locked --bin hfdl --target-dir "$target")
    program=$target/release/hfdl
fi
[ -x "$program" ] || fail "there is no program \`$program\`"

mkdir -p "$bin" "$man" "$topics" "$bash" "$zsh" "$fish"
# Aside and renamed: a tick may be running the old program at this moment.
new=$bin/.hfdl.$$
trap 'rm -f -- "$new"' EXIT
cp -- "$program" "$new"
chmod 755 "$new"
mv -f -- "$new" "$bin/hfdl"

# Pages of commands that are no more would stay for ever.
rm -f -- "$man"/hfdl.1 "$man"/hfdl-*.1 "$topics"/hfdl-*.7
"$bin/hfdl" man "$man" >/dev/null
"$bin/hfdl" completions bash >"$bash/hfdl"
"$bin/hfdl" completions zsh >"$zsh/_hfdl"
"$bin/hfdl" completions fish >"$fish/hfdl.fish"

printf '%s is installed as %s\n' "$("$bin/hfdl" --version)" "$prefix/bin/hfdl"
case :$PATH: in
*":$prefix/bin:"*) ;;
*) printf 'note: %s is not in PATH\n' "$prefix/bin" ;;
esac
printf 'next: hfdl models add org/name, hfdl schedules add, hfdl start\n'
