#!/bin/sh
# SPDX-License-Identifier: MIT
# What a release installs, used by a project outside: by pkg-config, by CMake and by
# hand, shared and static, where it was meant to lie and moved elsewhere.
src=${top_srcdir:-.}
project=$(cd "$src/tests/outside" && pwd)
name=/shmring-outside-$$
plan=25
. "${top_srcdir:-.}/tests/tap.sh"
dir=$(cd "$dir" && pwd -P)
prefix=$dir/prefix stage=$dir/stage moved=$dir/moved
CC=${CC:-gcc} CXX=${CXX:-g++}
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR
unset PKG_CONFIG_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR CMAKE_PREFIX_PATH

# The standard output of a command and what it ended with; its errors into a log.
result() { "$@" 2>>"$dir/log"; echo $?; }

# A release, as it would be unpacked, built elsewhere and installed twice.
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
built() {
	make distdir distdir="$dir/release" &&
		mkdir "$dir/build" && cd "$dir/build" &&
		"$dir/release/configure" --quiet --disable-tools --prefix="$prefix" \
			CC="$CC" CXX="$CXX" CFLAGS=-O0 &&
		make -j"$jobs" && make install && make install DESTDIR="$stage"
}
(built) >"$dir/log" 2>&1
is "a release is built and installed" $? 0
[ -e "$prefix/lib/libshmring.so" ] || { echo "Bail out! nothing is installed"; exit 1; }

version=$(sed -n 's/^AC_INIT(\[shmring\], \[\(.*\)\])/\1/p' "$src/configure.ac")
works="$version: reading 7 of 21.5
0"
export LD_LIBRARY_PATH="$prefix/lib"
pc() { PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config "$@" shmring; }
needed() { readelf -d "$1" 2>>"$dir/log" | sed -n 's/.*(NEEDED).*\[\(libshmring.*\)\]/\1/p'; }

if (cd "$src" && git ls-files --error-unmatch configure.ac) >/dev/null 2>&1; then
	is "a release has all files" "$(cd "$src" && git ls-files | grep -v '^.gitignore$' |
		while read -r file; do [ -e "$dir/release/$file" ] || echo "$file"; done)" ""
else
	skip "a release has all files" "this is one"
fi
is "each public header is installed" "$(cd "$prefix/include/shmring" && ls)" \
	"$(cd "$src/include/shmring" && ls)"
is "each manual page of the library is installed" "$(cd "$prefix/share/man/man7" && ls)" \
	"$(cd "$src" && ls -- lib/*.7 man/*.7 | sed 's,.*/,,' | sort)"
is "nothing installed names the place where it was built" \
	"$(grep -rlF -e "$dir/build" -e "$dir/release" -e "$stage" --include='*.pc' --include='*.cmake' \
		--include='*.h' --include='*.la' "$prefix" "$stage")" ""
is "the library has no run path" "$(readelf -d "$prefix/lib/libshmring.so" | grep -E 'RPATH|RUNPATH')" ""
is "below DESTDIR lies the same" "$(cd "$stage$prefix" && find . | sort)" "$(cd "$prefix" && find . | sort)"

# pkg-config
is "pkg-config knows the version" "$(pc --modversion)" "$version"
# shellcheck disable=SC2046
$CC -std=c11 -Wall -Werror "$project/program.c" -o "$dir/shared" $(pc --cflags --libs) 2>>"$dir/log"
is "pkg-config: builds and runs" "$(result "$dir/shared" "$name")" "$works"
is "it names the library by the number of its interface" "$(needed "$dir/shared")" libshmring.so.0
# shellcheck disable=SC2046
$CC -std=c11 -static "$project/program.c" -o "$dir/static" $(pc --static --cflags --libs) 2>>"$dir/log"
is "pkg-config --static: builds and runs" "$(result "$dir/static" "$name")" "$works"
is "it needs no library at all" "$(readelf -d "$dir/static" | grep NEEDED)" ""
is "pkg-config --static names the threads" "$(pc --static --libs | grep -o -e -pthread)" -pthread
# shellcheck disable=SC2046
$CXX -std=c++11 -Wall -Werror "$project/program.cc" -o "$dir/cxx" $(pc --cflags --libs) 2>>"$dir/log"
is "pkg-config: C++ builds and runs" "$(result "$dir/cxx")" "$version: schema of reading
0"

# By hand, without any of them
$CC -std=c11 -I"$prefix/include" "$project/program.c" "$prefix/lib/libshmring.a" -pthread -o "$dir/hand" \
	2>>"$dir/log"
is "a static library named by hand: builds and runs" "$(result "$dir/hand" "$name")" "$works"
is "it does not need the shared one" "$(needed "$dir/hand")" ""

# Staged, as in a package or a sysroot
# shellcheck disable=SC2046
$CC -std=c11 "$project/program.c" -o "$dir/staged" $(PKG_CONFIG_SYSROOT_DIR=$stage \
	PKG_CONFIG_LIBDIR=$stage$prefix/lib/pkgconfig pkg-config --cflags --libs shmring) 2>>"$dir/log"
mv "$prefix" "$moved" # so that nothing else is found
is "pkg-config in a sysroot: builds and runs" \
	"$(LD_LIBRARY_PATH=$stage$prefix/lib result "$dir/staged" "$name")" "$works"
mv "$moved" "$prefix"

# CMake
cmake_builds() { # where shmring lies, where to build; further options
	where=$1 to=$2
	shift 2
	cmake -S "$project" -B "$to" -DCMAKE_PREFIX_PATH="$where" -DCMAKE_C_COMPILER="$CC" \
		-DCMAKE_CXX_COMPILER="$CXX" "$@" >>"$dir/log" 2>&1 &&
		cmake --build "$to" >>"$dir/log" 2>&1
}
if command -v cmake >/dev/null; then
	unset LD_LIBRARY_PATH # CMake gives the programs a run path
	cmake_builds "$prefix" "$dir/cmake"
	is "CMake: builds and runs" "$(result "$dir/cmake/shared" "$name")" "$works"
	is "it needs the shared library" "$(needed "$dir/cmake/shared")" libshmring.so.0
	is "CMake, C++: builds and runs" "$(result "$dir/cmake/cxx")" "$version: schema of reading
0"
	is "CMake, shmring_static: builds and runs, and needs no shared one" \
		"$(result "$dir/cmake/static" "$name"; needed "$dir/cmake/static")" "$works"
	mv "$prefix" "$moved"
	rm "$moved"/lib/libshmring.so*
	cmake_builds "$moved" "$dir/cmake-moved"
	is "CMake: moved elsewhere, and only the static library" \
		"$(result "$dir/cmake-moved/shared" "$name"; needed "$dir/cmake-moved/shared")" "$works"
	refused() { # a version: what CMake says of it
		sed "s/find_package(shmring 0.1/find_package(shmring $1/" "$project/CMakeLists.txt" >"$dir/CMakeLists.txt"
		cp "$project"/program.* "$dir"
		cmake -S "$dir" -B "$dir/cmake-$1" -DCMAKE_PREFIX_PATH="$moved" 2>&1 |
			grep -c -e 'compatible with requested version' -e "shmring-config.cmake, version: $version\$"
	}
	is "CMake: a release to come is refused" "$(refused 0.9; refused 1.0)" "2
2"
	mkdir "$dir/bare"
	cp -r "$moved/lib/cmake" "$dir/bare"
	is "CMake: without a library it is not found, and says why" \
		"$(cmake -S "$project" -B "$dir/cmake-bare" -Dshmring_DIR="$dir/bare/cmake/shmring" 2>&1 |
			grep -c 'no libshmring.so or libshmring.a')" 1
	mv "$moved" "$prefix"
else
	for what in shared needed C++ static moved version bare; do
		skip "CMake: $what" "cmake is not installed"
	done
fi

(cd "$dir/build" && make uninstall && make uninstall DESTDIR="$stage") >>"$dir/log" 2>&1
is "make uninstall leaves nothing" "$(find "$prefix" "$stage" ! -type d)" ""
