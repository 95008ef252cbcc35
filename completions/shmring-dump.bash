# SPDX-License-Identifier: MIT
# bash completion of shmring-dump.

# Segments by name. Others may write to /dev/shm: no name that a shell would read otherwise.
_shmring_dump_segments() {
	shmring-dump list -o names 2>/dev/null | sed -n '/^[A-Za-z0-9_.:+/#-]*$/p'
}

_shmring_dump() {
	local commands='list info schema locks stat top blame check save records follow'
	local options='-r --read= -o --output= -n --last= -c --count= -f --from= --since= --until= -q --query= -F --fields= -g --group= -k --groups= -b --bytes=
		-i --interval= -l --lines --fail-on-loss --cursor-file= --once --raw -R --rate= -t --timeout= -d --directory= --as= --diff= --time= --color= -h --help -V --version'
	local word=${COMP_WORDS[COMP_CWORD]} option words='' i command='' segment='' one

	# --output=json is three words here, or two.
	option=${COMP_WORDS[COMP_CWORD - 1]}
	if [[ $word == = ]]; then
		word=
	elif [[ $option == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-r | --read | -i | --interval | -o | --output | -n | --last | -c | --count | -f | --from | \
			-b | --bytes | -q | --query | -F | --fields | -g | --group | -k | --groups | \
			-R | --rate | -t | --timeout | --cursor-file | --since | --until | -d | --directory | --as | --diff | --time | --color)
			[[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
			((i++))
			;;
		-*) ;;
		*) if [[ -z $command ]]; then command=${COMP_WORDS[i]}; else segment=1; fi ;;
		esac
	done
	case $option in
	-o | --output) words='text json jsonl names csv hex openmetrics prometheus' ;;
	-f | --from) words='oldest unread new' ;;
	--as) words='text json c' ;;
	--diff) words=$(_shmring_dump_segments) ;;
	--time) words='local utc unix' ;;
	--color) words='auto always never' ;;
	-d | --directory) COMPREPLY=($(compgen -d -- "$word")) && return ;;
	-r | --read) COMPREPLY=($(compgen -f -- "$word")) && return ;;
	-n | --last | -c | --count | -b | --bytes | -i | --interval | -q | --query | -F | --fields | \
		-g | --group | -k | --groups | --since | --until | -R | --rate) return ;;
	-t | --timeout) words=off ;;
	--cursor-file)
		compopt -o default 2>/dev/null
		return ;;
	*)
		if [[ $word == -* ]]; then
			words=$options
		elif [[ -z $command ]]; then
			words=$commands
		elif [[ $command != list && -z $segment ]]; then
			words=$(_shmring_dump_segments)
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

complete -F _shmring_dump shmring-dump
