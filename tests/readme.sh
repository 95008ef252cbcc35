#!/bin/sh
# SPDX-License-Identifier: MIT
# README.md keeps its word: what it shows of C and C++ compiles without a warning, its
# commands run one after the other against an installation in a temporary directory, and
# print what it says. What is not run says so in a comment before it, and why: of that only
# is seen that there are such commands, but for the demo, which is run without ./bootstrap.
# shellcheck disable=SC2046,SC2086,SC2016
top=$(cd "${top_srcdir:-.}" && pwd)
if grep -q '^SHR_SANITIZE = .' Makefile; then
	echo "1..0 # SKIP programs outside are built without the sanitizer of this library"
	exit 0
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/shmring-readme-XXXXXX") || exit 1
name=readings-$$
trap 'rm -rf "$tmp" "/dev/shm/$name"' EXIT
trap 'exit 1' HUP INT TERM
CC=${CC:-gcc} CXX=${CXX:-g++}
unset MAKEFLAGS MFLAGS MAKELEVEL PKG_CONFIG_PATH
n=0
result() { # status, description
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else
		echo "not ok $n - $2"
		sed 's/^/# /' "$tmp/said" | head -n 20
	fi
}
skip() { # description, why
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# An installation, in which /readings is a name that nobody else has.
stage=$tmp/stage
work=$tmp/work
mkdir "$work" "$tmp/bin"
make -s install DESTDIR="$stage" >"$tmp/said" 2>&1
result $? "it can be installed"
printf '#!/bin/sh\nexec %s "$@"\n' "$CC" >"$tmp/bin/cc"
printf '#!/bin/sh\nexec %s "$@"\n' "$CXX" >"$tmp/bin/c++"
chmod +x "$tmp/bin/cc" "$tmp/bin/c++"
value() { sed -n "s/^$1=//p" lib/shmring.pc | sed "s,\${exec_prefix},$prefix,; s,\${prefix},$prefix,"; }
prefix=$(sed -n 's/^prefix=//p' lib/shmring.pc)
libdir=$(value libdir)
if [ ! -e "$stage$libdir/libshmring.so" ] || [ ! -e "$stage$libdir/libshmring.a" ]; then
	skip "the rest" "only one of the shared and the static library is built"
	echo "1..$n"
	exit 0
fi
export PATH="$tmp/bin:$stage$prefix/bin:$PATH" LD_LIBRARY_PATH="$stage$libdir"
export PKG_CONFIG_LIBDIR="$stage$libdir/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$stage"
sed "s,\([\" ]\)/readings\\b,\1/$name,g" "$top/README.md" >"$tmp/README.md"
awk -v dir="$work" -f "$top/tests/readme.awk" "$tmp/README.md" >"$tmp/blocks"
awk '/^```/ { inside = !inside } !inside && /^(    |\t)/ { print NR ": " $0 }' "$top/README.md" >"$tmp/said"
result "$([ ! -s "$tmp/said" ]; echo $?)" "each example is in a fenced block"

# All programs, and then all the rest, in the order of the page.
compiled() { # file
	case $1 in
	*.h) $CC -std=c11 -Wall -Wextra -Werror -fsyntax-only -x c "$1" $(pkg-config --cflags shmring) ;;
	*.c) $CC -std=c11 -Wall -Wextra -Werror -o "${1%.*}" "$1" $(pkg-config --cflags --libs shmring) ;;
	*.cc) $CXX -std=c++11 -Wall -Wextra -Werror -o "${1%.*}" "$1" $(pkg-config --cflags --libs shmring) ;;
	*) echo "the first line of the block names no file" && false ;;
	esac
}
while read -r line language file comment; do
	case $language in
	c | cpp)
		(cd "$work" && compiled "$file") >"$tmp/said" 2>&1
		result $? "line $line: $file compiles without a warning"
		;;
	esac
done <"$tmp/blocks"
known() { # a line of a block that is not run
	read -r command argument rest <<-END
		$(echo "$1" | sed 's/ *#.*//')
	END
	case $command$rest in
	./bootstrap) sh "$top/bootstrap" help | grep -E "^  \./bootstrap${argument:+ $argument}( |\$)" ;;
	make) make -n "$argument" ;;
	*) echo "not known: $1" && false ;;
	esac
}
all_known() { # file
	while read -r asked; do known "$asked" || return; done <"$1"
}
: >"$tmp/out"
while read -r line language file comment; do
	what="line $line: $(head -n 1 "$work/$line" | sed 's/ *#.*//')"
	case "$language $comment" in
	c\ * | cpp\ *) ;;
	"sh not run: "*)
		all_known "$work/$line" >"$tmp/said" 2>&1
		result $? "$what ... can be asked for ($comment)"
		;;
	sh\ )
		(cd "$work" && timeout 60 sh -eu "$line") >"$tmp/out" 2>&1
		status=$?
		cp "$tmp/out" "$tmp/said"
		result $status "$what ... runs"
		;;
	text\ )
		diff "$work/$line" "$tmp/out" >"$tmp/said"
		result $? "line $line: it prints what is shown"
		;;
	cmake\ )
		if command -v cmake >/dev/null; then
			mkdir "$work/cmake"
			{
				printf '%s\n' 'cmake_minimum_required(VERSION 3.13)' 'project(readme C)' \
					'set(CMAKE_C_STANDARD 11)' 'add_executable(program ../consumer.c)'
				cat "$work/$line"
			} >"$work/cmake/CMakeLists.txt"
			(cd "$work/cmake" && cmake -DCMAKE_PREFIX_PATH="$stage$prefix" -DCMAKE_C_COMPILER="$CC" . &&
				cmake --build . && ./program) >"$tmp/said" 2>&1
			result $? "$what ... builds and runs"
		else
			skip "$what" "cmake is not installed"
		fi
		;;
	*)
		echo "$language: $comment" >"$tmp/said"
		result 1 "$what is of a kind that this test knows"
		;;
	esac
done <"$tmp/blocks"
for program in $(awk '$3 ~ /\.cc?$/ { sub(/\..*/, "", $3); print $3 }' "$tmp/blocks"); do
	(cd "$work" && grep -F -e "./$program" $(awk '$2 == "sh" { print $1 }' "$tmp/blocks")) >"$tmp/said"
	result $? "$program is run by one of them"
done

if command -v jq >/dev/null; then
	timeout 120 sh "$top/examples/demo.sh" >"$tmp/shown" 2>&1
	status=$?
	tail -n 20 "$tmp/shown" >"$tmp/said"
	result $status "./bootstrap demo: what it shows works"
	sed -n '/^<!-- bench -->$/,/^<!-- end of bench -->$/p' "$top/README.md" | sed '1d;$d' >"$tmp/shown"
	"$top/tests/bench/report.sh" table "$top/tests/bench/bench-results.json" | diff - "$tmp/shown" >"$tmp/said"
	result $? "the figures are those of bench-results.json (make bench-report)"
else
	skip "./bootstrap demo: what it shows works" "jq is not installed"
	skip "the figures are those of bench-results.json" "jq is not installed"
fi
for file in $(sed -n 's/.*](\([^)]*\)).*/\1/p' "$top/README.md") \
	$(grep -o '`\(examples\|tests\)/[^`]*`' "$top/README.md" | tr -d '`'); do
	[ -e "$top/$file" ] || echo "$file"
done >"$tmp/said"
result "$([ ! -s "$tmp/said" ]; echo $?)" "each file that it names is there"
echo "1..$n"
