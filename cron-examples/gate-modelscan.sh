#!/bin/sh
# A gate that holds a new revision if modelscan finds code in it: in pickles, Keras or TensorFlow files.
#
# When to use: as gate-picklescan.sh, for more formats. Install: modelscan into a virtual environment, then
# `hfdl config set hooks.gate /usr/local/lib/hfdl/gate-modelscan.sh`; MODELSCAN names the program if PATH does
# not find it.
#
# modelscan ends with 0 for nothing, 1 for a find, 2 for an error and 3 if it knows no file of the folder.
# The last is right for safetensors and GGUF, and wrong for a pickle that it took for something else: such a
# revision is held too.
set -eu

code=0
report=$("${MODELSCAN:-modelscan}" scan --show-skipped --path "$HFDL_PATH" 2>&1) || code=$?
printf '%s\n' "$report"
if [ "$code" -eq 3 ]; then
    pickles=$(cd "$HFDL_PATH" && find . -name '*.bin' -o -name '*.ckpt' -o -name '*.pickle' -o -name '*.pkl' \
        -o -name '*.pt' -o -name '*.pth')
    [ -n "$pickles" ] || exit 0
    printf 'modelscan cannot read %s\n' "$pickles" >&2
else
    printf '%s\n' "$report" | grep -E 'Description:|Source:' >&2 || true
fi
exit "$code"
