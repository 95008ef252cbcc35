#!/bin/sh
# SPDX-License-Identifier: MIT
# The interface of the shared library: what the map says is what is exported and
# declared, and nothing of it differs from what abi/ has recorded.
src=${top_srcdir:-.}
library=.libs/libshmring.so
name=
plan=
. "${top_srcdir:-.}/tests/tap.sh"
if [ ! -e "$library" ]; then
	echo "1..0 # SKIP: no shared library was built"
	exit 0
fi
echo 1..6
# "shr_ring_open@@SHMRING_0.1", from the map and from the library
awk '/^[A-Z_0-9.]+ \{/ {node = $1} /^\t[a-z_0-9]+;/ {sub(";", ""); print $1 "@@" node}' \
	"$src/lib/shmring.map" >"$dir/in-order"
LC_ALL=C sort "$dir/in-order" >"$dir/map"
nm -D --defined-only --with-symbol-versions "$library" |
	awk '$2 != "A" {print $3}' | LC_ALL=C sort >"$dir/exported"
is "the map is sorted and names nothing twice" "$(LC_ALL=C sort -u "$dir/map" | diff - "$dir/in-order")" ""
is "exported is what the map says, each in the node of its release" "$(diff "$dir/map" "$dir/exported")" ""
is "all of it is declared in a public header" \
	"$(sed 's/@.*//' "$dir/map" | while read -r symbol; do
		grep -q "\\b$symbol(" "$src"/include/shmring/*.h || echo "$symbol"
	done)" ""
is "the last node is this release" "SHMRING_$(sed -n 's/^AC_INIT(\[shmring\], \[\([0-9]*\.[0-9]*\)\..*/\1/p' \
	"$src/configure.ac")" "$(sed -n 's/^\(SHMRING_[0-9.]*\) {/\1/p' "$src/lib/shmring.map" | tail -n 1)"

unset MAKEFLAGS MFLAGS MAKELEVEL
check() { make -s abi-check ABI="$1" 2>&1; }
skip=
if ! command -v abidiff >/dev/null; then skip="abidiff is not installed (Debian: abigail-tools)"
elif ! readelf -h "$library" | grep -q X86-64 || readelf -h "$library" | grep -q ELF32; then
	skip="recorded is the interface on x86-64"
elif ! readelf -S "$library" | grep -q debug_info; then skip="built without debugging information"
fi
if [ -n "$skip" ]; then
	echo "ok 5 - the interface is as recorded # SKIP $skip"
	echo "ok 6 - a change would be seen # SKIP $skip"
	exit 0
fi
is "the interface is as recorded" "$(check "$src/abi/libshmring.abi")" ""
# A member of a public struct that has another type there.
sed "s/\(<var-decl name='capacity' type-id='\)[^']*/\1$(sed -n \
	"s/.*<type-decl name='char' .* id='\([^']*\)'.*/\1/p" "$src/abi/libshmring.abi" | head -n 1)/" \
	"$src/abi/libshmring.abi" >"$dir/other.abi"
is "a change would be seen" "$(check "$dir/other.abi" | grep -o "type of 'char capacity' changed" | sort -u)" \
	"type of 'char capacity' changed"
