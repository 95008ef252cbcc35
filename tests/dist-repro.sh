#!/bin/sh
# SPDX-License-Identifier: MIT
# make dist gives the same bytes from two clones of HEAD, made one after the other, in other
# places, with another umask, time zone and language; and so does the release, unpacked.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
unset MAKEFLAGS MFLAGS MAKELEVEL SOURCE_DATE_EPOCH

packs() { # place, umask, time zone, language
	(
		umask "$2"
		export TZ="$3" LC_ALL="$4"
		mkdir -p "$dir/$1"
		cd "$dir/$1"
		if [ -z "$(ls)" ]; then git clone -q --no-hardlinks "$top" . && autoreconf -i --warnings=none; fi
		./configure --quiet --disable-tools
		make -s dist
	)
}
packs first 022 UTC C.UTF-8
packs second/one 077 Asia/Tokyo C
mkdir "$dir/third"
tar -xJf "$dir"/first/shmring-*.tar.xz -C "$dir/third" --strip-components=1
packs third 002 America/Lima C
sha256sum "$dir"/first/*.tar.xz "$dir"/second/one/*.tar.xz "$dir"/third/*.tar.xz
cmp "$dir"/first/*.tar.xz "$dir"/second/one/*.tar.xz
cmp "$dir"/first/*.tar.xz "$dir"/third/*.tar.xz
echo "the same bytes three times"
