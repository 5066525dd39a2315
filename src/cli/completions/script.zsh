#compdef hfdl
# hfdl: completion for zsh
_hfdl() {
    local program=${(Q)words[1]/#\~/$HOME} reply value
    local -a plain open plain_texts open_texts
    (( $+commands[$program] )) || [[ -x $program ]] || program=hfdl
    for reply in "${(@f)$("$program" completions zsh -- "${(@Q)words[1,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $reply ]] || continue
        value=${reply%%$'\t'*}
        [[ $reply == *$'\t'* ]] && reply="$value  -- ${reply#*$'\t'}"
        # No space follows a folder, or a key that needs a value.
        if [[ $value == *[/=] ]]; then
            open+=("$value") open_texts+=("$reply")
        else
            plain+=("$value") plain_texts+=("$reply")
        fi
    done
    (( $#plain )) && compadd -V hfdl -l -d plain_texts -a plain
    (( $#open )) && compadd -V hfdl -S '' -l -d open_texts -a open
    return 0
}
if [[ $funcstack[1] == _hfdl ]]; then
    _hfdl "$@"
else
    compdef _hfdl hfdl
fi
