#!/bin/sh
# SPDX-License-Identifier: MIT
# The options and commands of shmring-dump: --help, the man page and the completions of
# bash and zsh name the same ones.
# shellcheck disable=SC2016
name=/shmring-dump-options-$$
plan=23
. "${top_srcdir:-.}/tests/tap.sh"
top=${top_srcdir:-.}
man=$top/tools/shmring-dump.1
bash=$top/completions/shmring-dump.bash
zsh=$top/completions/_shmring-dump

# Options as "-o --output=": letter, name, and = if there is an argument.
./shmring-dump --help >"$dir/help"
ok "--help" $?
help=$(sed -n '/^Options/,$s/^  \(-.\),* \(--[a-z-]*=*\).*/\1 \2/p; /^Options/,$s/^      \(--[a-z-]*=*\).*/\1/p' \
	"$dir/help" | sort)
ok "has options with a letter, without one, and with an argument" "$(printf '%s\n' "$help" |
	grep -q '^-h --help$' && printf '%s\n' "$help" | grep -q '^--color=$'; echo $?)"
is "and no lines wider than a terminal" "$(grep -c '.\{81\}' "$dir/help")" 0
is "the man page has the same options" "$(sed -n '/options are as follows/,/^\.El/{
	s/Fl -/--/g; s/Fl /-/g; s/ Ns = Ns Ar [a-z]*$/=/
	s/^\.It \(-[A-Za-z]\)\( Ar [a-z|]*\)* , /\1 /; s/^\.It //; /^-/p
}' "$man" | sort)" "$help"
is "in the order of the alphabet" "$(sed -n '/options are as follows/,/^\.El/s/^\.It Fl \([A-Za-z]\) .*/\1/p
	' "$man" | sort -fc 2>&1)" ""
is "zsh has the same options" "$(sed -n "s/^	'[(*][^']*'{\(-.\)+*,\(--[a-z-]*=*\)}'\[.*/\1 \2/p
	s/^	'\(--[a-z-]*=*\)\[.*/\1/p" "$zsh" | sort)" "$help"
# What bash offers for the words of a command line, of which the last is completed.
offers() {
	bash -c '. "$1" && shift && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _shmring_dump &&
		printf "%s\n" "${COMPREPLY[@]}"' bash "$bash" shmring-dump "$@"
}
is "bash has the same options" "$(offers - | sort)" "$(printf '%s\n' "$help" | tr ' ' '\n' | sort)"
is "and knows which have an argument" "$(for option in $(offers - | grep '=$'); do
	offers "${option%=}" x records "$name" - | grep -q . && offers "${option%=}" x li
done | sort | uniq)" list

# Commands
commands=$(sed -n '/^Commands/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p' "$dir/help" | sort)
is "the man page has the same commands" \
	"$(sed -n '/^\.Sh DESCRIPTION/,/^\.El/s/^\.It Cm //p' "$man" | sort)" "$commands"
is "bash has the same commands" "$(offers '' | sort)" "$commands"
is "zsh has the same commands" "$(sed -n "s/^		'\([a-z]*\):.*/\1/p" "$zsh" | sort)" "$commands"

# Values
for option in output from time color as; do
	values=$(offers --$option = '' | sort)
	is "zsh has the same values of --$option" \
		"$(sed -n "s/^	.*--$option=.*:(\(.*\))'.*/\1/p" "$zsh" | tr ' ' '\n' | sort)" "$values"
	bad=
	for value in $values; do
		want=3 # no such segment: else all is well
		case $option=$value in
		as=*) set -- schema "$name" ;;
		*=openmetrics | *=prometheus) set -- stat "$name" ;;
		*=names) set -- list; want=0 ;;
		*) set -- records "$name" ;;
		esac
		./shmring-dump --$option="$value" "$@" >/dev/null 2>"$dir/err"
		[ $? = $want ] || bad="$bad $value"
		sed -n "/^\.It .*-$option /,/^\.It/p" "$man" | grep -q "^\.Cm $value" || bad="$bad man:$value"
	done
	is "which are taken, and are in the man page" "$bad" ""
done

# Segments
PATH=$PWD:$PATH
export PATH
./dump-segment make "$name" || exit 1
is "bash offers segments" "$(offers records --output json "$name")" "$name"
if command -v zsh >/dev/null 2>&1; then
	is "zsh reads its completion" "$(zsh -n "$zsh" 2>&1)" ""
else
	skip "zsh reads its completion" "there is no zsh"
fi
[ "$n" = $plan ] || echo "not ok - $n tests, not $plan"
