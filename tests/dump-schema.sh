#!/bin/sh
# SPDX-License-Identifier: MIT
# shmring-dump schema: as C that compiles to the same layout, and what differs.
# shellcheck disable=SC2016
name=/shmring-dump-schema-$$
plan=28
. "${top_srcdir:-.}/tests/tap.sh"
src=${top_srcdir:-.}
schema() { # and the exit status, if that is not 0
	./shmring-dump schema "$@" 2>"$dir/err" || echo "$?"
}

# As
./dump-segment make "$name" || exit 1
is "--as=text is the text" "$(schema --as=text "$name")" "$(schema "$name")"
is "--as=json is the JSON" "$(schema --as=json "$name")" "$(schema -o json "$name")"
schema --as=c "$name" >"$dir/types.h"
is "--as=c" "$(grep -v '^$' "$dir/types.h")" '#include <stdint.h>
#include <shmring/schema.h>
/* ring typed: all */
/* 96 bytes, layout 2c8595044f22d630 */
struct all {
	uint64_t u64;
	int64_t i64;
	double f64;
	double nan;
	double inf[2];
	uint32_t u32;
	int32_t i32;
	float f32;
	uint16_t u16[2];
	int16_t i16;
	uint8_t u8;
	int8_t i8;
	char text[16];
	char odd[12];
};
SHR_SCHEMA(all, 7, u64, i64, f64, nan, inf, u32, i32, f32, u16, i16, u8, i8, text, odd);
/* ring plain: untyped */
/* bytes blob: untyped */'
cat >"$dir/attach.c" <<'C'
#include <stdio.h>
#include <shmring/shmring.h>
#include "types.h"

int main(int argc, char **argv)
{
	struct shr_segment_options options = {.struct_size = sizeof(options)};
	struct shr_segment *segment = NULL;
	struct shr_ring *ring = NULL;

	if (argc != 2 || shr_segment_attach(&segment, argv[1], &options) ||
	    shr_ring_attach(&ring, segment, "typed", SHR_SCHEMA_OF(all))) {
		printf("%s\n", shr_last_error());
		return 1;
	}
	printf("%016llx\n", (unsigned long long)shr_schema_hash(SHR_SCHEMA_OF(all)));
	return shr_ring_close(ring) || shr_segment_detach(segment);
}
C
# shellcheck disable=SC2086
${CC:-cc} -std=c11 -Wall -Wextra -Werror -I"$src/include" -I"$dir" -o "$dir/attach" "$dir/attach.c" \
	-L.libs -lshmring -pthread >"$dir/compiled" 2>&1
is "it compiles" "$?$(cat "$dir/compiled")" 0
is "and attaches, with the same hash" "$(LD_LIBRARY_PATH=.libs "$dir/attach" "$name")" \
	"$(schema -o json "$name" | jq -r '.objects[0].schema.hash')"
# Untrusted names and sentences
./dump-segment odd "$name-odd" || exit 1
is "a type that is none in C is left out" "$(schema --as=c "$name-odd" | tail -n 2; cat "$dir/err")" \
	'/* table table: odd{\n"}: its type has a name that is none in C */
1
shmring-dump: table: not in C: its type has a name that is none in C'

# The same type, longer, shorter, changed
types() { # segment, jq filter: "typed" is of the type that it makes
	jq "$2" <"$dir/all.json" >"$dir/other.json"
	./shmring create "$name-$1" --ring="typed,capacity=4k,schema=$dir/other.json" --ring=plain || exit 1
}
schema -o json "$name" | jq '.objects[0].schema | del(.hash)' >"$dir/all.json"
longer='.version = 8 | .size = 112 | .fields += [{name: "more", type: "f64", offset: 96, unit: "s"},
	{name: "two", type: "u32", offset: 104, count: 2}]'
types same .
types longer "$longer"
types changed '.fields[8].type = "i16"'
types renamed '.fields[8].name = "other"'
types named '.name = "others"'
types units '.fields[0].unit = "bytes"'
types comment '.fields[0].help = "*/ int x; /* */*/\"\\??/" | .fields[1].unit = "ns\n"'
schema --as=c "$name-comment" >"$dir/types.h"
# shellcheck disable=SC2086
is "a sentence stays inside of its string" "$(sed -n '/^SHR_SCHEMA/,$p' "$dir/types.h" | sed -n 2,3p)$(
	${CC:-cc} -std=c11 -Wall -Wextra -Werror -I"$src/include" -I"$dir" -fsyntax-only "$dir/attach.c" 2>&1)" \
	'	   (u64, SHR_HELP("*/ int x; /* */*/\042\134\077\077/")),
	   (i64, SHR_UNIT("ns\012")), f64, nan, inf, u32, i32, f32, u16, i16, u8, i8, text, odd);'
is "nothing differs" "$(schema --diff="$name-same" "$name-same")" \
'ring typed: struct all version 7
ring plain: untyped'
is "members at the end go together" "$(schema --diff="$name-longer" "$name-same")" \
'ring typed: struct all version 7; now struct all version 8: they go together
  + more: f64 at 96, s
  + two: u32[2] at 104
ring plain: untyped'
is "also the other way" "$(schema --diff="$name-same" "$name-longer")" \
'ring typed: struct all version 8; now struct all version 7: they go together
  - more: f64 at 96, s
  - two: u32[2] at 104
ring plain: untyped'
is "another type of a member does not" "$(schema --diff="$name-changed" "$name-same")" \
'ring typed: struct all version 7; now struct all version 7: they do not go together
  ~ u16: u16[2] at 60; now i16[2] at 60
ring plain: untyped
7'
is "nor does another name" "$(schema --diff="$name-renamed" "$name-same")" \
'ring typed: struct all version 7; now struct all version 7: they do not go together
  - u16: u16[2] at 60
  + other: u16[2] at 60
ring plain: untyped
7'
is "nor of the type" "$(schema --diff="$name-named" "$name-same" | sed -n '1p;$p')" \
'ring typed: struct all version 7; now struct others version 7: they do not go together
7'
is "a unit is told" "$(schema --diff="$name-units" "$name-same")" \
'ring typed: struct all version 7
  ~ u64: u64 at 0; now u64 at 0, bytes
ring plain: untyped'
is "an object that is not there" "$(schema --diff="$name-same" "$name")" \
'ring typed: struct all version 7
ring plain: untyped
- bytes blob: untyped
7'
is "and one that is new" "$(schema --diff="$name" "$name-same" | tail -n 1)" '+ bytes blob: untyped'
# The same as JSON: what it says of an object, or a member, in a line
differences() {
	schema -o json --diff="$1" "$2" >"$dir/diff"
	sed '/^}/q' "$dir/diff" | jq -c '.together, (.differences[] | [.change, .object, .field, .together,
		(.was, .is | if . then .kind // .type, .schema.name, .schema.version, .offset, .count, .unit | values
			else "none" end)] | map(values))'
	sed '1,/^}/d' "$dir/diff"
}
is "JSON: nothing differs" "$(schema -o jsonl --diff="$name-same" "$name-same")" \
	"{\"v\":1,\"segment\":\"$name-same\",\"other\":\"$name-same\",\"together\":true,\"differences\":[]}"
is "JSON: members at the end" "$(differences "$name-longer" "$name-same")" \
'true
["changed","typed",true,"ring","all",7,"ring","all",8]
["added","typed","more","none","f64",96,"s"]
["added","typed","two","none","u32",104,2]'
is "JSON: the other way" "$(differences "$name-same" "$name-longer" | tail -n 1)" \
	'["removed","typed","two","u32",104,2,"none"]'
is "JSON: another type of a member" "$(differences "$name-changed" "$name-same")" \
'false
["changed","typed",false,"ring","all",7,"ring","all",7]
["changed","typed","u16","u16",60,2,"i16",60,2]
7'
is "JSON: a unit" "$(differences "$name-units" "$name-same")" \
'true
["changed","typed","u64","u64",0,"u64",0,"bytes"]'
is "JSON: an object that is not there" "$(differences "$name-same" "$name")" \
'false
["removed","blob",false,"bytes","none"]
7'
is "JSON: and one that is new" "$(differences "$name" "$name-same")" \
'true
["added","blob",true,"none","bytes"]'
cp "/dev/shm$name-longer" "$dir/image"
is "images on either side" "$(schema --diff="$dir/image" "$name-same" | grep -c '^  +')$(
	schema -r "$dir/image" --diff="$name-same" | grep -c '^  -')$(
	schema --diff=- "$name-same" <"$dir/image" | grep -c '^  +')$(
	schema --diff=fd:3 "$name-same" 3<"$dir/image" | grep -c '^  +')" 2222
is "no such segment" "$(schema --diff="$name-none" "$name"; cat "$dir/err")" "3
shmring-dump: $name-none: cannot open /dev/shm$name-none: No such file or directory"
is "JSON: no such segment" "$(schema -o json --diff="$name-none" "$name")" 3
is "options of another command" "$(./shmring-dump --as=c info "$name" 2>&1; echo $?)
$(./shmring-dump --as=c --diff="$name" schema "$name" 2>&1; echo $?)" \
'shmring-dump: only schema has --as and --diff; not: info; see shmring-dump --help
2
shmring-dump: --diff shows text or JSON; see shmring-dump --help
2'
is "the plan" "$n" $((plan - 1))
