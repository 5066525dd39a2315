# hfdl: completion for bash, from 3.2 on
_hfdl() {
    local program=${1/#\~/$HOME} reply
    type -P -- "$program" >/dev/null || program=hfdl
    COMPREPLY=()
    while IFS= read -r reply; do
        # Spaces and other special characters of a path.
        [[ $reply == '~'* ]] || printf -v reply %q "$reply"
        COMPREPLY+=("$reply")
    done < <("$program" completions bash --ending "$2" -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    # No space follows a folder, or a key that needs a value.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _hfdl hfdl
