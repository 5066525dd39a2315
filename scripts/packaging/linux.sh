#!/usr/bin/env bash
# Words and functions that the packages for Linux share. Read after common.sh.

# The description of Cargo.toml is longer than a summary may be.
# shellcheck disable=SC2034 # The recipes read it.
summary='keep Hugging Face models, datasets and spaces on disk, current, from cron'

# description: prints the longer text about hfdl, at most 75 characters a line.
description() {
    cat <<'TEXT'
hfdl keeps the Hugging Face models, datasets and spaces that you depend on
on your disk. A timer of the system starts it; it checks what is due,
fetches what has changed, verifies each file by its hash, makes a new
revision visible in one step, and exits. Nothing stays resident.

An interrupted download goes on at the byte. Files lie where the official
client puts them, so that other programs load them as they are.

The package starts nothing by itself: `hfdl init` sets it up for a user.
TEXT
}

# is_static PROGRAM: whether an ELF program names no loader.
is_static() {
    need readelf binutils
    ! readelf -lW "$1" | grep -q ' INTERP '
}

# examples PROGRAM FOLDER: copies the examples, with the path that the program has in the package.
examples() {
    local file
    for file in "${root:?}"/cron-examples/*; do
        sed "s|/usr/local/bin/hfdl|$1|g" "$file" >"$2/${file##*/}"
    done
}

# installed_size FOLDER: prints the size of its files in KiB, the same on every file system.
installed_size() {
    find "$1" -type f -printf '%s\n' | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }'
}
