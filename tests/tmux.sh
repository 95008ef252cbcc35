# SPDX-License-Identifier: MIT
# A terminal, which tmux is, to be sourced after tap.sh. The shell in it has job control.
# shellcheck shell=sh disable=SC2016,SC2034,SC2154
cat >"$dir/tmux.conf" <<'CONF'
set -g exit-empty off
set -g history-limit 10000
CONF
tm() { tmux -S "$dir/tmux" -u -f "$dir/tmux.conf" "$@" 2>>"$dir/told"; }
at_end() { tm kill-server 2>/dev/null; }
unset TMUX NO_COLOR COLUMNS LINES
pane() { tm capture-pane -p >"$dir/pane"; }
keys() { tm send-keys "$@"; }
shows() { soon "pane; $1 \"\$dir/pane\" >/dev/null"; } # a command that looks at the pane
about() { tm display -p "$1"; }
modes() { # of the terminal, as the shell in it sees them, in a file
	rm -f "$dir/modes"
	keys "stty -g >$dir/modes.new; mv $dir/modes.new $dir/modes" Enter
	soon '[ -s "$dir/modes" ]'
	cat "$dir/modes"
}
in_pane() { # the process that the shell in it waits for
	grep -l "^PPid:.$(about '#{pane_pid}')\$" /proc/[0-9]*/status 2>/dev/null | tail -n 1 | cut -d/ -f3
}
terminal() { # columns, rows; its modes are $before, and all that goes to it is in $dir/raw
	rm -f "$dir/raw"
	tm new-session -d -x "$1" -y "$2" 'exec sh -i'
	keys "PS1='ready> '; clear; echo be''fore" Enter
	shows "grep -q '^before'"
	before=$(modes)
	tm pipe-pane -O "cat >>$dir/raw"
}
