#!/bin/sh
# SPDX-License-Identifier: MIT
#
# alone.sh TEST [ARGUMENT...]: run a test in a /dev/shm and a System V space of its own, where
# this user may have them, so that tests that run side by side do not meet.
#
# There a test of the tools has the programs themselves in the places of libtool's scripts
# that start them, each of which takes ten times as long as what it starts.
if ! unshare -m -i mount -t tmpfs none /dev/shm 2>/dev/null; then
	exec "$@"
fi
case ${1##*/} in
dump*.sh | operate*.sh | format.sh | progress.sh | *locks.sh | *-examples.sh | lines.sh | hostmon.sh)
	programs=
	for file in .libs/*; do
		program=${file#.libs/}
		[ -f "$program" ] && [ -x "$file" ] && programs="$programs $program"
	done
	;;
*) programs= ;;
esac
export programs
# shellcheck disable=SC2016
exec unshare -m -i sh -c '
	mount -t tmpfs none /dev/shm || exit 99
	for program in $programs; do
		mount --bind ".libs/$program" "$program" || exit 99
	done
	if [ "$programs" ]; then
		LD_LIBRARY_PATH=$PWD/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
		export LD_LIBRARY_PATH
	fi
	unset programs
	exec "$@"' sh "$@"
