#!/bin/sh
# SPDX-License-Identifier: MIT
# The library is built for other machines, as shmring-deploy(7) says, and used there: by the
# kernel itself if it runs such programs, else by qemu.
src=${top_srcdir:-.}
project=$(cd "$src/tests/outside" && pwd)
name=/shmring-cross-$$
plan=6
. "${top_srcdir:-.}/tests/tap.sh"
dir=$(cd "$dir" && pwd -P)
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR CC CXX PKG_CONFIG PKG_CONFIG_PATH PKG_CONFIG_LIBDIR
version=$(sed -n 's/^AC_INIT(\[shmring\], \[\(.*\)\])/\1/p' "$src/configure.ac")
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)

# Fast: the shared library alone, not optimized, by a small shell.
built() { # host
	mkdir "$dir/$1" && cd "$dir/$1" &&
		CONFIG_SHELL=/bin/sh /bin/sh "$dir/release/configure" --quiet --host="$1" --disable-tools \
			--disable-static --disable-dependency-tracking --prefix="$dir/$1/installed" \
			CFLAGS=-O0 CXX=no &&
		make -j"$jobs" libshmring.la && make install-libLTLIBRARIES install-data
}
make distdir distdir="$dir/release" >"$dir/log" 2>&1
cross() { # host, what readelf calls it, the program that runs its programs
	if ! command -v "$1-gcc" >/dev/null; then
		for what in builds is runs; do skip "$1: $what" "no $1-gcc"; done
		return
	fi
	(built "$1") >>"$dir/log" 2>&1
	is "$1: builds" $? 0
	lib=$dir/$1/installed/lib
	program=$dir/$1/program
	is "$1: the library is for it" "$(readelf -h "$lib/libshmring.so.0" 2>>"$dir/log" |
		sed -n 's/^ *Machine: *//p')" "$2"
	# shellcheck disable=SC2046
	"$1-gcc" -std=c11 "$project/program.c" -o "$program" \
		$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --cflags --libs shmring) 2>>"$dir/log"
	# Its loader, which need not be where the program looks for it.
	loader=$("$1-gcc" -print-file-name="$(readelf -l "$program" 2>>"$dir/log" |
		sed -n 's/.*interpreter: .*\/\(.*\)]/\1/p')")
	host=$1
	qemu=$3
	set -- "$loader" --library-path "$lib:${loader%/*}" "$program"
	if "$@" >/dev/null 2>&1; [ $? -ne 2 ]; then # not usage: this kernel does not run it
		if ! command -v "$qemu" >/dev/null; then
			skip "$host: a program runs" "no $qemu"
			return
		fi
		set -- "$qemu" "$@"
	fi
	is "$host: a program runs" "$("$@" "$name" 2>&1)" "$version: reading 7 of 21.5"
}
cross aarch64-linux-gnu AArch64 qemu-aarch64
cross i686-linux-gnu "Intel 80386" qemu-i386
