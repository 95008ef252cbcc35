# SPDX-License-Identifier: MIT
# bash completion of shmring.

# Segments by name. Others may write to /dev/shm: no name that a shell would read otherwise.
_shmring_segments() {
	shmring-dump list -o json 2>/dev/null |
		sed -n 's/^ *"segment": "\([A-Za-z0-9_.:+/-]*\)",*$/\1/p'
}

# The options of a command.
_shmring_options() {
	case $1 in
	create) echo '-m --members= -M --mode= --ring= --table=' ;;
	send) echo '-j --json -0 --null -t --type= -W --no-wait' ;;
	recv) echo '-n --count= --create --cursor= -0 --null -o --output= -r --raw -W --no-wait' ;;
	load) echo '-W --no-wait' ;;
	restore) echo '-M --mode=' ;;
	repair) echo '-n --dry-run --owners --reset-lost' ;;
	gc) echo '-n --dry-run -f --force' ;;
	bench) echo '-n --time= -s --sizes= -o --output=' ;;
	esac
	echo '-h --help -V --version'
}

_shmring() {
	local commands='create send recv load restore repair gc rm bench'
	local word=${COMP_WORDS[COMP_CWORD]} option words='' i command='' arguments=0 one

	# --output=jsonl is three words here, or two.
	option=${COMP_WORDS[COMP_CWORD - 1]}
	if [[ $word == = ]]; then
		word=
	elif [[ $option == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case $command:${COMP_WORDS[i]} in
		create:-m | create:-M | restore:-M | send:-t | recv:-n | recv:-o | bench:-n | bench:-s | \
			bench:-o | *:--members | *:--mode | *:--ring | *:--table | *:--type | \
			*:--count | *:--cursor | *:--output | *:--time | *:--sizes)
			[[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
			((i++))
			;;
		*:-*) ;;
		:*) command=${COMP_WORDS[i]} ;;
		*) ((arguments++)) ;;
		esac
	done
	case $command:$option in
	bench:-o | bench:--output) words='text json' ;;
	recv:-o | *:--output) words='text jsonl' ;;
	create:-m | create:-M | restore:-M | send:-t | recv:-n | bench:-n | bench:-s | \
		*:--members | *:--mode | *:--ring | *:--table | *:--type | *:--count | *:--cursor | \
		*:--time | *:--sizes) return ;;
	*)
		if [[ $word == -* ]]; then
			words=$(_shmring_options "$command")
		elif [[ -z $command ]]; then
			words=$commands
		else
			case $command:$arguments in
			send:0 | recv:0 | load:0 | repair:0 | gc:* | rm:*) words=$(_shmring_segments) ;;
			load:1 | restore:1) COMPREPLY=($(compgen -f -- "$word")) && return ;;
			esac
		fi
		;;
	esac
	COMPREPLY=()
	for one in $words; do
		[[ $one == "$word"* ]] || continue
		[[ $one == *= ]] && compopt -o nospace 2>/dev/null
		COMPREPLY+=("$one")
	done
}

complete -F _shmring shmring
