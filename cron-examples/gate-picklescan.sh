#!/bin/sh
# A gate that reads every pickle of a new revision and holds it if one would run code.
#
# When to use: some of your models come as `.bin`, `.pt`, `.ckpt` or `.pkl`, and loading them must not run a
# program that a stranger has put in. Install: picklescan into a virtual environment, then
# `hfdl config set hooks.gate /usr/local/lib/hfdl/gate-picklescan.sh`; PICKLESCAN names the program if PATH
# does not find it.
#
# hfdl starts it for each new commit before readers see it. HFDL_PATH is the folder of the whole, verified
# files, and links to them. The scanner ends with 0 for nothing, 1 for a find and 2 for a file that it cannot
# read: all but 0 hold the update. `hfdl updates show NAME` then shows the last lines on stderr.
set -eu

code=0
report=$("${PICKLESCAN:-picklescan}" --path "$HFDL_PATH" 2>&1) || code=$?
printf '%s\n' "$report"
printf '%s\n' "$report" | grep FOUND >&2 || true
exit "$code"
