#!/bin/sh
# SPDX-License-Identifier: MIT
# The commands of shmring and their options: --help, the man page and the completions of
# bash and zsh name the same ones.
# shellcheck disable=SC2016
name=/shmring-operate-options-$$
plan=
. "${top_srcdir:-.}/tests/tap.sh"
top=${top_srcdir:-.}
man=$top/tools/shmring.1
bash=$top/completions/shmring.bash
zsh=$top/completions/_shmring

./shmring --help >"$dir/help"
commands=$(sed -n '/^Commands/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p' "$dir/help" | sort)
echo 1..$((11 + 4 * $(echo "$commands" | wc -l)))
ok "--help has commands" "$(echo "$commands" | grep -q '^repair$'; echo $?)"
is "and no lines wider than a terminal" "$(grep -c '.\{81\}' "$dir/help")" 0
is "the man page has the same commands" \
	"$(sed -n '/^\.Sh DESCRIPTION/,/^\.Sh OPTIONS/s/^\.It Cm //p' "$man" | sed 's/ .*//' | sort -u)" "$commands"
# What bash offers for the words of a command line, of which the last is completed.
offers() {
	bash -c '. "$1" && shift && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _shmring &&
		printf "%s\n" "${COMPREPLY[@]}"' bash "$bash" shmring "$@"
}
is "bash has the same commands" "$(offers '' | sort)" "$commands"
is "zsh has the same commands" "$(sed -n "s/^		'\([a-z]*\):[a-z].*/\1/p" "$zsh" | sort)" "$commands"

# Of each command, as "-o --output=": letter, name, and = if there is an argument.
: >"$dir/all"
for command in $commands; do
	./shmring "$command" --help >"$dir/help" 2>"$dir/err"
	is "$command --help" "$?:$(cat "$dir/err")" "0:"
	options=$(sed -n '/^Options/,/^$/{s/^  \(-.\), \(--[a-z-]*=*\).*/\1 \2/p; s/^      \(--[a-z-]*=*\).*/\1/p
		}; /^Options/,$s/^  \(-.\), \(--[a-z-]*=*\).*/\1 \2/p' "$dir/help" | sort -u)
	echo "$options" >>"$dir/all"
	is "bash has the options of $command" "$(offers "$command" - | sort)" \
		"$(printf '%s\n' "$options" | tr ' ' '\n' | sort)"
	is "zsh has the options of $command" "$( (sed -n "/^	local -a common/,/^	)/p" "$zsh"
		sed -n "/^	$command)/,/;;/p" "$zsh") | sed -n "s/^[	]*'[(*][^']*'{\(-.\)+*,\(--[a-z-]*=*\)}'\[.*/\1 \2/p
		s/^[	]*'\**\(--[a-z-]*=*\)\[.*/\1/p" | sort)" "$options"
	# After an option with an argument the next word is that, and the one behind is not.
	bad=
	for option in $(offers "$command" - | grep '=$'); do
		offers "$command" "${option%=}" x - | grep -q -e --help || bad="$bad $option"
		[ "$(offers "$command" "${option%=}" -)" ] && bad="$bad $option-"
	done
	is "bash knows which of $command have an argument" "$bad" ""
done
is "the man page has all of them, and no others" "$(sed -n '/options are as follows/,/^\.El/{
	s/ Ns Op ,\.\.\.$//; s/Fl -/--/g; s/Fl /-/g; s/ Ns = Ns Ar [a-z]*$/=/
	s/^\.It \(-[A-Za-z0-9]\)\( Ar [a-z|]*\)* , /\1 /; s/^\.It //; /^-/p
}' "$man" | sort -u)" "$(sort -u "$dir/all")"
is "bash has the formats of recv" "$(offers recv -o '' | sort | tr '\n' ' ')" "jsonl text "
is "and of bench" "$(offers bench --output = '' | sort | tr '\n' ' ')" "json text "
is "as has zsh" "$(sed -n "s/.*--output=.*:(\(.*\))'.*/\1/p" "$zsh" | tr '\n' ,)" "text jsonl,text json,"

# Segments
PATH=$PWD:$PATH
export PATH
./dump-segment make "$name" || exit 1
is "bash offers segments" "$(offers repair "$name")" "$name"
if command -v zsh >/dev/null 2>&1; then
	is "zsh reads its completion" "$(zsh -n "$zsh" 2>&1)" ""
else
	n=$((n + 1))
	echo "ok $n # SKIP there is no zsh"
fi
exit 0
