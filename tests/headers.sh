#!/bin/sh
# SPDX-License-Identifier: MIT
# Every public header alone compiles as C11 and as C++11, with all warnings.
cd "${top_srcdir:-.}" || exit 1
set -- include/shmring/*.h
echo "1..$((2 * $#))"
n=0
one() { # language description, header, command...
	language=$1 header=$2
	shift 2
	n=$((n + 1))
	if printf '#include <%s>\n' "${header#include/}" | "$@" -Iinclude -Wall -Wextra -Werror -fsyntax-only - 2>&1
	then echo "ok $n - $header is $language"
	else echo "not ok $n - $header is $language"
	fi
}
for header; do
	# shellcheck disable=SC2086
	one C11 "$header" ${CC:-gcc} -std=c11 -xc -Wstrict-prototypes
	# shellcheck disable=SC2086
	one C++11 "$header" ${CXX:-g++} -std=c++11 -xc++
done
