# SPDX-License-Identifier: MIT
# Processes that are started, stopped and killed, to be sourced after tap.sh.
# shellcheck shell=sh disable=SC2034
limit='timeout 20' # of a command that should end by itself
await() { # command that comes true within 10 seconds
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 1000 ] || return 1
		sleep 0.01
	done
}
state_of() { sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null; }
gone() { case $(state_of "$1") in Z | '') ;; *) false ;; esac }
is_stopped() { [ "$(state_of "$1")" = T ]; }
start() { "$@" </dev/null & started="$started $!"; } # $! is it
forget() { # process that was waited for: its number may be another's soon
	rest=
	for pid in $started; do [ "$pid" = "$1" ] || rest="$rest $pid"; done
	started=$rest
}
ended() { # process: its exit status
	await gone "$1" || kill -9 "$1"
	wait "$1" 2>/dev/null
	code=$?
	forget "$1"
	return $code
}
end() { # signal, process: its exit status
	kill "-$1" "$2"
	ended "$2"
}
stop() { kill -STOP "$1" && await is_stopped "$1"; }
said() { $limit "$@" 2>&1 </dev/null; echo $?; } # and the exit status
bad() { # how a program refuses its options
	$limit "$@" 2>&1 >/dev/null </dev/null | sed -n 's/^\(usage: [^ ]*\).*/\1/p'
	$limit "$@" >/dev/null 2>&1 </dev/null
	echo $?
}
lines() { [ "$(wc -l <"$1")" -ge "$2" ]; } # file, at least so many
random() { od -An -N1 -tu1 /dev/urandom | tr -d ' '; } # 0 to 255
anew() { rm -f "/dev/shm$name"; }
