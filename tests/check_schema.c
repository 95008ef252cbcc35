/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <shmring/shmring.h>

#include "tap.h"

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

START_TEST(macro_finds_kind_offset_and_count)
{
	const struct shr_schema *schema = SHR_SCHEMA_OF(order);
	static const struct shr_field expected[] = {
		{"id", 0, 0, SHR_KIND_U64, 0, NULL, NULL},	   {"px", 8, 0, SHR_KIND_F64, 0, NULL, NULL},
		{"qty", 16, 0, SHR_KIND_U32, 0, NULL, NULL},   {"side", 20, 0, SHR_KIND_U32, 0, NULL, NULL},
		{"flags", 24, 2, SHR_KIND_U8, 0, NULL, NULL},  {"sym", 26, 8, SHR_KIND_CHAR, 0, NULL, NULL},
		{"live", 34, 0, SHR_KIND_U8, 0, NULL, NULL},   {"level", 35, 0, SHR_KIND_I8, 0, NULL, NULL},
		{"tick", 36, 0, SHR_KIND_I16, 0, NULL, NULL},  {"book", 38, 0, SHR_KIND_U16, 0, NULL, NULL},
		{"ratio", 40, 4, SHR_KIND_F32, 0, NULL, NULL}, {"delta", 56, 0, SHR_KIND_I64, 0, NULL, NULL},
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

int main(void)
{
	Suite *suite = suite_create("schema");
	TCase *tc = tcase_create("schema");

	tcase_add_test(tc, macro_finds_kind_offset_and_count);
	tcase_add_test(tc, c_and_cxx_give_the_same_hash);
	tcase_add_test(tc, hash_depends_on_every_part);
	tcase_add_test(tc, a_longer_version_matches_both_ways);
	tcase_add_test(tc, mismatch_names_the_member);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
