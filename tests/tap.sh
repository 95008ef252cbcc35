# SPDX-License-Identifier: MIT
# What the tests that are shell scripts have in common, to be sourced by them:
#
#	name=/what-$$			of segments: $name, $name-2, $name-old ...; or none
#	plan=37				of tests; empty if that is not known yet
#	. "${top_srcdir:-.}/tests/tap.sh"
#
# The last errors of a program are in $dir/err, the output of a build in $dir/log. At the end
# the files in $dir and these segments are removed and the processes in $started
# killed, after at_end, which a test may define.
# shellcheck shell=sh disable=SC2034
dir=$(mktemp -d)
started=
at_end() { :; }
tap_end() {
	at_end
	for pid in $started; do kill -9 "$pid" 2>/dev/null; done
	rm -rf "$dir"
	case $name in
	/*/* | [!/]* | /) ;; # of no segment
	/*) rm -rf "/dev/shm$name" "/dev/shm$name"-* ;;
	esac
}
trap tap_end EXIT
trap 'exit 1' HUP INT TERM
[ -z "$plan" ] || echo "1..$plan"
n=0
failed() { # description
	echo "not ok $n - $1"
	[ ! -s "$dir/err" ] || tail -n 20 "$dir/err" | sed 's/^/# /'
	[ ! -s "$dir/log" ] || tail -n 8 "$dir/log" | sed 's/^/# /'
}
ok() { # description, status
	n=$((n + 1))
	if [ "$2" -eq 0 ]; then echo "ok $n - $1"; else failed "$1"; fi
}
is() { # description, got, wanted
	n=$((n + 1))
	if [ "$2" = "$3" ]; then echo "ok $n - $1"; else
		failed "$1"
		printf '%s\n' "$2" | sed 's/^/# got:    /'
		printf '%s\n' "$3" | sed 's/^/# wanted: /'
	fi
}
skip() { # description, why
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
vain= # waits that were in vain
soon() { # a shell condition comes true within 30 s
	tries=0
	until eval "$1"; do
		[ $tries -gt 0 ] || deadline=$(($(date +%s) + 30))
		tries=$((tries + 1))
		if [ $((tries % 20)) = 0 ] && [ "$(date +%s)" -gt $deadline ]; then
			vain="$vain$1
"
			return 1
		fi
		sleep 0.01
	done
}
dump() { ./shmring-dump "$@" 2>"$dir/err"; }
status() { ./shmring-dump "$@" >"$dir/out" 2>"$dir/err"; echo $?; }
json() { # description, jq filter that gives true; reads $dir/json
	ok "$1" "$(jq -e "$2" <"$dir/json" >"$dir/jq" 2>&1; echo $?)"
}
python_with() { # modules: a python3 that has them; Debian's are not seen by another one
	for python in /usr/bin/python3 python3; do
		"$python" -c "import $1" 2>/dev/null && echo "$python" && return
	done
}
