#!/usr/bin/env bash
# Functions that the recipes in this folder share.
#
# A recipe reads this file, calls `options DEFAULT_TARGET "$@"`, then `find_program`, fills folders below
# "$work" with `stage` and its own files, and ends with `finished PATH` for each package. Standard output
# is for these paths alone: everything else goes to standard error.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$(dirname "$packaging")")
exec 3>&1 1>&2

# fact NAME: prints a value of Cargo.toml: a text, or the only one of a list.
fact() { sed -n "s/^$1 = \[*\"\(.*\)\"\]*\$/\1/p" "$root/Cargo.toml" | head -n 1; }

version=$(fact version)

fail() {
    printf 'error: %s\n' "$1" >&2
    exit "${2:-1}"
}

# need PROGRAM PACKAGE: fails with the package of Debian that has a missing program.
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: install the package $2"; }

absolute() {
    case $1 in
    /* | [A-Za-z]:*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$PWD/$1" ;;
    esac
}

host_triple() { "${RUSTC:-rustc}" -vV | sed -n 's/^host: //p'; }

# options DEFAULT_TARGET ARGUMENTS...: sets target, program, host_program, out and work from the
# arguments. An empty default is the platform of this machine. The first unknown argument fails.
options() {
    target=$1 program='' host_program='' out=''
    shift
    while [ "$#" -gt 0 ]; do
        [ "$#" -ge 2 ] || fail "\`$1\` is no option or lacks its value" 2
        case $1 in
        --target) target=$2 ;;
        --program) program=$(absolute "$2") ;;
        --host-program) host_program=$(absolute "$2") ;;
        --out) out=$(absolute "$2") ;;
        *) fail "there is no option \`$1\`" 2 ;;
        esac
        shift 2
    done
    [ -n "$target" ] || target=$(host_triple)
    target_dir=$(absolute "${CARGO_TARGET_DIR:-$root/target}")
    out=${out:-$target_dir/packages}
    if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
        SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null) ||
            fail 'set SOURCE_DATE_EPOCH: this folder is no clone, and has no time of a commit'
    fi
    export SOURCE_DATE_EPOCH
    mkdir -p "$out"
    work=$(mktemp -d)
    trap 'rm -rf -- "$work"' EXIT
}

# remap_flags: prints the flags of rustc, one a line, that keep folders of this machine out of programs.
# The last flag that matches a path decides.
remap_flags() {
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} folder
    printf -- '--remap-path-prefix=%s\n' "$target_dir=/target" "$root=/hfdl" "$cargo_home=/cargo"
    for folder in "$cargo_home"/registry/src/*/; do
        printf -- '--remap-path-prefix=%s\n' "${folder%/}=/cargo"
    done
    printf -- '--remap-path-prefix=%s\n' "$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/src/rust=/rust"
}

# build_program TRIPLE: builds the programs for this platform and prints the path of `hfdl`; `hfdlw` for
# Windows is beside it.
build_program() {
    local triple=$1 libraries flags compiler build=(cargo build) suffix='' programs=(--bin hfdl)
    command -v cargo >/dev/null 2>&1 ||
        fail 'cargo is missing: install Rust as https://www.rust-lang.org/tools/install says'
    libraries=$("${RUSTC:-rustc}" --print target-libdir --target "$triple")
    compgen -G "$libraries/libstd-*.rlib" >/dev/null ||
        fail "the standard library for $triple is missing: rustup target add $triple"
    flags=$({ tr ' ' '\n' <<<"${RUSTFLAGS:-}" && remap_flags; } | sed '/^$/d')
    case $triple in
    *-linux-musl)
        # Zig is compiler, linker and C library in one. Its start files take the place of rustc's.
        compiler=CC_${triple//-/_}
        if [ -z "${!compiler:-}" ]; then
            build=(bash "$root/scripts/with-zig" cargo-zigbuild zigbuild)
            flags+=$'\n-Clink-self-contained=no'
        fi
        ;;
    *-windows-*) suffix=.exe programs+=(--bin hfdlw) ;;
    esac
    # A Windows as it is installed lacks the C library of Visual Studio.
    [[ $triple != *-windows-msvc ]] || flags+=$'\n-Ctarget-feature=+crt-static'
    # Separated by a character that no path has.
    CARGO_ENCODED_RUSTFLAGS=$(printf '%s' "$flags" | tr '\n' '\037') \
        CARGO_INCREMENTAL=0 "${build[@]}" --manifest-path "$root/Cargo.toml" --release --locked \
        "${programs[@]}" --target "$triple" --target-dir "$target_dir" >&2
    printf '%s\n' "$target_dir/$triple/release/hfdl$suffix"
}

# find_program: sets `program` to the given one or a new build, and `host_program` to one that runs here.
find_program() {
    [ -n "$program" ] || program=$(build_program "$target")
    [ -f "$program" ] || fail "there is no program \`$program\`"
    if [ -z "$host_program" ]; then
        if "$program" --version >/dev/null 2>&1; then
            host_program=$program
        else
            host_program=$(build_program "$(host_triple)")
        fi
    fi
    local found
    found=$("$host_program" --version)
    [ "$found" = "hfdl $version" ] || fail "\`$host_program\` is $found, and this is the source of hfdl $version"
}

# stage FOLDER: fills a new folder with the files of every package: the program, LICENSE, README.md,
# CHANGELOG.md, THIRD-PARTY.md, hfdl.cdx.json, completions, man/man1 and man/man7.
stage() {
    local folder=$1
    mkdir -p "$folder/completions" "$folder/man/man1"
    case $target in
    *-windows-*)
        cp "$program" "$folder/hfdl.exe"
        # The program without a console lies beside it.
        cp "$(dirname "$program")/hfdlw.exe" "$folder"
        ;;
    *)
        cp "$program" "$folder/hfdl"
        chmod 755 "$folder/hfdl"
        ;;
    esac
    cp "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$folder"
    python3 "$packaging/dependencies" licences --target "$target" >"$folder/THIRD-PARTY.md"
    python3 "$packaging/dependencies" sbom --target "$target" >"$folder/hfdl.cdx.json"
    "$host_program" man "$folder/man/man1"
    "$host_program" completions bash >"$folder/completions/hfdl.bash"
    "$host_program" completions zsh >"$folder/completions/_hfdl"
    "$host_program" completions fish >"$folder/completions/hfdl.fish"
    # The umask of the checkout is not that of the package.
    chmod -R u=rwX,go=rX "$folder"
}

# finished PATH: prints the path of a package in "$out" and renews SHA256SUMS there.
finished() {
    python3 "$packaging/checksums" "$out" "$version"
    printf '%s\n' "$1" >&3
}
