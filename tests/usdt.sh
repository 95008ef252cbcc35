#!/bin/sh
# SPDX-License-Identifier: MIT
# A library built with --enable-usdt has the probes that the manual names, with three
# arguments each, and gdb sees them; one built without has none.
src=${top_srcdir:-.}
name=/shmring-usdt-$$
plan=
. "${top_srcdir:-.}/tests/tap.sh"
CC=${CC:-gcc}
if ! echo '#include <sys/sdt.h>' | $CC -E -xc - >/dev/null 2>&1; then
	echo "1..0 # SKIP: no sys/sdt.h (Debian: systemtap-sdt-dev)"
	exit 0
fi
echo 1..5
probes() { # of a file: "name arguments", each once
	readelf -n "$1" 2>/dev/null | awk '
		/^ *Provider:/ {ours = $2 == "shmring"}
		/^ *Name:/ {name = $2}
		/^ *Arguments:/ && ours {print name, gsub(/@/, "")}' | LC_ALL=C sort -u
}
built() {
	options="-std=c11 -O1 -g -fPIC -pthread -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DSHR_USDT"
	for file in "$src"/lib/*.c; do
		# shellcheck disable=SC2086
		$CC $options -I"$src/include" -I"$src/lib" -c "$file" -o "$dir/$(basename "$file").o" || return
	done
	$CC -shared -pthread "$dir"/*.o -o "$dir/libshmring.so" &&
		$CC -std=c11 -I"$src/include" "$src/tests/usdt.c" "$dir"/*.o -pthread -o "$dir/program"
}
built >"$dir/log" 2>&1
is "the library builds with probes" "$(echo $?; cat "$dir/log")" 0
documented=$(sed -n 's/^\.It Li shmring:\([a-z_]*\) .*/\1 3/p' "$src/lib/shmring-deploy.7" | LC_ALL=C sort)
is "they are those of the manual" "$(probes "$dir/libshmring.so")" "$documented"
is "the manual has six at least" "$([ "$(echo "$documented" | wc -l)" -ge 6 ]; echo $?)" 0
if grep -q 'define SHR_USDT' config.h 2>/dev/null; then
	is "the library of this build has them, too" "$(probes .libs/libshmring.so)" "$documented"
else
	is "a library built without has none" "$(probes .libs/libshmring.so)" ""
fi
# gdb stops at them: full is told once each time, not for each try. Not every kernel lets a process be traced.
hit() { # probe, what gdb prints of it
	printf 'break -probe-stap shmring:%s\ncommands\nsilent\nprintf "%s %s\\n", %s\ncontinue\nend\n' \
		"$1" "$1" "$2" "$3"
}
{
	hit create '%s' '(char *)$_probe_arg0'
	hit attach '%s %d' '(char *)$_probe_arg0, (int)$_probe_arg1'
	hit full 'member %d, %d bytes' '(int)$_probe_arg0, (int)$_probe_arg1'
	hit overrun 'member %d lost %d' '(int)$_probe_arg0, (int)$_probe_arg1'
	echo run
} >"$dir/gdb"
trace=$(gdb -q -batch -x "$dir/gdb" --args "$dir/program" "$name" 2>&1)
lost=$(echo "$trace" | sed -n 's/^lost //p')
case $trace in
*"exited normally"*)
	is "gdb stops at them, and sees their arguments" \
		"$(echo "$trace" | grep -E '^(create|attach|full|overrun) '; [ "$lost" -gt 0 ]; echo $?)" \
		"attach /dev/shm$name 1
create /dev/shm$name
full member 1, 8 bytes
full member 1, 8 bytes
full member 1, 8 bytes
overrun member 1 lost $lost
0" ;;
*) echo "ok 5 - gdb stops at them, and sees their arguments # SKIP gdb is not installed or may not trace" ;;
esac
