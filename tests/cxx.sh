#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring.hpp as each C++ from C++11 on, by each compiler there is: alone, in its test, and in what
# README.md shows; with and without exceptions; and what must not compile does not.
top=${top_srcdir:-.}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/shmring-cxx-XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
n=0
flags="-I$top/include -I$top/tests -Wall -Wextra -Wconversion -Wshadow -Werror"
bare="-fno-exceptions -fno-rtti"

result() { # status, description
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else
		echo "not ok $n - $2"
		sed 's/^/# /' "$tmp/said" | head -n 20
	fi
}
compiles() { # description, command...
	what=$1
	shift
	"$@" >"$tmp/said" 2>&1
	result $? "$what"
}
refused() { # description, what the compiler says, text of a program, command...
	what=$1 sentence=$2
	printf '%s\n' '#include <shmring/shmring.hpp>' '#include <string>' "$3" >"$tmp/refused.cc"
	shift 3
	if "$@" -fsyntax-only "$tmp/refused.cc" >"$tmp/said" 2>&1; then
		result 1 "$what"
	else
		grep -q -e "$sentence" "$tmp/said"
		result $? "$what"
	fi
}

# The programs of README.md, each under the name in its first line.
awk -v dir="$tmp" -f "$top/tests/readme.awk" "$top/README.md" >/dev/null
echo '#include <shmring/shmring.hpp>' >"$tmp/alone.cc"

: >"$tmp/seen"
for cxx in "${CXX:-g++}" g++ clang++ clang++-14 clang++-19; do
	# A compiler of two names is one.
	version=$($cxx --version 2>/dev/null | head -n 1)
	[ -n "$version" ] || continue
	! grep -qxF "$version" "$tmp/seen" || continue
	echo "$version" >>"$tmp/seen"
	for standard in 11 14 17 20; do
		for without in "" "$bare"; do
			name="$cxx C++$standard${without:+ without exceptions}"
			run="$cxx -std=c++$standard $without $flags"
			# shellcheck disable=SC2086
			compiles "$name: the header alone" $run -fsyntax-only "$tmp/alone.cc"
			# Optimised, it can tell more; once will do.
			how=-fsyntax-only
			[ $standard != 17 ] || how="-O2 -c -o /dev/null"
			# shellcheck disable=SC2086
			compiles "$name: the test" $run $how "$top/tests/check_cxx.cc"
		done
		# shellcheck disable=SC2086
		compiles "$cxx C++$standard: README.md" $cxx -std=c++$standard $flags -fsyntax-only "$tmp/readings.cc"
	done
	run="$cxx -std=c++11 -I$top/include"
	# shellcheck disable=SC2086
	{
		refused "$cxx: a struct without a schema" "describe T with SHMRING_SCHEMA" \
			'struct s { int x; }; void f() { shmring::ring<s> r("/s", "+>"); }' $run
		refused "$cxx: a struct that cannot be copied byte by byte" "must be trivially copyable" \
			'struct s { std::string x; }; void f() { shmring::ring<s> r("/s", "+>"); }' $run
		refused "$cxx: what derives from a struct with a schema" "describe T with SHMRING_SCHEMA" \
			'struct s { int x; }; SHMRING_SCHEMA(s, 1, x); struct t : s {};
			void f() { shmring::ring<t> r("/s", "+>"); }' $run
		refused "$cxx: a copy of a handle" "deleted" \
			'shmring::ring<> f(const shmring::ring<> &r) { return r; }' $run
		refused "$cxx: no error_code and no exceptions" "no matching" \
			'void f() { shmring::ring<> r("/s", "+>"); }' $run $bare
		refused "$cxx: a deadline of a clock that can be set" "no matching\|cannot convert\|no viable" \
			'bool f(shmring::producer<> &p) {
			return p.write_until("x", std::chrono::system_clock::now()); }' $run
	}
done
echo "1..$n"
