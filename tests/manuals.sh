#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual: each function of the headers is on one page, as it is declared, and found by
# its name; examples compile and run; and mandoc(1) has nothing to say.
src=$(cd "${top_srcdir:-.}" && pwd)
name=/shmring-manual-$$
plan=
. "${top_srcdir:-.}/tests/tap.sh"
CC=${CC:-gcc}
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR
LC_ALL=C
export LC_ALL

set -- "$src"/man/*.[357] "$src"/lib/*.7
pages=$*
set -- "$src"/man/*.3
plan=$((6 * $#))
set -- $pages
plan=$((plan + $# + 10))
echo "1..$plan"
not_in() { # lines of the first file that are not in the second one
	sort -u "$1" >"$dir/one"
	sort -u "$2" | comm -23 "$dir/one" -
}
words() { # pattern, files: what matches it as a word
	pattern=$1
	shift
	cat "$@" | tr -c 'A-Za-z0-9_' '\n' | grep -xE "$pattern" | sort -u
}
names() { # page: what its NAME has
	awk '$1 == ".Sh" { name = $2 == "NAME" } name && $1 == ".Nm" { print $2 }' "$1"
}
functions() { awk -v of="$1" -f "$src/tests/manuals.awk" -- "$2"; }
# The programs of EXAMPLES into $dir/1.c ...
programs() {
	awk -v dir="$dir" '
		$1 == ".Sh" { examples = $2 == "EXAMPLES" }
		examples && $0 == ".Bd -literal" { file = dir "/" ++programs ".c"; next }
		$1 == ".Ed" { file = "" }
		file { gsub(/\\e/, "\\"); gsub(/\\&/, ""); gsub(/\\-/, "-"); print >file }
	' "$1"
}
# Compiled as strictly as the library itself, linked, and run.
sanitize=$(sed -n 's/^SHR_SANITIZE = //p' Makefile)
runs() { # program, name of a segment
	# shellcheck disable=SC2086
	$CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror $sanitize -I"$src/include" "$1" \
		-o "$dir/program" -L.libs -lshmring -pthread &&
		LD_BIND_NOW=1 LD_LIBRARY_PATH=.libs timeout 300 "$dir/program" "$2" >"$dir/out"
}

# What there is
: >"$dir/declared"
for header in "$src"/include/shmring/*.h; do
	functions header "$header" | sed "s,^,${header##*/} ,"
done >"$dir/in-headers"
cut -d' ' -f2- "$dir/in-headers" >"$dir/declared"
cut -d' ' -f1 "$dir/declared" >"$dir/functions"
words 'SHR_[A-Z0-9_]*|shr_[a-z0-9_]*' "$src"/include/shmring/*.h >"$dir/known"
for page in "$src"/man/*.3 $pages "$src"/tools/*.1; do
	file=${page##*/}
	echo "${file%.*} ${file##*.}"
done >"$dir/pages"
cut -d' ' -f1 "$dir/pages" >>"$dir/known"
for page in "$src"/man/*.3; do names "$page"; done >"$dir/linked"

# Each page of section 3
for page in "$src"/man/*.3; do
	file=${page##*/}
	header=$(sed -n 's/^\.In //p' "$page" | head -n 1)
	is "$file has all sections" "$(sed -n 's/^\.Sh //p' "$page" | tr '\n' ',')" \
		"NAME,LIBRARY,SYNOPSIS,DESCRIPTION,CRASHES,RETURN VALUES,EXAMPLES,ERRORS,SEE ALSO,"
	functions page "$page" >"$dir/synopsis"
	names "$page" >"$dir/names"
	is "$file: prototypes are those of $header" "$(not_in "$dir/synopsis" "$dir/declared")" ""
	grep "^${header##*/} " "$dir/in-headers" | cut -d' ' -f2 | sort >"$dir/wanted"
	is "$file names each function of $header once" \
		"$(cut -d' ' -f1 "$dir/synopsis" | sort; grep ^shr_ "$dir/names" | sort)" \
		"$(cat "$dir/wanted" "$dir/wanted")"
	words 'SHR_[A-Z0-9_]*[A-Z0-9]' "$page" >"$dir/mentioned"
	sed -n 's/^#define \(SHR_[A-Z0-9_]*[A-Z0-9]\)[( ].*/\1/p' "$src/include/$header" |
		grep -v '^SHR_API$' | sort -u >"$dir/constants"
	is "$file has each constant of $header" "$(not_in "$dir/constants" "$dir/mentioned")" ""
	words 'E[A-Z0-9]{3,}' "$page" >"$dir/mentioned"
	grep -oE '(^|[^A-Za-z-])-E[A-Z0-9]{3,}' "$src/include/$header" | tr -cd 'A-Z0-9\n' | sort -u >"$dir/constants"
	is "$file has each error of $header" "$(not_in "$dir/constants" "$dir/mentioned")" ""
	rm -f "$dir"/*.c
	programs "$page"
	failed=
	for program in "$dir"/*.c; do
		runs "$program" "/shmring-manual-$$-$file" >"$dir/log" 2>&1 || failed="$failed$(cat "$dir/log"; cat "$program")"
	done
	is "$file: the examples run" "$failed" ""
done

# All together
sort "$dir/linked" >"$dir/one"
sort -u "$dir/functions" >"$dir/two"
is "each function is on a page, and has a name there" "$(comm -13 "$dir/one" "$dir/two")" ""
is "nothing is on two" "$(uniq -d "$dir/one")" ""
is "what else has a name is a macro" \
	"$(comm -23 "$dir/one" "$dir/two" | while read -r name; do
		grep -qE "^#define $name[( ]" "$src"/include/shmring/*.h || echo "$name"
	done)" ""
# Declarations and the map: but for what is inline only.
sed -n 's/^\t\(shr_[a-z0-9_]*\);$/\1/p' "$src/lib/shmring.map" | grep -vE '(_slow|_)$' | sort >"$dir/map"
is "the library exports what the headers declare" \
	"$(comm -3 "$dir/map" "$dir/two" | tr -d '\t' | while read -r name; do
		grep -q "^static inline int $name(" "$src"/include/shmring/*.h || echo "$name"
	done)" ""
for page in $pages "$src"/tools/*.1; do
	grep -v '^\.Dt' "$page" | words 'SHR_[A-Z0-9_]*[A-Z0-9]|shr_[a-z0-9_]*[a-z0-9]' >"$dir/mentioned"
	not_in "$dir/mentioned" "$dir/known"
	sed -nE 's/^\.(It )?F[no] (shr_[a-z0-9_]*).*/\2/p' "$page" >"$dir/mentioned"
	not_in "$dir/mentioned" "$dir/functions"
done | sort -u >"$dir/unknown"
is "no page names what does not exist" "$(cat "$dir/unknown")" ""
sed 's/$/ 3/' "$dir/linked" >>"$dir/pages"
is "where pages send one is a page" "$(for page in $pages "$src"/tools/*.1; do
	sed -nE 's/^\.(It )?Xr (sh(mring|r)[^ ]*) ([0-9]).*/\2 \4/p' "$page"
done | sort -u >"$dir/sent"; not_in "$dir/sent" "$dir/pages")" ""
for page in $pages; do
	# Whether other pages are installed here says nothing about this one.
	is "mandoc has nothing to say of ${page##*/}" "$(mandoc -T lint "$page" 2>&1 |
		grep -v -e 'referenced manual not found' -e 'outdated mandoc.db' -e 'mandoc.db: ')" ""
done

# The first program, and what the page says that it leaves
rm -f "$dir"/*.c
programs "$src/man/shmring.7"
runs "$dir/1.c" "/shmring-manual-$$" >"$dir/log" 2>&1
is "the first program runs" "$?$(cat "$dir/log")" 0
if [ -x shmring-dump ]; then
	is "and leaves what shmring(7) shows" "$(./shmring-dump records "/shmring-manual-$$")" \
		"$(grep '^ring @' "$src/man/shmring.7")"
else
	n=$((n + 1))
	echo "ok $n - and leaves what shmring(7) shows # SKIP without the tools"
fi

# Installed
make install DESTDIR="$dir/stage" >"$dir/log" 2>&1
installed=$(find "$dir/stage" -name man3)
is "each name leads to its page" "$(for page in "$src"/man/*.3; do
	names "$page" | while read -r name; do
		[ "$(cat "$installed/$name.3")" = ".so man3/${page##*/}" ] &&
			cmp -s "$page" "$installed/${page##*/}" || echo "$name"
	done
done; cd "$installed" && for file in *; do
	[ -e "$src/man/$file" ] || grep -qx "${file%.3}" "$dir/linked" || echo "$file"
done)" ""
make uninstall DESTDIR="$dir/stage" >>"$dir/log" 2>&1
is "uninstalled, nothing is left" "$(find "$dir/stage" ! -type d)" ""
