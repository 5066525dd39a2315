# hfdl: completion for fish
complete --command hfdl --no-files --keep-order --arguments '(hfdl completions fish -- (commandline --tokenize --current-process --cut-at-cursor) (commandline --current-token --cut-at-cursor) 2>/dev/null)'
