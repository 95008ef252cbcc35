#!/bin/sh
# SPDX-License-Identifier: MIT
# What is there for those who run it: manual pages, units, lines for tmpfiles.
src=${top_srcdir:-.}
name=
plan=4
. "${top_srcdir:-.}/tests/tap.sh"
if command -v mandoc >/dev/null; then
	is "the manual pages of the library pass mandoc's lint" "$(mandoc -T lint -W warning "$src"/lib/*.7 2>&1)" ""
else
	skip "the manual pages of the library pass mandoc's lint" "mandoc is not installed"
fi
# With programs and users that are there.
for file in "$src"/contrib/systemd/*; do
	sed 's|/usr/local/bin/feed|/bin/true|; s|^\(User\|Group\)=feed|\1=root|; s|feed feed -|root root -|' "$file" \
		>"$dir/${file##*/}"
done
if command -v systemd-analyze >/dev/null; then
	is "systemd takes the units" \
		"$(systemd-analyze verify --man=no "$dir"/*.service 2>&1 | grep -F shmring; [ $? = 1 ] && echo yes)" yes
	sed 's/^RemoveIPC=no/RemoveAPC=no/' "$dir/shmring-producer.service" >"$dir/shmring-wrong.service"
	is "it would have told of a setting that it does not know" \
		"$(systemd-analyze verify --man=no "$dir/shmring-wrong.service" 2>&1 | grep -o RemoveAPC)" RemoveAPC
else
	skip "systemd takes the units" "systemd-analyze is not installed"
	skip "it would have told of a setting that it does not know" "systemd-analyze is not installed"
fi
if command -v systemd-tmpfiles >/dev/null && [ "$(id -u)" = 0 ]; then
	mkdir "$dir/root"
	systemd-tmpfiles --root="$dir/root" --create "$dir/shmring.tmpfiles.conf" >"$dir/log" 2>&1
	is "tmpfiles makes the directory, for a group" \
		"$(cat "$dir/log"; stat -c %a "$dir/root/run/feed" 2>&1)" 2770
else
	skip "tmpfiles makes the directory, for a group" "systemd-tmpfiles is not installed, or not run by root"
fi
