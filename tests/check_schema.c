/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include <shmring/shmring.h>

#include "fixture.h"
#include "reseal.h"

enum side { BUY, SELL };
struct order {
	uint64_t id;
	double px;
	uint32_t qty;
	enum side side;
	uint8_t flags[2];
	char sym[8];
	bool live;
	signed char level;
	int16_t tick;
	uint16_t book;
	float ratio[4];
	int64_t delta;
};
SHR_SCHEMA(order, 1, id, px, qty, side, flags, sym, live, level, tick, book, ratio, delta);

const struct shr_schema *cxx_schema(void);
const struct shr_schema *cxx_noted_schema(void);

#define ROW(n, o, c, k) {.name = n, .offset = o, .count = c, .kind = k}

START_TEST(macro_finds_kind_offset_and_count)
{
	const struct shr_schema *schema = SHR_SCHEMA_OF(order);
	static const struct shr_field expected[] = {
		ROW("id", 0, 0, SHR_KIND_U64),	   ROW("px", 8, 0, SHR_KIND_F64),
		ROW("qty", 16, 0, SHR_KIND_U32),   ROW("side", 20, 0, SHR_KIND_U32),
		ROW("flags", 24, 2, SHR_KIND_U8),  ROW("sym", 26, 8, SHR_KIND_CHAR),
		ROW("live", 34, 0, SHR_KIND_U8),   ROW("level", 35, 0, SHR_KIND_I8),
		ROW("tick", 36, 0, SHR_KIND_I16),  ROW("book", 38, 0, SHR_KIND_U16),
		ROW("ratio", 40, 4, SHR_KIND_F32), ROW("delta", 56, 0, SHR_KIND_I64),
	};

	ck_assert_str_eq(schema->name, "order");
	ck_assert_uint_eq(schema->version, 1);
	ck_assert_uint_eq(schema->size, sizeof(struct order));
	ck_assert_uint_eq(schema->field_count, sizeof(expected) / sizeof(expected[0]));
	for (uint32_t i = 0; i < schema->field_count; i++) {
		ck_assert_str_eq(schema->fields[i].name, expected[i].name);
		ck_assert_uint_eq(schema->fields[i].offset, expected[i].offset);
		ck_assert_uint_eq(schema->fields[i].count, expected[i].count);
		ck_assert_uint_eq(schema->fields[i].kind, expected[i].kind);
	}
}
END_TEST

START_TEST(c_and_cxx_give_the_same_hash)
{
	/* The number itself is part of the format: it must never change. */
	ck_assert_uint_eq(shr_schema_hash(SHR_SCHEMA_OF(order)), shr_schema_hash(cxx_schema()));
	ck_assert_int_eq(shr_schema_match(SHR_SCHEMA_OF(order), cxx_schema()), 0);
	ck_assert_uint_eq(shr_schema_hash(NULL), 0);
}
END_TEST

START_TEST(hash_depends_on_every_part)
{
	struct shr_field fields[12];
	struct shr_schema schema = *SHR_SCHEMA_OF(order);
	uint64_t hash = shr_schema_hash(&schema);

	memcpy(fields, schema.fields, sizeof(fields));
	schema.fields = fields;
	ck_assert_uint_eq(shr_schema_hash(&schema), hash);
	fields[3].kind = SHR_KIND_I32;
	ck_assert_uint_ne(shr_schema_hash(&schema), hash);
	fields[3] = SHR_SCHEMA_OF(order)->fields[3];
	fields[4].count = 3;
	ck_assert_uint_ne(shr_schema_hash(&schema), hash);
	fields[4] = SHR_SCHEMA_OF(order)->fields[4];
	fields[5].offset++;
	ck_assert_uint_ne(shr_schema_hash(&schema), hash);
	fields[5] = SHR_SCHEMA_OF(order)->fields[5];
	fields[0].name = "ident";
	ck_assert_uint_ne(shr_schema_hash(&schema), hash);
}
END_TEST

START_TEST(a_longer_version_matches_both_ways)
{
	struct shr_schema shorter = *SHR_SCHEMA_OF(order);

	shorter.field_count = 4;
	shorter.size = 24;
	ck_assert_int_eq(shr_schema_match(&shorter, SHR_SCHEMA_OF(order)), 0);
	ck_assert_int_eq(shr_schema_match(SHR_SCHEMA_OF(order), &shorter), 0);
}
END_TEST

START_TEST(mismatch_names_the_member)
{
	struct shr_field fields[12];
	struct shr_schema other = *SHR_SCHEMA_OF(order);

	memcpy(fields, other.fields, sizeof(fields));
	other.fields = fields;
	fields[2].kind = SHR_KIND_U64;
	ck_assert_int_eq(shr_schema_match(SHR_SCHEMA_OF(order), &other), -EPROTOTYPE);
	ck_assert_str_eq(shr_last_error(), "qty: u32@16 here, u64@16 in the segment");
	fields[2].kind = SHR_KIND_U32;
	fields[2].name = "amount";
	ck_assert_int_eq(shr_schema_match(SHR_SCHEMA_OF(order), &other), -EPROTOTYPE);
	ck_assert_ptr_nonnull(strstr(shr_last_error(), "amount"));
	fields[2].name = "qty";
	other.name = "trade";
	ck_assert_int_eq(shr_schema_match(SHR_SCHEMA_OF(order), &other), -EPROTOTYPE);
	ck_assert_str_eq(shr_last_error(), "the records are order here, trade in the segment");
	ck_assert_int_eq(shr_schema_match(SHR_SCHEMA_OF(order), NULL), -EPROTOTYPE);
	ck_assert_int_eq(shr_schema_match(NULL, SHR_SCHEMA_OF(order)), -EPROTOTYPE);
	ck_assert_int_eq(shr_schema_match(NULL, NULL), 0);
}
END_TEST

/* --- What people and tools are told ------------------------------------------- */

struct noted {
	uint64_t id;
	double px;
	uint32_t qty;
	int16_t side;
	uint8_t flags[2];
};
static const struct shr_enum_name sides[] = {{-1, "sell"}, {1, "buy"}, {1, "bid"}};
static const struct shr_enum_name bits[] = {{0, "none"}, {255, "all"}};
SHR_SCHEMA(noted, 3, id, (px, SHR_UNIT("USD"), SHR_HELP("limit")), (qty, SHR_SINCE(2)),
	   (side, SHR_ENUM(sides)), (flags, SHR_ENUM(bits), SHR_SINCE(3), SHR_HELP("set, or not")));

static void same_text(const char *is, const char *expected)
{
	if (expected)
		ck_assert_pstr_eq(is, expected);
	else
		ck_assert_ptr_null(is);
}

static void same_field(const struct shr_field *is, const struct shr_field *expected)
{
	same_text(is->name, expected->name);
	same_text(is->unit, expected->unit);
	same_text(is->help, expected->help);
	ck_assert_uint_eq(is->offset, expected->offset);
	ck_assert_uint_eq(is->count, expected->count);
	ck_assert_uint_eq(is->kind, expected->kind);
	ck_assert_uint_eq(is->since, expected->since);
	ck_assert_uint_eq(is->name_count, expected->name_count);
	for (uint32_t i = 0; i < is->name_count; i++) {
		ck_assert_int_eq(is->names[i].value, expected->names[i].value);
		ck_assert_str_eq(is->names[i].name, expected->names[i].name);
	}
}

static void is_noted(const struct shr_schema *schema)
{
	static const struct shr_field expected[] = {
		ROW("id", 0, 0, SHR_KIND_U64),
		{.name = "px", .offset = 8, .kind = SHR_KIND_F64, .unit = "USD", .help = "limit"},
		{.name = "qty", .offset = 16, .kind = SHR_KIND_U32, .since = 2},
		{.name = "side", .offset = 20, .kind = SHR_KIND_I16, .names = sides, .name_count = 3},
		{.name = "flags", .offset = 22, .count = 2, .kind = SHR_KIND_U8, .since = 3,
		 .help = "set, or not", .names = bits, .name_count = 2}};

	ck_assert_str_eq(schema->name, "noted");
	ck_assert_uint_eq(schema->version, 3);
	ck_assert_uint_eq(schema->size, sizeof(struct noted));
	ck_assert_uint_eq(schema->field_count, 5);
	for (uint32_t i = 0; i < 5; i++)
		same_field(&schema->fields[i], &expected[i]);
}

START_TEST(notes_are_the_same_from_c_and_cxx)
{
	is_noted(SHR_SCHEMA_OF(noted));
	is_noted(cxx_noted_schema());
}
END_TEST

START_TEST(notes_are_no_part_of_the_layout)
{
	struct shr_field fields[5];
	struct shr_schema bare = *SHR_SCHEMA_OF(noted);

	for (int i = 0; i < 5; i++)
		fields[i] = (struct shr_field){.name = bare.fields[i].name,
					       .offset = bare.fields[i].offset,
					       .count = bare.fields[i].count,
					       .kind = bare.fields[i].kind};
	bare.fields = fields;
	ck_assert_uint_eq(shr_schema_hash(&bare), shr_schema_hash(SHR_SCHEMA_OF(noted)));
	ck_assert_int_eq(shr_schema_match(&bare, SHR_SCHEMA_OF(noted)), 0);
	ck_assert_int_eq(shr_schema_match(SHR_SCHEMA_OF(noted), &bare), 0);
}
END_TEST

START_TEST(a_value_has_its_first_name)
{
	const struct shr_field *fields = SHR_SCHEMA_OF(noted)->fields;

	ck_assert_str_eq(shr_field_enum_name(&fields[3], 1), "buy");
	ck_assert_str_eq(shr_field_enum_name(&fields[3], -1), "sell");
	ck_assert_ptr_null(shr_field_enum_name(&fields[3], 0));
	ck_assert_ptr_null(shr_field_enum_name(&fields[3], 65535));
	ck_assert_ptr_null(shr_field_enum_name(&fields[0], 0));
}
END_TEST

/* A segment with one ring of @schema. */
static int make(const struct shr_schema *schema)
{
	struct shr_ring_options ring = {
		.struct_size = sizeof(ring), .schema = schema, .capacity = 4096};
	struct shr_segment_options options = {.struct_size = sizeof(options)};
	struct shr_segment *segment = NULL;
	struct shr_object object;
	int err = shr_ring_describe(&object, "records", &ring);

	if (!err)
		err = shr_segment_create(&segment, name, &object, 1, &options);
	if (!err)
		shr_segment_detach(segment);
	return err;
}

static void a_segment_has_noted(void)
{
	struct shr_inspect *inspect = NULL;
	struct shr_object_info object;

	MUST(shr_inspect_open(&inspect, name));
	MUST(shr_inspect_object(inspect, 0, &object));
	is_noted(object.schema);
	shr_inspect_close(inspect);
}

START_TEST(a_segment_keeps_the_notes)
{
	MUST(make(SHR_SCHEMA_OF(noted)));
	a_segment_has_noted();
}
END_TEST

/* --- What is refused ---------------------------------------------------------- */

#define ROW0(k) .name = "v", .kind = (k)
#define NAMES(...) .names = (const struct shr_enum_name[]){__VA_ARGS__}
static const struct {
	struct shr_field field;
	const char *sentence;
} refused[] = {
	{{ROW0(SHR_KIND_F64), NAMES({0, "a"}), .name_count = 1}, "is no integer"},
	{{ROW0(SHR_KIND_CHAR), .count = 8, NAMES({0, "a"}), .name_count = 1}, "is no integer"},
	{{ROW0(SHR_KIND_U64), NAMES({0, ""}), .name_count = 1}, "has a name that is none"},
	{{ROW0(SHR_KIND_U64), NAMES({0, NULL}), .name_count = 1}, "has a name that is none"},
	{{ROW0(SHR_KIND_U64), NAMES({0, "7a"}), .name_count = 1}, "has a name that is none"},
	{{ROW0(SHR_KIND_U64), NAMES({0, "-a"}), .name_count = 1}, "has a name that is none"},
	{{ROW0(SHR_KIND_U64), NAMES({0, "+a"}), .name_count = 1}, "has a name that is none"},
	{{ROW0(SHR_KIND_U64), NAMES({0, ".a"}), .name_count = 1}, "has a name that is none"},
	{{ROW0(SHR_KIND_U64),
	  NAMES({0, "a234567890123456789012345678901234567890123456789012345678901234"}),
	  .name_count = 1},
	 "has a name that is none"},
	{{ROW0(SHR_KIND_U64), NAMES({0, "a"}, {1, "b"}, {2, "a"}), .name_count = 3},
	 "two values of member v are named a"},
	{{ROW0(SHR_KIND_U64), .name_count = 1}, "names more than 1024 values, or none of many"},
	{{ROW0(SHR_KIND_U64), NAMES({0, "a"}), .name_count = 1025}, "more than 1024 values"},
	{{ROW0(SHR_KIND_U8), .count = 8, NAMES({256, "a"}), .name_count = 1},
	 "is u8, which cannot be 256, named a"},
	{{ROW0(SHR_KIND_U8), .count = 8, NAMES({-1, "a"}), .name_count = 1}, "cannot be -1"},
	{{ROW0(SHR_KIND_I8), .count = 8, NAMES({128, "a"}), .name_count = 1}, "cannot be 128"},
	{{ROW0(SHR_KIND_I8), .count = 8, NAMES({-129, "a"}), .name_count = 1}, "cannot be -129"},
	{{ROW0(SHR_KIND_I32), .count = 2, NAMES({INT64_C(1) << 31, "a"}), .name_count = 1},
	 "cannot be 2147483648"},
	{{ROW0(SHR_KIND_U32), .count = 2, NAMES({INT64_C(1) << 32, "a"}), .name_count = 1},
	 "cannot be 4294967296"},
};
#define REFUSED ((int)(sizeof(refused) / sizeof(refused[0])))

START_TEST(names_that_cannot_be_are_refused)
{
	const struct shr_schema schema = {.struct_size = sizeof(schema),
					  .field_size = sizeof(struct shr_field),
					  .name = "one",
					  .size = 8,
					  .field_count = 1,
					  .fields = &refused[_i].field};

	ck_assert_int_eq(make(&schema), -EINVAL);
	ck_assert_msg(strstr(shr_last_error(), refused[_i].sentence) != NULL, "%s",
		      shr_last_error());
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* All members together have the bound of one. */
START_TEST(names_of_all_members_have_a_bound)
{
	static char text[SHR_ENUM_NAMES_MAX][8];
	static struct shr_enum_name names[SHR_ENUM_NAMES_MAX];
	struct shr_field fields[] = {
		{.name = "a", .kind = SHR_KIND_U64, .names = names, .name_count = SHR_ENUM_NAMES_MAX - 1},
		{.name = "b", .offset = 8, .kind = SHR_KIND_U64, .names = names, .name_count = 2}};
	const struct shr_schema schema = {.struct_size = sizeof(schema),
					  .field_size = sizeof(fields[0]),
					  .name = "two",
					  .size = 16,
					  .field_count = 2,
					  .fields = fields};

	for (int i = 0; i < SHR_ENUM_NAMES_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "v%d", i);
		names[i] = (struct shr_enum_name){i, text[i]};
	}
	ck_assert_int_eq(make(&schema), -EINVAL);
	ck_assert_ptr_nonnull(strstr(shr_last_error(), "more than 1024 values"));
	fields[1].name_count = 1;
	MUST(make(&schema));
}
END_TEST

START_TEST(all_values_that_a_kind_has_may_have_names)
{
	static const struct shr_enum_name of_u8[] = {{0, "least"}, {255, "most"}},
					  of_i8[] = {{-128, "least"}, {127, "most"}},
					  of_u64[] = {{0, "least"}, {-1, "most"}},
					  of_i64[] = {{INT64_MIN, "least"}, {INT64_MAX, "most"}};
	const struct shr_field fields[] = {
		{.name = "a", .kind = SHR_KIND_U8, .count = 4, .names = of_u8, .name_count = 2},
		{.name = "b", .offset = 4, .kind = SHR_KIND_I8, .count = 4, .names = of_i8,
		 .name_count = 2},
		{.name = "c", .offset = 8, .kind = SHR_KIND_U64, .names = of_u64, .name_count = 2},
		{.name = "d", .offset = 16, .kind = SHR_KIND_I64, .names = of_i64, .name_count = 2}};
	const struct shr_schema schema = {.struct_size = sizeof(schema),
					  .field_size = sizeof(fields[0]),
					  .name = "limits",
					  .size = 24,
					  .field_count = 4,
					  .fields = fields};
	struct shr_inspect *inspect = NULL;
	struct shr_object_info object;

	MUST(make(&schema));
	MUST(shr_inspect_open(&inspect, name));
	MUST(shr_inspect_object(inspect, 0, &object));
	for (int i = 0; i < 4; i++)
		same_field(&object.schema->fields[i], &fields[i]);
	shr_inspect_close(inspect);
}
END_TEST

/* --- Damage, whose checksum is right ------------------------------------------- */

/* The schema in an image of a segment of "noted"; its parts. */
struct stored {
	struct shm_schema *schema;
	struct shm_field *fields;
	char *strings;
	struct shm_enum_name *names;
};

static void damage(const struct stored *is, int which)
{
	switch (which) {
	case 0:
		is->schema->enum_names = SHR_ENUM_NAMES_MAX + 1;
		break;
	case 1: /* its fifth name is beyond the names */
		is->schema->enum_names = 4;
		break;
	case 2:
		is->fields[3].enum_name = 3;
		break;
	case 3:
		is->fields[3].enum_name = UINT32_MAX;
		break;
	case 4:
		is->fields[3].enum_names = 6;
		break;
	case 5:
		is->fields[3].enum_names = UINT32_MAX;
		break;
	case 6:
		is->names[0].name = is->schema->strings;
		break;
	case 7:
		is->names[4].name = UINT32_MAX;
		break;
	case 8: /* no name: the end of the one before */
		is->names[1].name--;
		break;
	case 9:
		is->strings[is->names[1].name] = '7';
		break;
	case 10:
		is->names[1].name = is->names[0].name;
		break;
	case 11:
		is->names[0].value = 32768;
		break;
	case 12: /* of a double */
		is->fields[1].enum_names = 1;
		break;
	case 13:
		is->fields[0].unit = is->schema->strings;
		break;
	case 14:
		is->fields[0].help = UINT32_MAX;
		break;
	case 15:
		is->fields[4].name = UINT32_MAX;
		break;
	case 16:
		is->schema->name = UINT32_MAX;
		break;
	case 17: /* the last string has no end */
		is->strings[is->schema->strings - 1] = 'x';
		break;
	case 18: /* one more than there are */
		is->schema->enum_names = 6;
		break;
	default:
		is->schema->strings = SHR_SCHEMA_TEXT_MAX + 1;
	}
}
#define DAMAGES 20

START_TEST(damaged_names_are_refused)
{
	static _Alignas(8) char image[65536];
	const struct shm_header *header = (const void *)image;
	struct shr_segment *segment = NULL;
	struct stored is;
	ssize_t size;
	int fd;

	MUST(make(SHR_SCHEMA_OF(noted)));
	fd = open(path, O_RDWR);
	size = read(fd, image, sizeof(image));
	ck_assert_int_gt(size, 8192);
	ck_assert_uint_le(header->schema_offset + header->schema_size, (uint64_t)size);
	is.schema = (struct shm_schema *)(image + header->schema_offset);
	is.fields = (struct shm_field *)(is.schema + 1);
	is.strings = (char *)(is.fields + 5);
	is.names = (struct shm_enum_name *)(is.strings + ((is.schema->strings + 7) & ~7u));
	ck_assert_uint_eq(is.schema->enum_names, 5);
	ck_assert_str_eq(is.strings + is.names[1].name, "buy");
	damage(&is, _i);
	reseal_image(image, (size_t)size);
	ck_assert_int_eq(pwrite(fd, image, (size_t)size, 0), size);
	close(fd);
	ck_assert_int_eq(shr_segment_attach(&segment, name, NULL), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(shr_last_error(), "schema"));
}
END_TEST

/* One member, with a sentence that is filled in by who uses it. */
static char help[65600];
static const struct shr_field long_field = {.name = "v", .kind = SHR_KIND_U64, .help = help};
static const struct shr_schema long_schema = {.struct_size = sizeof(long_schema),
					      .field_size = sizeof(long_field),
					      .name = "long",
					      .size = 8,
					      .field_count = 1,
					      .fields = &long_field};

/* What cannot be read again is not written. */
START_TEST(texts_have_a_bound)
{
	struct shr_segment *segment = NULL;

	/* "long" and "v" have 7 bytes of the 65,536 with their zeros. */
	memset(help, 'h', 65528);
	MUST(make(&long_schema));
	MUST(shr_segment_attach(&segment, name, NULL));
	shr_segment_detach(segment);
	unlink(path);
	help[65528] = 'h';
	ck_assert_int_eq(make(&long_schema), -EINVAL);
	ck_assert_str_eq(shr_last_error(),
			 "the texts of the schema have 65537 bytes, and 65536 are possible");
}
END_TEST

START_TEST(schemas_of_all_objects_have_a_bound)
{
	struct shr_ring_options ring = {
		.struct_size = sizeof(ring), .schema = &long_schema, .capacity = 4096};
	struct shr_segment *segment = NULL;
	struct shr_object objects[20];

	memset(help, 'h', 64999);
	for (int i = 0; i < 20; i++) {
		char object[8];

		snprintf(object, sizeof(object), "r%d", i);
		MUST(shr_ring_describe(&objects[i], object, &ring));
	}
	ck_assert_int_eq(shr_segment_create(&segment, name, objects, 20, NULL), -E2BIG);
	ck_assert_int_ne(access(path, F_OK), 0);
	MUST(shr_segment_create(&segment, name, objects, 15, NULL));
	shr_segment_detach(segment);
	segment = NULL;
	MUST(shr_segment_attach(&segment, name, NULL));
	shr_segment_detach(segment);
}
END_TEST

/* --- Made at run time --------------------------------------------------------- */

static struct shr_schema_builder *builder;

static void begin(const char *schema)
{
	MUST(shr_schema_builder_new(&builder, schema, 3));
}

START_TEST(a_builder_makes_the_same)
{
	const struct shr_schema *schema = NULL;

	begin("noted");
	MUST(shr_schema_builder_member(builder, "id", SHR_KIND_U64, 0));
	MUST(shr_schema_builder_member(builder, "px", SHR_KIND_F64, 0));
	MUST(shr_schema_builder_unit(builder, "EUR"));
	MUST(shr_schema_builder_unit(builder, "USD"));
	MUST(shr_schema_builder_help(builder, "limit"));
	MUST(shr_schema_builder_member(builder, "qty", SHR_KIND_U32, 0));
	MUST(shr_schema_builder_since(builder, 2));
	MUST(shr_schema_builder_member(builder, "side", SHR_KIND_I16, 0));
	for (int i = 0; i < 3; i++)
		MUST(shr_schema_builder_enum_name(builder, sides[i].value, sides[i].name));
	MUST(shr_schema_builder_member(builder, "flags", SHR_KIND_U8, 2));
	MUST(shr_schema_builder_since(builder, 3));
	MUST(shr_schema_builder_help(builder, "set, or not"));
	for (int i = 0; i < 2; i++)
		MUST(shr_schema_builder_enum_name(builder, bits[i].value, bits[i].name));
	MUST(shr_schema_builder_end(builder, &schema));
	is_noted(schema);
	ck_assert_uint_eq(shr_schema_hash(schema), shr_schema_hash(SHR_SCHEMA_OF(noted)));
	/* It stays, and can be had again. */
	ck_assert_int_eq(shr_schema_builder_unit(builder, "EUR"), -EALREADY);
	ck_assert_int_eq(shr_schema_builder_member(builder, "more", SHR_KIND_U8, 8), -EALREADY);
	MUST(shr_schema_builder_end(builder, &schema));
	MUST(make(schema));
	shr_schema_builder_free(builder);
	shr_schema_builder_free(NULL);
	a_segment_has_noted();
}
END_TEST

START_TEST(a_builder_copies_what_it_is_told)
{
	char text[] = "text";
	const struct shr_schema *schema = NULL;

	begin(text);
	MUST(shr_schema_builder_member(builder, text, SHR_KIND_U64, 0));
	MUST(shr_schema_builder_unit(builder, text));
	MUST(shr_schema_builder_help(builder, text));
	MUST(shr_schema_builder_enum_name(builder, 1, text));
	memset(text, 'x', 4);
	MUST(shr_schema_builder_end(builder, &schema));
	ck_assert_str_eq(schema->name, "text");
	same_field(&schema->fields[0],
		   &(struct shr_field){.name = "text", .kind = SHR_KIND_U64, .unit = "text",
				       .help = "text", NAMES({1, "text"}), .name_count = 1});
	shr_schema_builder_free(builder);
}
END_TEST

/* What cannot be added to one with a member "a" of 4 bytes. */
static int wrong(int which)
{
	static char longer[65537];

	memset(longer, 'l', sizeof(longer) - 1);
	switch (which) {
	case 0:
		return shr_schema_builder_member(builder, "a", SHR_KIND_U8, 0);
	case 1:
		return shr_schema_builder_member(builder, "b", SHR_KIND_U64, 0);
	case 2:
		return shr_schema_builder_member(builder, "b", 0, 0);
	case 3:
		return shr_schema_builder_member(builder, "b", 12, 0);
	case 4:
		return shr_schema_builder_member(builder, "", SHR_KIND_U8, 0);
	case 5:
		return shr_schema_builder_member(builder, NULL, SHR_KIND_U8, 0);
	case 6:
		return shr_schema_builder_member(builder, "b", SHR_KIND_U32, UINT32_MAX / 4);
	case 7:
		return shr_schema_builder_member(builder, longer, SHR_KIND_U8, 0);
	case 8:
		return shr_schema_builder_unit(builder, longer);
	case 9:
		return shr_schema_builder_help(builder, NULL);
	case 10:
		return shr_schema_builder_enum_name(builder, 0, "9");
	case 11:
		return shr_schema_builder_enum_name(builder, -1, "minus");
	case 12:
		return shr_schema_builder_enum_name(builder, 0, NULL);
	default:
		MUST(shr_schema_builder_enum_name(builder, 0, "zero"));
		return shr_schema_builder_enum_name(builder, 1, "zero");
	}
}
#define WRONGS 14

START_TEST(the_first_mistake_stays)
{
	const struct shr_schema *schema = SHR_SCHEMA_OF(noted);
	char sentence[400];

	begin("mistaken");
	MUST(shr_schema_builder_member(builder, "a", SHR_KIND_U32, 0));
	ck_assert_int_eq(wrong(_i), -EINVAL);
	snprintf(sentence, sizeof(sentence), "%s", shr_last_error());
	ck_assert_uint_gt(strlen(sentence), 10);
	ck_assert_int_eq(shr_schema_match(NULL, SHR_SCHEMA_OF(noted)), -EPROTOTYPE);
	ck_assert_int_eq(shr_schema_builder_member(builder, "c", SHR_KIND_U32, 0), -EINVAL);
	ck_assert_str_eq(shr_last_error(), sentence);
	ck_assert_int_eq(shr_schema_builder_since(builder, 1), -EINVAL);
	ck_assert_int_eq(shr_schema_builder_end(builder, &schema), -EINVAL);
	ck_assert_str_eq(shr_last_error(), sentence);
	ck_assert_ptr_null(schema);
	shr_schema_builder_free(builder);
}
END_TEST

START_TEST(a_builder_checks_the_whole)
{
	const struct shr_schema *schema = SHR_SCHEMA_OF(noted);

	ck_assert_int_eq(shr_schema_builder_new(&builder, "", 1), -EINVAL);
	ck_assert_ptr_null(builder);
	ck_assert_int_eq(shr_schema_builder_new(&builder, NULL, 1), -EINVAL);
	/* Without one: what it could not be asked is told at the end. */
	ck_assert_int_eq(shr_schema_builder_member(NULL, "a", SHR_KIND_U8, 0), -EINVAL);
	ck_assert_int_eq(shr_schema_builder_unit(NULL, "s"), -EINVAL);
	ck_assert_int_eq(shr_schema_builder_end(NULL, &schema), -EINVAL);
	ck_assert_ptr_null(schema);
	begin("empty");
	ck_assert_int_eq(shr_schema_builder_end(builder, &schema), -EINVAL);
	shr_schema_builder_free(builder);
	begin("early");
	ck_assert_int_eq(shr_schema_builder_unit(builder, "s"), -EINVAL);
	ck_assert_str_eq(shr_last_error(), "the schema has no member yet");
	shr_schema_builder_free(builder);
	begin("uneven");
	MUST(shr_schema_builder_member(builder, "a", SHR_KIND_U64, 0));
	MUST(shr_schema_builder_member(builder, "b", SHR_KIND_U8, 7));
	ck_assert_int_eq(shr_schema_builder_end(builder, &schema), -EINVAL);
	ck_assert_str_eq(shr_last_error(),
			 "the schema has 15 bytes, no multiple of the size of member a, 8");
	shr_schema_builder_free(builder);
}
END_TEST

START_TEST(a_builder_has_the_bounds_of_a_schema)
{
	const struct shr_schema *schema = NULL;
	char member[16];

	begin("many");
	for (int i = 0; i < SHR_FIELDS_MAX; i++) {
		snprintf(member, sizeof(member), "m%d", i);
		MUST(shr_schema_builder_member(builder, member, SHR_KIND_U64, 0));
		for (int j = 0; j < SHR_ENUM_NAMES_MAX / SHR_FIELDS_MAX; j++) {
			snprintf(member, sizeof(member), "v%d", j);
			MUST(shr_schema_builder_enum_name(builder, j, member));
		}
	}
	MUST(shr_schema_builder_end(builder, &schema));
	MUST(make(schema));
	shr_schema_builder_free(builder);
	begin("more");
	for (int i = 0; i < SHR_FIELDS_MAX; i++) {
		snprintf(member, sizeof(member), "m%d", i);
		MUST(shr_schema_builder_member(builder, member, SHR_KIND_U64, 0));
	}
	ck_assert_int_eq(shr_schema_builder_member(builder, "one", SHR_KIND_U64, 0), -EINVAL);
	shr_schema_builder_free(builder);
	begin("names");
	MUST(shr_schema_builder_member(builder, "a", SHR_KIND_U64, 0));
	for (int j = 0; j < SHR_ENUM_NAMES_MAX; j++) {
		snprintf(member, sizeof(member), "v%d", j);
		MUST(shr_schema_builder_enum_name(builder, j, member));
	}
	ck_assert_int_eq(shr_schema_builder_enum_name(builder, 0, "one"), -EINVAL);
	shr_schema_builder_free(builder);
}
END_TEST

static void setup(void)
{
	fixture_setup("schema");
}

int main(void)
{
	Suite *suite = suite_create("schema");
	TCase *tc = tcase_create("schema");

	tcase_add_test(tc, macro_finds_kind_offset_and_count);
	tcase_add_test(tc, c_and_cxx_give_the_same_hash);
	tcase_add_test(tc, hash_depends_on_every_part);
	tcase_add_test(tc, a_longer_version_matches_both_ways);
	tcase_add_test(tc, mismatch_names_the_member);
	tcase_add_test(tc, notes_are_the_same_from_c_and_cxx);
	tcase_add_test(tc, notes_are_no_part_of_the_layout);
	tcase_add_test(tc, a_value_has_its_first_name);
	suite_add_tcase(suite, tc);
	tc = tcase_create("segment");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_segment_keeps_the_notes);
	tcase_add_loop_test(tc, names_that_cannot_be_are_refused, 0, REFUSED);
	tcase_add_test(tc, names_of_all_members_have_a_bound);
	tcase_add_test(tc, all_values_that_a_kind_has_may_have_names);
	tcase_add_loop_test(tc, damaged_names_are_refused, 0, DAMAGES);
	tcase_add_test(tc, texts_have_a_bound);
	tcase_add_test(tc, schemas_of_all_objects_have_a_bound);
	suite_add_tcase(suite, tc);
	tc = tcase_create("builder");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_builder_makes_the_same);
	tcase_add_test(tc, a_builder_copies_what_it_is_told);
	tcase_add_loop_test(tc, the_first_mistake_stays, 0, WRONGS);
	tcase_add_test(tc, a_builder_checks_the_whole);
	tcase_add_test(tc, a_builder_has_the_bounds_of_a_schema);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
