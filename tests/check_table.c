/* SPDX-License-Identifier: MIT */
/* L4: tables, across processes. Each case with each mode or kind of key where it says _i. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <shmring/test.h>

#include "fixture.h"
#include "procs.h"
#include "format.h"
#include "reseal.h"

#define TOTAL 1000000 /* what the parts of a record always come to */

/* What is in it at any commit: @part sums up to TOTAL, and @key tells @echo. */
struct account {
	uint64_t key;
	uint64_t part[7];
	uint64_t echo;
};
SHR_SCHEMA(account, 1, key, part, echo);

static struct shr_table *table;

static void setup(void)
{
	fixture_setup("table");
	table = NULL;
}

static struct account account_of(uint64_t key, uint64_t step)
{
	struct account account = {.key = key, .echo = mix(key)};
	uint64_t rest = TOTAL;

	for (int i = 0; i < 6; i++) {
		account.part[i] = mix(step + (uint64_t)i) % (rest / 2 + 1);
		rest -= account.part[i];
	}
	account.part[6] = rest;
	return account;
}

static int account_whole(const struct account *account)
{
	uint64_t sum = 0;

	for (int i = 0; i < 7; i++)
		sum += account->part[i];
	return sum == TOTAL && account->echo == mix(account->key);
}

static struct shr_table *table_make(struct shr_table_options options)
{
	struct shr_table *made = NULL;

	options.struct_size = sizeof(options);
	unlink(path);
	MUST(shr_table_open(&made, name, "+>", &options, NULL));
	return made;
}

static struct shr_table *accounts(uint32_t mode, uint32_t slots)
{
	return table_make((struct shr_table_options){
		.mode = mode, .slots = slots, .schema = SHR_SCHEMA_OF(account), .key = "key"});
}

static const struct shr_table_options as_account = {.struct_size = sizeof(struct shr_table_options),
						    .schema = SHR_SCHEMA_OF(account)};

/* In a child, or beside another handle. */
static struct shr_table *open_too(uint32_t flags)
{
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .flags = flags};
	struct shr_table *mine = NULL;

	if (shr_table_open(&mine, name, "+<", &as_account, &segment))
		return NULL;
	return mine;
}

static uint32_t put(struct shr_table *where, uint64_t key)
{
	struct account account = account_of(key, key);
	uint32_t slot;

	MUST(shr_table_insert(where, &account, sizeof(account), &slot));
	return slot;
}

static struct shr_table_status stat_of(struct shr_table *of)
{
	struct shr_table_status status;

	MUST(shr_table_stat(of, &status));
	return status;
}

/* All that must hold when nobody is inside: slots, index and numbers agree. */
static void check_whole(struct shr_table *of, uint32_t used)
{
	uint32_t slot, found, count = 0;
	struct account account;

	for (slot = 0; !shr_table_next(of, &slot); slot++) {
		count++;
		MUST(shr_table_read(of, slot, &account, sizeof(account), NULL));
		ck_assert(account_whole(&account));
		MUST(shr_table_find(of, &account.key, sizeof(account.key), &found));
		ck_assert_uint_eq(found, slot);
	}
	ck_assert_uint_eq(count, used);
}

/* --- Making and opening ------------------------------------------------------ */

START_TEST(what_cannot_be_a_table_is_refused)
{
	struct shr_table_options o = {.struct_size = sizeof(o), .schema = SHR_SCHEMA_OF(account)};
	struct shr_object object;

	MUST(shr_table_describe(&object, "t", &o));
	o.key = "part";
	MUST(shr_table_describe(&object, "t", &o)); /* an array of integers is a key */
	o.key = "none";
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.key = NULL;
	o.mode = 3;
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.mode = 0;
	o.slots = SHR_TABLE_SLOTS_MAX + 1;
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.slots = 0;
	o.record_size = 8;
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.record_size = sizeof(struct account);
	MUST(shr_table_describe(&object, "t", &o));
	o.schema = NULL;
	o.record_size = 0;
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.record_size = 100;
	MUST(shr_table_describe(&object, "t", &o));
	o.key = "key"; /* without a schema */
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.key = NULL;
	o.mode = SHR_TABLE_COUNTERS;
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.mode = 0;
	o.record_size = (uint64_t)SHR_TABLE_RECORD_MAX + 1;
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.record_size = 8;
	o.struct_size = 0;
	ck_assert_int_eq(shr_table_describe(&object, "t", &o), -EINVAL);
	o.struct_size = sizeof(o);
	ck_assert_int_eq(shr_table_describe(&object, "", &o), -EINVAL);
	ck_assert_int_eq(shr_table_describe(NULL, "t", &o), -EINVAL);
}
END_TEST

START_TEST(one_segment_holds_several_tables)
{
	struct shr_table_options o = {.struct_size = sizeof(o), .slots = 3, .record_size = 10};
	struct shr_object objects[2];
	struct shr_segment *segment = NULL;
	struct shr_table *a = NULL, *b = NULL;
	char text[10];
	uint32_t slot;

	MUST(shr_table_describe(&objects[0], "a", &o));
	MUST(shr_table_describe(&objects[1], "b", &o));
	MUST(shr_segment_create(&segment, name, objects, 2, NULL));
	ck_assert_int_eq(shr_table_attach(&a, segment, "c", NULL), -ENOENT);
	ck_assert_int_eq(shr_table_attach(&a, segment, "a", SHR_SCHEMA_OF(account)), -EPROTOTYPE);
	MUST(shr_table_attach(&a, segment, "a", NULL));
	MUST(shr_table_attach(&b, segment, "b", NULL));
	ck_assert_int_eq(shr_table_attach(&b, segment, "b", NULL), -EBUSY);
	MUST(shr_table_insert(a, "one", 4, &slot));
	MUST(shr_table_insert(b, "two", 4, &slot));
	MUST(shr_table_read(a, slot, text, sizeof(text), NULL));
	ck_assert_str_eq(text, "one");
	ck_assert_int_eq(shr_table_find(a, "one", 3, &slot), -EOPNOTSUPP);
	ck_assert_ptr_eq(shr_table_segment(a), segment);
	ck_assert_uint_eq(shr_table_record_size(a), 10);
	ck_assert_uint_eq(shr_table_slots(a), 3);
	ck_assert_uint_eq(shr_table_mode(a), SHR_TABLE_ATOMIC);
	ck_assert_int_eq(shr_segment_detach(segment), -EBUSY);
	MUST(shr_table_close(a));
	MUST(shr_table_close(b));
	MUST(shr_table_close(NULL));
	MUST(shr_segment_detach(segment));
}
END_TEST

/* A directory entry that a hostile creator has sealed. */
START_TEST(impossible_geometry_is_refused)
{
	static const struct {
		uint32_t param;
		uint64_t value;
	} bad[] = {{0, 0},	  {0, 9},		{0, UINT32_MAX}, {1, 3},
		   {1, 1 << 8},	  {1, (uint64_t)9 << 32}, {2, 0},		 {2, 71},
		   {2, 1 << 20},  {2, UINT64_MAX},	{3, 0},		 {3, UINT64_MAX},
		   {3, (uint64_t)8 << 32 | 65}, {3, (uint64_t)300 << 32},
		   {3, (uint64_t)8 << 32 | 8}, {3, (uint64_t)4 << 32}, {4, 1}};
	struct shr_table *other = NULL;
	struct shm_header *header;
	char *image;
	int fd;

	table = accounts(SHR_TABLE_ATOMIC, 8);
	fd = shr_segment_fd(shr_table_segment(table));
	image = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(image != MAP_FAILED);
	header = (struct shm_header *)(void *)image;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t good = header->directory[0].param[bad[i].param];
		int err;

		header->directory[0].param[bad[i].param] = bad[i].value;
		reseal_image(image, 65536);
		err = shr_table_open(&other, name, "+<", &as_account, NULL);
		ck_assert_msg(err == -EBADMSG, "case %zu: %d", i, err);
		header->directory[0].param[bad[i].param] = good;
	}
	reseal_image(image, 65536);
	MUST(shr_table_open(&other, name, "+<", &as_account, NULL));
	MUST(shr_table_close(other));
	munmap(image, 65536);
	MUST(shr_table_close(table));
}
END_TEST

/* --- Slots and updates ------------------------------------------------------- */

START_TEST(insert_read_update_remove)
{
	struct account in = account_of(7, 7), out, *record;
	struct shr_slot_info first, second;
	struct shr_mutex_info lock;
	uint32_t slot, other;

	table = accounts((uint32_t)_i, 4);
	MUST(shr_table_insert(table, &in, sizeof(in), &slot));
	MUST(shr_table_read(table, slot, &out, sizeof(out), &first));
	ck_assert_mem_eq(&in, &out, sizeof(in));
	ck_assert_uint_eq(first.generation & 1, 1);
	ck_assert_int_eq(shr_table_read_changed(table, slot, first.version, &out, sizeof(out), NULL), 0);
	MUST(shr_table_begin(table, slot, (void **)&record));
	ck_assert_mem_eq(record, &in, sizeof(in));
	ck_assert_uint_eq((uintptr_t)record % 64, 0);
	*record = account_of(7, 8);
	if (_i == SHR_TABLE_ATOMIC) { /* nobody sees it yet */
		MUST(shr_table_read(table, slot, &out, sizeof(out), NULL));
		ck_assert_mem_eq(&in, &out, sizeof(in));
	} else {
		ck_assert_int_eq(shr_table_read(table, slot, &out, sizeof(out), NULL), -EAGAIN);
	}
	MUST(shr_table_get(table, slot, &second, &lock));
	ck_assert_uint_eq(second.version, first.version);
	ck_assert_int_eq((int)lock.owner, shr_segment_member(shr_table_segment(table)));
	MUST(shr_table_commit(table, slot));
	in = account_of(7, 8);
	ck_assert_int_eq(shr_table_read_changed(table, slot, first.version, &out, sizeof(out), &second), 1);
	ck_assert_mem_eq(&in, &out, sizeof(in));
	ck_assert_uint_eq(second.version, first.version + 1);
	ck_assert_uint_eq(second.generation, first.generation);
	in = account_of(7, 9);
	MUST(shr_table_write(table, slot, &in, sizeof(in)));
	MUST(shr_table_read_key(table, &in.key, 8, &out, sizeof(out), NULL));
	ck_assert_mem_eq(&in, &out, sizeof(in));
	MUST(shr_table_begin_key(table, &in.key, 8, &other, (void **)&record));
	ck_assert_uint_eq(other, slot);
	MUST(shr_table_commit(table, slot));
	MUST(shr_table_remove(table, slot));
	ck_assert_int_eq(shr_table_read(table, slot, &out, sizeof(out), NULL), -ENOENT);
	ck_assert_int_eq(shr_table_read_key(table, &in.key, 8, &out, sizeof(out), NULL), -ENOENT);
	ck_assert_int_eq(shr_table_find(table, &in.key, 8, &other), -ENOENT);
	ck_assert_int_eq(shr_table_begin(table, slot, (void **)&record), -ENOENT);
	ck_assert_int_eq(shr_table_write(table, slot, &in, sizeof(in)), -ENOENT);
	ck_assert_int_eq(shr_table_begin_key(table, &in.key, 8, &other, (void **)&record), -ENOENT);
	ck_assert_int_eq(shr_table_remove(table, slot), -ENOENT);
	ck_assert_int_eq(shr_table_remove_key(table, &in.key, 8), -ENOENT);
	ck_assert_int_eq(shr_table_next(table, &(uint32_t){0}), -ENOENT);
	slot = put(table, 7);
	MUST(shr_table_get(table, slot, &first, NULL));
	ck_assert_uint_gt(first.version, second.version);
	MUST(shr_table_remove_key(table, &in.key, 8));
	ck_assert_uint_eq(stat_of(table).used, 0);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(abort_leaves_what_was_there)
{
	struct account in = account_of(7, 7), out, *record;
	uint32_t slot;

	table = accounts(SHR_TABLE_ATOMIC, 4);
	MUST(shr_table_insert(table, &in, sizeof(in), &slot));
	for (int i = 0; i < 3; i++) {
		MUST(shr_table_begin(table, slot, (void **)&record));
		ck_assert_mem_eq(record, &in, sizeof(in));
		memset(record, 0x55, sizeof(*record));
		MUST(shr_table_abort(table, slot));
		MUST(shr_table_read(table, slot, &out, sizeof(out), NULL));
		ck_assert_mem_eq(&in, &out, sizeof(in));
	}
	MUST(shr_table_close(table));
	table = accounts(SHR_TABLE_IN_PLACE, 4);
	MUST(shr_table_insert(table, &in, sizeof(in), &slot));
	MUST(shr_table_begin(table, slot, (void **)&record));
	ck_assert_int_eq(shr_table_abort(table, slot), -EOPNOTSUPP);
	MUST(shr_table_commit(table, slot));
	MUST(shr_table_close(table));
}
END_TEST

static void *thread_commits(void *argument)
{
	*(int *)argument = shr_table_commit(table, 0);
	return NULL;
}

START_TEST(an_update_is_its_threads)
{
	struct account *record;
	pthread_t thread;
	int err = 0;

	table = accounts((uint32_t)_i, 4);
	ck_assert_uint_eq(put(table, 1), 0);
	ck_assert_int_eq(shr_table_commit(table, 0), -EPERM);
	ck_assert_int_eq(shr_table_abort(table, 0), -EPERM);
	MUST(shr_table_begin(table, 0, (void **)&record));
	ck_assert_int_eq(shr_table_begin(table, 0, (void **)&record), -EDEADLK);
	ck_assert_int_eq(shr_table_write(table, 0, record, sizeof(*record)), -EDEADLK);
	ck_assert_int_eq(shr_table_remove(table, 0), -EDEADLK);
	ck_assert_int_eq(shr_table_close(table), -EBUSY);
	pthread_create(&thread, NULL, thread_commits, &err);
	pthread_join(thread, NULL);
	ck_assert_int_eq(err, -EPERM);
	ck_assert_int_eq(shr_table_commit(table, 4), -EINVAL);
	ck_assert_int_eq(shr_table_begin(table, 4, (void **)&record), -EINVAL);
	ck_assert_int_eq(shr_table_read(table, 4, record, 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_table_remove(table, UINT32_MAX), -EINVAL);
	ck_assert_int_eq(shr_table_read_changed(table, 4, 0, record, 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_table_get(table, 4, NULL, NULL), -EINVAL);
	ck_assert_int_eq(shr_table_wait_until(table, 4, 0, 0, NULL), -EINVAL);
	MUST(shr_table_commit(table, 0));
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(another_process_waits_for_an_update_until_its_deadline)
{
	uint32_t *told = shared_page();
	struct account *record;
	pid_t pid;

	table = accounts(SHR_TABLE_ATOMIC, 4);
	put(table, 1);
	pid = fork();
	if (!pid) {
		struct shr_table *mine = open_too(0);

		if (!mine || shr_table_begin(mine, 0, (void **)&record))
			_exit(1);
		say(told, 1);
		until(told, 2);
		_exit(shr_table_commit(mine, 0) || shr_table_close(mine));
	}
	ck_assert(until(told, 1));
	ck_assert_int_eq(shr_table_begin_until(table, 0, (void **)&record, shr_deadline_ns(50000000)),
			 -ETIMEDOUT);
	ck_assert_int_eq(shr_table_begin_until(table, 0, (void **)&record, 0), -ETIMEDOUT);
	say(told, 2);
	MUST(shr_table_begin(table, 0, (void **)&record));
	MUST(shr_table_commit(table, 0));
	ck_assert_int_eq(ended(pid), 0);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(the_key_of_a_record_does_not_change)
{
	struct account in = account_of(7, 7), other = account_of(8, 8), out, *record;
	uint32_t slot;

	table = accounts((uint32_t)_i, 4);
	MUST(shr_table_insert(table, &in, sizeof(in), &slot));
	ck_assert_int_eq(shr_table_insert(table, &in, sizeof(in), &slot), -EEXIST);
	ck_assert_int_eq(shr_table_insert(table, &in, 7, &slot), -EINVAL);
	ck_assert_int_eq(shr_table_write(table, slot, &other, sizeof(other)), -EINVAL);
	ck_assert_int_eq(shr_table_write(table, slot, &in, 4), -EINVAL); /* half a key */
	MUST(shr_table_begin(table, slot, (void **)&record));
	record->key = 8;
	ck_assert_int_eq(shr_table_commit(table, slot), -EINVAL);
	ck_assert_int_eq(shr_table_commit(table, slot), -EPERM);
	MUST(shr_table_read(table, slot, &out, sizeof(out), NULL));
	ck_assert_mem_eq(&in, &out, sizeof(in));
	MUST(shr_table_find(table, &in.key, 8, &slot));
	ck_assert_int_eq(shr_table_find(table, &in.key, 7, &slot), -EINVAL);
	ck_assert_int_eq(shr_table_find(table, &in.key, 9, &slot), -EINVAL);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(a_full_table_says_so_and_freed_slots_are_used_again)
{
	struct account extra = account_of(1000, 1);
	uint32_t slot, seen = 0;

	table = accounts((uint32_t)_i, 13);
	for (int round = 0; round < 3; round++) {
		for (uint64_t key = 1; key <= 13; key++)
			put(table, key);
		ck_assert_int_eq(shr_table_insert(table, &extra, sizeof(extra), &slot), -ENOSPC);
		check_whole(table, 13);
		ck_assert_uint_eq(stat_of(table).used, 13);
		for (uint64_t key = 1; key <= 13; key += 2)
			MUST(shr_table_remove_key(table, &key, sizeof(key)));
		check_whole(table, 6);
		for (uint64_t key = 2; key <= 13; key += 2)
			MUST(shr_table_remove_key(table, &key, sizeof(key)));
	}
	for (slot = 0; !shr_table_next(table, &slot); slot++)
		seen++;
	ck_assert_uint_eq(seen, 0);
	MUST(shr_table_close(table));
}
END_TEST

struct narrow {
	uint8_t key;
	uint8_t more[7];
};
SHR_SCHEMA(narrow, 1, key, more);
struct shorts {
	uint32_t before;
	int16_t key;
	uint8_t more[2];
};
SHR_SCHEMA(shorts, 1, before, key, more);
struct words {
	uint32_t key;
	float more;
};
SHR_SCHEMA(words, 1, key, more);
struct text {
	uint64_t before;
	char key[24];
};
SHR_SCHEMA(text, 1, before, key);
struct long_text {
	char key[100];
	uint32_t more;
};
SHR_SCHEMA(long_text, 1, key, more);
struct uuid {
	uint8_t key[16];
};
SHR_SCHEMA(uuid, 1, key);
struct wide {
	uint64_t key[32];
};
SHR_SCHEMA(wide, 1, key);

static const struct {
	const struct shr_schema *schema;
	size_t offset, size;
	int is_text;
} key_kinds[] = {{SHR_SCHEMA_OF(narrow), offsetof(struct narrow, key), 1, 0},
		 {SHR_SCHEMA_OF(shorts), offsetof(struct shorts, key), 2, 0},
		 {SHR_SCHEMA_OF(words), offsetof(struct words, key), 4, 0},
		 {SHR_SCHEMA_OF(account), offsetof(struct account, key), 8, 0},
		 {SHR_SCHEMA_OF(text), offsetof(struct text, key), 24, 1},
		 {SHR_SCHEMA_OF(long_text), offsetof(struct long_text, key), 100, 1},
		 {SHR_SCHEMA_OF(uuid), offsetof(struct uuid, key), 16, 0},
		 {SHR_SCHEMA_OF(wide), offsetof(struct wide, key), 256, 0}};

START_TEST(keys_of_each_type)
{
	const size_t size = key_kinds[_i].size, at = key_kinds[_i].offset;
	unsigned char record[256] = {0}, key[300] = {0}, out[256];
	uint32_t slot, found;

	table = table_make((struct shr_table_options){
		.schema = key_kinds[_i].schema, .key = "key", .slots = 200});
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) {
			memset(key, 'a', size);
			if (key_kinds[_i].is_text)
				snprintf((char *)key, size, "name %d", i);
			else
				key[i % (int)size] = (unsigned char)(i + 1), key[0] = (unsigned char)(i * 7);
			memcpy(record + at, key, size);
			MUST(shr_table_insert(table, record, key_kinds[_i].schema->size, &slot));
			ck_assert_int_eq(shr_table_insert(table, record, key_kinds[_i].schema->size, &slot),
					 -EEXIST);
			if (key_kinds[_i].is_text) { /* what lies behind its end has no meaning */
				memset(record + at + strlen((char *)key) + 1, 'x',
				       size - strlen((char *)key) - 1);
				ck_assert_int_eq(shr_table_insert(table, record, key_kinds[_i].schema->size, NULL),
						 -EEXIST);
				MUST(shr_table_find(table, key, strlen((char *)key), &found));
				ck_assert_uint_eq(found, slot);
				ck_assert_int_eq(shr_table_find(table, key, size + 1, &found), -EINVAL);
				ck_assert_int_eq(shr_table_find(table, "name ", 5, &found), -ENOENT);
			} else {
				ck_assert_int_eq(shr_table_find(table, key, size - 1, &found), -EINVAL);
			}
			MUST(shr_table_find(table, key, size, &found));
			ck_assert_uint_eq(found, slot);
			MUST(shr_table_read_key(table, key, size, out, sizeof(out), NULL));
			ck_assert_mem_eq(out + at, key, size);
		}
		for (slot = 0; !shr_table_next(table, &slot); slot++) {
			MUST(shr_table_read(table, slot, out, sizeof(out), NULL));
			MUST(shr_table_remove_key(table, out + at, size));
		}
		ck_assert_uint_eq(stat_of(table).used, 0);
	}
	MUST(shr_table_close(table));
}
END_TEST

/* A long life of the index, against what is known. */
START_TEST(the_index_is_right_through_many_changes)
{
	enum { KEYS = 60, STEPS = 60000 };
	char there[KEYS] = {0};
	uint32_t used = 0, slot;

	table = accounts(SHR_TABLE_ATOMIC, 32);
	for (uint64_t i = 0; i < STEPS; i++) {
		uint64_t key = mix(i * 77 + 5) % KEYS, look = mix(i) % KEYS;
		struct account account = account_of(key, i);
		int err;

		if (there[key]) {
			MUST(shr_table_remove_key(table, &key, sizeof(key)));
			there[key] = 0;
			used--;
		} else {
			err = shr_table_insert(table, &account, sizeof(account), NULL);
			ck_assert_int_eq(err, used == 32 ? -ENOSPC : 0);
			there[key] = !err;
			used += !err;
		}
		ck_assert_int_eq(shr_table_find(table, &look, sizeof(look), &slot), there[look] ? 0 : -ENOENT);
	}
	check_whole(table, used);
	ck_assert_uint_eq(stat_of(table).used, used);
	ck_assert_uint_gt(stat_of(table).rebuilds, 10);
	ck_assert_uint_eq(stat_of(table).repairs, 0);
	MUST(shr_table_close(table));
}
END_TEST

/* --- Evolution --------------------------------------------------------------- */

struct grown {
	uint64_t key;
	uint64_t part[7];
	uint64_t echo;
	uint64_t later[20];
};
SHR_SCHEMA(grown, 2, key, part, echo, later);

/* The same type's name, by a program of another time. */
static struct shr_schema renamed(const struct shr_schema *schema)
{
	struct shr_schema copy = *schema;

	copy.name = "account";
	return copy;
}

START_TEST(programs_of_two_versions_share_a_table)
{
	struct shr_schema longer = renamed(SHR_SCHEMA_OF(grown));
	struct shr_table_options o = {.struct_size = sizeof(o), .schema = &longer, .mode = (uint32_t)_i};
	struct grown record = {.key = 5, .later = {1, 2, 3}}, back, *within;
	struct account old;
	struct shr_table *other = NULL;
	struct shr_mutex_info lock;
	struct shr_slot_info info;
	uint32_t slot, next;

	/* Made by the old program: the new one has zeroes, and cannot point beyond the record. */
	table = accounts((uint32_t)_i, 4);
	MUST(shr_table_open(&other, name, "+<", &o, NULL));
	MUST(shr_table_insert(other, &record, sizeof(record), &slot));
	next = put(table, 9); /* where a record too long would end */
	memset(&back, 0xff, sizeof(back));
	MUST(shr_table_read(other, slot, &back, sizeof(back), NULL));
	ck_assert_uint_eq(back.key, 5);
	ck_assert_uint_eq(back.later[0], 0);
	ck_assert_uint_eq(back.later[19], 0);
	ck_assert_int_eq(shr_table_begin(other, slot, (void **)&within), -EMSGSIZE);
	for (int i = 0; i < 3; i++)
		MUST(shr_table_write(other, slot, &record, sizeof(record)));
	ck_assert_uint_eq(next, slot + 1);
	MUST(shr_table_get(table, next, &info, &lock));
	ck_assert_uint_eq(lock.acquired, 0);
	MUST(shr_table_read(table, next, &old, sizeof(old), NULL));
	ck_assert(account_whole(&old));
	MUST(shr_table_close(other));
	MUST(shr_table_close(table));
	/* Made by the new program: what the old one does not know stays. */
	o.key = "key";
	table = table_make(o);
	other = open_too(0);
	ck_assert_ptr_nonnull(other);
	MUST(shr_table_insert(table, &record, sizeof(record), &slot));
	old = account_of(5, 9);
	MUST(shr_table_write(other, slot, &old, sizeof(old)));
	MUST(shr_table_read(table, slot, &back, sizeof(back), NULL));
	ck_assert_mem_eq(&back, &old, sizeof(old));
	ck_assert_uint_eq(back.later[2], 3);
	MUST(shr_table_read(other, slot, &old, sizeof(old), NULL));
	ck_assert(account_whole(&old));
	old = account_of(6, 9);
	MUST(shr_table_insert(other, &old, sizeof(old), &slot));
	MUST(shr_table_read(table, slot, &back, sizeof(back), NULL));
	ck_assert_uint_eq(back.later[2], 0);
	MUST(shr_table_close(other));
	MUST(shr_table_close(table));
}
END_TEST

/* --- Counters ---------------------------------------------------------------- */

struct stats {
	char name[16];
	uint64_t hits;
	int64_t level;
	uint32_t small;
	int32_t below;
	uint32_t by_kind[4];
	double load;
	uint16_t tiny[4];
};
SHR_SCHEMA(stats, 1, name, hits, level, small, below, by_kind, load, tiny);
#define AT(member) offsetof(struct stats, member)

static struct shr_table *stats_make(uint32_t slots)
{
	return table_make((struct shr_table_options){.mode = SHR_TABLE_COUNTERS,
						     .slots = slots,
						     .schema = SHR_SCHEMA_OF(stats),
						     .key = "name"});
}

START_TEST(counters_are_changed_one_by_one)
{
	struct stats stats = {.name = "web", .level = -3, .below = -5, .small = UINT32_MAX}, out;
	uint64_t value, before;
	uint32_t slot;

	table = stats_make(4);
	MUST(shr_table_insert(table, &stats, sizeof(stats), &slot));
	MUST(shr_table_add(table, slot, AT(hits), 41, NULL));
	MUST(shr_table_add(table, slot, AT(hits), 1, &before));
	ck_assert_uint_eq(before, 41);
	MUST(shr_table_fetch(table, slot, AT(hits), &value));
	ck_assert_uint_eq(value, 42);
	MUST(shr_table_add(table, slot, AT(level), -4, &before));
	ck_assert_int_eq((int64_t)before, -3);
	MUST(shr_table_add(table, slot, AT(small), 2, &before)); /* wraps around */
	ck_assert_uint_eq(before, UINT32_MAX);
	MUST(shr_table_fetch(table, slot, AT(small), &value));
	ck_assert_uint_eq(value, 1);
	MUST(shr_table_add(table, slot, AT(below), 1, &before));
	ck_assert_int_eq((int64_t)before, -5);
	MUST(shr_table_add(table, slot, AT(by_kind) + 12, 9, NULL));
	before = 0;
	ck_assert_int_eq(shr_table_compare_set(table, slot, AT(hits), &before, 1), -EAGAIN);
	ck_assert_uint_eq(before, 42);
	MUST(shr_table_compare_set(table, slot, AT(hits), &before, 50));
	before = 1;
	ck_assert_int_eq(shr_table_compare_set(table, slot, AT(below), &before, 1), -EAGAIN);
	ck_assert_int_eq((int64_t)before, -4);
	MUST(shr_table_compare_set(table, slot, AT(below), &before, (uint64_t)-40));
	MUST(shr_table_read_key(table, "web", 3, &out, sizeof(out), NULL));
	ck_assert_uint_eq(out.hits, 50);
	ck_assert_int_eq(out.level, -7);
	ck_assert_uint_eq(out.small, 1);
	ck_assert_int_eq(out.below, -40);
	ck_assert_uint_eq(out.by_kind[3], 9);
	ck_assert_str_eq(out.name, "web");
	ck_assert_int_eq(shr_table_add(table, slot, AT(load), 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_table_add(table, slot, AT(tiny), 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_table_add(table, slot, AT(name), 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_table_add(table, slot, AT(hits) + 4, 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_table_add(table, slot, AT(hits) + 1, 1, NULL), -EINVAL);
	ck_assert_int_eq(shr_table_fetch(table, slot, sizeof(stats), &value), -EINVAL);
	ck_assert_int_eq(shr_table_fetch(table, slot, SIZE_MAX, &value), -EINVAL);
	ck_assert_int_eq(shr_table_fetch(table, 4, AT(hits), &value), -EINVAL);
	ck_assert_int_eq(shr_table_fetch(table, 3, AT(hits), &value), -ENOENT);
	ck_assert_int_eq(shr_table_begin(table, slot, (void **)&value), -EOPNOTSUPP);
	ck_assert_int_eq(shr_table_write(table, slot, &stats, sizeof(stats)), -EOPNOTSUPP);
	ck_assert_int_eq(shr_table_begin_key(table, "web", 3, &slot, (void **)&value), -EOPNOTSUPP);
	MUST(shr_table_remove_key(table, "web", 3));
	MUST(shr_table_close(table));
	table = accounts(SHR_TABLE_ATOMIC, 4);
	put(table, 1);
	ck_assert_int_eq(shr_table_add(table, 0, 8, 1, NULL), -EOPNOTSUPP);
	MUST(shr_table_close(table));
}
END_TEST

struct port {
	uint32_t number;
	uint32_t flags;
	uint64_t bytes;
};
SHR_SCHEMA(port, 1, number, flags, bytes);

START_TEST(counters_have_keys_that_are_integers)
{
	struct port port = {.number = 443, .flags = 1}, out;
	uint32_t key = 443, other = 80, slot, found;
	uint64_t value;

	table = table_make((struct shr_table_options){.mode = SHR_TABLE_COUNTERS,
						      .slots = 4,
						      .schema = SHR_SCHEMA_OF(port),
						      .key = "number"});
	MUST(shr_table_insert(table, &port, sizeof(port), &slot));
	ck_assert_int_eq(shr_table_insert(table, &port, sizeof(port), &found), -EEXIST);
	port.number = other;
	MUST(shr_table_insert(table, &port, sizeof(port), &found));
	MUST(shr_table_add(table, slot, offsetof(struct port, bytes), 1500, NULL));
	MUST(shr_table_add(table, slot, offsetof(struct port, flags), 2, NULL));
	/* Nobody may take a slot away from its key. */
	ck_assert_int_eq(shr_table_add(table, slot, offsetof(struct port, number), 1, NULL), -EINVAL);
	value = 443;
	ck_assert_int_eq(
		shr_table_compare_set(table, slot, offsetof(struct port, number), &value, 444),
		-EINVAL);
	MUST(shr_table_find(table, &key, sizeof(key), &found));
	ck_assert_uint_eq(found, slot);
	MUST(shr_table_read_key(table, &key, sizeof(key), &out, sizeof(out), NULL));
	ck_assert_uint_eq(out.number, 443);
	ck_assert_uint_eq(out.flags, 3);
	ck_assert_uint_eq(out.bytes, 1500);
	MUST(shr_table_read_key(table, &other, sizeof(other), &out, sizeof(out), NULL));
	ck_assert_uint_eq(out.bytes, 0);
	ck_assert_int_eq(shr_table_find(table, &key, 2, &found), -EINVAL);
	MUST(shr_table_remove_key(table, &key, sizeof(key)));
	ck_assert_int_eq(shr_table_find(table, &key, sizeof(key), &found), -ENOENT);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(no_count_of_several_processes_is_lost)
{
	enum { PROCESSES = 3, TIMES = 200000 };
	struct stats stats = {.name = "all"}, out;
	pid_t pid[PROCESSES];
	uint32_t slot;

	table = stats_make(4);
	MUST(shr_table_insert(table, &stats, sizeof(stats), &slot));
	for (int i = 0; i < PROCESSES; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct shr_table_options o = {.struct_size = sizeof(o),
						      .schema = SHR_SCHEMA_OF(stats)};
			struct shr_table *mine = NULL;
			uint64_t seen = 0;

			if (shr_table_open(&mine, name, "+<", &o, NULL))
				_exit(1);
			for (int j = 0; j < TIMES; j++) {
				shr_table_add(mine, slot, AT(hits), 1, NULL);
				shr_table_add(mine, slot, AT(by_kind) + 4 * (unsigned)i, 2, NULL);
				while (shr_table_compare_set(mine, slot, AT(level), &seen, seen + 3))
					;
			}
			_exit(shr_table_close(mine) != 0);
		}
	}
	for (int i = 0; i < PROCESSES; i++)
		ck_assert_int_eq(ended(pid[i]), 0);
	MUST(shr_table_read(table, slot, &out, sizeof(out), NULL));
	ck_assert_uint_eq(out.hits, PROCESSES * TIMES);
	ck_assert_int_eq(out.level, 3 * PROCESSES * TIMES);
	for (int i = 0; i < PROCESSES; i++)
		ck_assert_uint_eq(out.by_kind[i], 2 * TIMES);
	MUST(shr_table_close(table));
}
END_TEST

/* --- Many at once ------------------------------------------------------------ */

/* Two writers that move amounts between the parts of two records; readers see the sum. */
START_TEST(readers_see_the_sum_whatever_two_writers_do)
{
	uint32_t *told = shared_page();
	struct account account;
	uint64_t reads = 0, given_up = 0;
	pid_t pid[2];
	int64_t end;

	table = accounts((uint32_t)_i, 4);
	put(table, 1);
	put(table, 2);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct shr_table *mine = open_too(0);
			uint64_t step = (uint64_t)i << 40;

			while (mine && !*told) {
				struct account *record, whole;
				uint32_t slot = (uint32_t)(mix(++step) & 1);
				uint64_t from = mix(step + 9) % 7, to = mix(step + 5) % 7, amount;

				if (step % 5 == 0) {
					whole = account_of(slot + 1, step);
					if (shr_table_write(mine, slot, &whole, sizeof(whole)))
						_exit(2);
					continue;
				}
				if (shr_table_begin(mine, slot, (void **)&record) || !account_whole(record))
					_exit(3);
				amount = record->part[from] / 2;
				record->part[from] -= amount;
				record->part[to] += amount;
				if (shr_table_commit(mine, slot))
					_exit(4);
			}
			_exit(!mine || shr_table_close(mine));
		}
	}
	end = clock_ns() + 1500000000;
	while (clock_ns() < end)
		for (uint32_t i = 0; i < 1000; i++) {
			int err = shr_table_read(table, i & 1, &account, sizeof(account), NULL);

			ck_assert(!err || err == -EAGAIN);
			ck_assert(err || account_whole(&account));
			reads += !err;
			given_up += !!err;
		}
	say(told, 1);
	ck_assert_int_eq(ended(pid[0]), 0);
	ck_assert_int_eq(ended(pid[1]), 0);
	ck_assert_uint_gt(reads, 1000);
	if (_i == SHR_TABLE_ATOMIC)
		ck_assert_uint_le(given_up, reads / 1000);
	MUST(shr_table_close(table));
}
END_TEST

struct large {
	uint64_t word[1024];
};
SHR_SCHEMA(large, 1, word);

/* Long enough that most copies are overtaken; all words of a commit are the same. */
START_TEST(large_records_are_whole_while_two_write_them)
{
	const struct shr_table_options o = {.struct_size = sizeof(o), .schema = SHR_SCHEMA_OF(large)};
	uint32_t *told = shared_page();
	uint64_t reads = 0, given_up = 0, distinct = 0, last = 0;
	struct large large = {{0}};
	pid_t pid[2];
	int64_t end;

	table = table_make((struct shr_table_options){
		.mode = (uint32_t)_i, .slots = 1, .schema = SHR_SCHEMA_OF(large)});
	MUST(shr_table_insert(table, &large, sizeof(large), NULL));
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct shr_table *mine = NULL;
			struct large *record;

			if (shr_table_open(&mine, name, "+<", &o, NULL))
				_exit(1);
			while (!__atomic_load_n(told, __ATOMIC_RELAXED)) {
				if (shr_table_begin(mine, 0, (void **)&record))
					_exit(2);
				for (int j = 0; j < 1024; j++)
					record->word[j]++;
				if (shr_table_commit(mine, 0))
					_exit(3);
				if (_i == SHR_TABLE_IN_PLACE)
					usleep(50);
			}
			_exit(shr_table_close(mine) != 0);
		}
	}
	end = clock_ns() + 1500000000;
	while (clock_ns() < end) {
		int err = shr_table_read(table, 0, &large, sizeof(large), NULL);

		ck_assert(!err || err == -EAGAIN);
		for (int i = 1; i < 1024 && !err; i++)
			ck_assert_uint_eq(large.word[i], large.word[0]);
		reads += !err;
		given_up += !!err;
		distinct += large.word[0] != last;
		last = large.word[0];
	}
	say(told, 1);
	ck_assert_int_eq(ended(pid[0]), 0);
	ck_assert_int_eq(ended(pid[1]), 0);
	ck_assert_uint_gt(reads, 100);
	ck_assert_uint_gt(distinct, 20);
	if (_i == SHR_TABLE_ATOMIC)
		ck_assert_uint_le(given_up, reads / 10);
	MUST(shr_table_close(table));
}
END_TEST

/* Keys that stay are found at any time; those that go and come are whole or not there. */
START_TEST(keys_are_found_while_others_come_and_go)
{
	uint32_t *told = shared_page(), slot;
	struct shr_table *observer;
	struct account account;
	uint64_t finds = 0;
	pid_t pid[2];
	int64_t end;

	table = accounts((uint32_t)_i, 64);
	for (uint64_t key = 0; key < 8; key++)
		put(table, key * 1000);
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct shr_table *mine = open_too(0);

			for (uint64_t step = 0; mine && !*told; step++) {
				uint64_t key = 100 + (uint64_t)i * 100 + mix(step) % 50;
				struct account one = account_of(key, step);
				int err = shr_table_remove_key(mine, &key, sizeof(key));

				if (err == -ENOENT)
					err = shr_table_insert(mine, &one, sizeof(one), NULL);
				if (err && err != -ENOSPC)
					_exit(2);
			}
			_exit(!mine || shr_table_close(mine));
		}
	}
	observer = open_too(SHR_SEGMENT_OBSERVE);
	ck_assert_ptr_nonnull(observer);
	end = clock_ns() + 1500000000;
	while (clock_ns() < end)
		for (uint64_t i = 0; i < 300; i++) {
			uint64_t stays = i % 8 * 1000, comes = 100 + i % 150;
			int err;

			ck_assert_int_eq(shr_table_find(observer, &stays, sizeof(stays), &slot), 0);
			ck_assert_int_eq(shr_table_read_key(observer, &stays, sizeof(stays), &account,
							    sizeof(account), NULL), 0);
			ck_assert(account.key == stays && account_whole(&account));
			err = shr_table_read_key(observer, &comes, sizeof(comes), &account, sizeof(account), NULL);
			ck_assert(!err || err == -ENOENT);
			ck_assert(err || (account.key == comes && account_whole(&account)));
			finds++;
		}
	say(told, 1);
	ck_assert_int_eq(ended(pid[0]), 0);
	ck_assert_int_eq(ended(pid[1]), 0);
	ck_assert_uint_gt(finds, 1000);
	ck_assert_uint_gt(stat_of(table).rebuilds, 0);
	check_whole(table, stat_of(table).used);
	MUST(shr_table_close(observer));
	MUST(shr_table_close(table));
}
END_TEST

/* The only slot is now one key's, now the other's: nobody gets hold of the wrong one. */
START_TEST(a_key_that_moves_is_not_mistaken_for_another)
{
	const uint64_t key = 1;
	uint32_t *told = shared_page(), slot;
	uint64_t got = 0, missed = 0;
	int64_t end;
	pid_t pid;

	table = accounts((uint32_t)_i, 1);
	pid = fork();
	if (!pid) {
		struct shr_table *mine = open_too(0);

		for (uint64_t step = 0; mine && !*told; step++) {
			uint64_t one = step / 3 % 2 + 1;
			struct account account = account_of(one, step);

			if (shr_table_insert(mine, &account, sizeof(account), NULL))
				continue;
			if (step % 64 == 0)
				usleep(100);
			shr_table_remove(mine, 0);
		}
		_exit(!mine || shr_table_close(mine));
	}
	end = clock_ns() + 1500000000;
	while (clock_ns() < end)
		for (int i = 0; i < 100; i++) {
			struct account *record;
			int err = shr_table_begin_key(table, &key, sizeof(key), &slot, (void **)&record);

			ck_assert(!err || err == -ENOENT || err == -EAGAIN);
			*(err ? &missed : &got) += 1;
			if (err)
				continue;
			ck_assert_uint_eq(record->key, key);
			MUST(shr_table_commit(table, slot));
		}
	say(told, 1);
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_uint_gt(got, 100);
	ck_assert_uint_gt(missed, 100);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(an_observer_reads_and_changes_nothing)
{
	struct shr_table *observer;
	struct account account = account_of(9, 9), *record;
	struct shr_table_status status;
	struct shr_slot_info info;
	uint64_t changes;
	uint32_t slot;

	table = accounts(SHR_TABLE_ATOMIC, 4);
	put(table, 1);
	observer = open_too(SHR_SEGMENT_OBSERVE);
	ck_assert_ptr_nonnull(observer);
	MUST(shr_table_read(observer, 0, &account, sizeof(account), &info));
	ck_assert(account_whole(&account));
	MUST(shr_table_stat(observer, &status));
	ck_assert_uint_eq(status.used, 1);
	MUST(shr_table_get(observer, 0, &info, NULL));
	account = account_of(9, 9);
	ck_assert_int_eq(shr_table_insert(observer, &account, sizeof(account), &slot), -EROFS);
	ck_assert_int_eq(shr_table_remove(observer, 0), -EROFS);
	ck_assert_int_eq(shr_table_remove_key(observer, &account.key, 8), -EROFS);
	ck_assert_int_eq(shr_table_begin(observer, 0, (void **)&record), -EROFS);
	ck_assert_int_eq(shr_table_write(observer, 0, &account, sizeof(account)), -EROFS);
	ck_assert_int_eq(shr_table_commit(observer, 0), -EROFS);
	ck_assert_int_eq(shr_table_abort(observer, 0), -EROFS);
	changes = shr_table_changes(observer);
	ck_assert_int_eq(shr_table_wait_until(observer, SHR_TABLE_ANY, changes, shr_deadline_ns(10000000), NULL),
			 -ETIMEDOUT);
	put(table, 2);
	MUST(shr_table_wait_until(observer, SHR_TABLE_ANY, changes, shr_deadline_ns(5000000000), NULL));
	MUST(shr_table_close(observer));
	MUST(shr_table_close(table));
	table = stats_make(4);
	MUST(shr_table_insert(table, &(struct stats){.name = "x"}, sizeof(struct stats), &slot));
	{
		struct shr_table_options o = {.struct_size = sizeof(o), .schema = SHR_SCHEMA_OF(stats)};
		struct shr_segment_options look = {.struct_size = sizeof(look), .flags = SHR_SEGMENT_OBSERVE};

		observer = NULL;
		MUST(shr_table_open(&observer, name, "+<", &o, &look));
		ck_assert_int_eq(shr_table_add(observer, slot, AT(hits), 1, NULL), -EROFS);
		ck_assert_int_eq(shr_table_compare_set(observer, slot, AT(hits), &changes, 1), -EROFS);
		MUST(shr_table_fetch(observer, slot, AT(hits), &changes));
		ck_assert_uint_eq(changes, 0);
		MUST(shr_table_close(observer));
	}
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(a_child_has_nothing_of_its_parents_handle)
{
	pid_t pid;

	table = accounts(SHR_TABLE_ATOMIC, 4);
	put(table, 1);
	pid = fork();
	if (!pid) {
		struct account a = account_of(2, 2), *record;
		struct shr_table_status status;
		uint32_t slot = 0;

		_exit(shr_table_read(table, 0, &a, sizeof(a), NULL) != -ECHILD ||
		      shr_table_read_key(table, &a.key, 8, &a, sizeof(a), NULL) != -ECHILD ||
		      shr_table_find(table, &a.key, 8, &slot) != -ECHILD ||
		      shr_table_next(table, &slot) != -ECHILD || shr_table_stat(table, &status) != -ECHILD ||
		      shr_table_begin(table, 0, (void **)&record) != -ECHILD ||
		      shr_table_begin_key(table, &a.key, 8, &slot, (void **)&record) != -ECHILD ||
		      shr_table_commit(table, 0) != -ECHILD || shr_table_abort(table, 0) != -ECHILD ||
		      shr_table_write(table, 0, &a, sizeof(a)) != -ECHILD ||
		      shr_table_insert(table, &a, sizeof(a), &slot) != -ECHILD ||
		      shr_table_remove(table, 0) != -ECHILD || shr_table_remove_key(table, &a.key, 8) != -ECHILD ||
		      shr_table_add(table, 0, 0, 1, NULL) != -ECHILD ||
		      shr_table_wait_until(table, 0, 0, 0, NULL) != -ECHILD ||
		      shr_table_wait_until(table, SHR_TABLE_ANY, 0, 0, NULL) != -ECHILD ||
		      shr_table_fd(table) != -ECHILD || shr_table_arm(table, 0) != -ECHILD ||
		      shr_table_get(table, 0, NULL, NULL) != -ECHILD || shr_table_changes(table) ||
		      shr_table_close(table));
	}
	ck_assert_int_eq(ended(pid), 0);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(nothing_is_changed_in_an_obsolete_segment)
{
	struct account account = account_of(2, 2);

	table = accounts(SHR_TABLE_ATOMIC, 4);
	put(table, 1);
	MUST(shr_segment_unlink(name));
	ck_assert_int_eq(shr_table_insert(table, &account, sizeof(account), NULL), -ESTALE);
	ck_assert_int_eq(shr_table_begin(table, 0, (void **)&(void *){0}), -ESTALE);
	ck_assert_int_eq(shr_table_remove(table, 0), -ESTALE);
	ck_assert_int_eq(shr_table_wait_until(table, 0, table ? 2 : 0, shr_deadline_ns(1000000000), NULL), 0);
	ck_assert_int_eq(shr_table_wait_until(table, SHR_TABLE_ANY, shr_table_changes(table), SHR_FOREVER, NULL),
			 -ESTALE);
	MUST(shr_table_read(table, 0, &account, sizeof(account), NULL));
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(an_inspector_sees_slots_and_who_is_inside)
{
	uint32_t *told = shared_page();
	struct shr_inspect *inspect = NULL;
	struct shr_table_status status;
	struct shr_object_info object;
	struct shr_mutex_info lock;
	struct shr_slot_info info;
	struct account account, wanted = account_of(1, 1);
	char longer[100];
	int64_t end;
	pid_t pid;

	table = accounts((uint32_t)_i, 4);
	put(table, 1);
	MUST(shr_inspect_open(&inspect, name));
	MUST(shr_inspect_object(inspect, 0, &object));
	ck_assert_uint_eq(object.kind, SHR_OBJECT_TABLE);
	ck_assert_uint_eq(object.count, 4);
	MUST(shr_inspect_table(inspect, 0, &status));
	ck_assert_uint_eq(status.used, 1);
	ck_assert_uint_eq(status.key_field, 1);
	ck_assert_int_eq(shr_inspect_table(inspect, 1, &status), -ENOENT);
	memset(longer, 1, sizeof(longer));
	MUST(shr_inspect_slot(inspect, 0, 0, longer, sizeof(longer), &info, &lock));
	ck_assert_mem_eq(longer, &wanted, sizeof(wanted));
	ck_assert_int_eq(longer[sizeof(wanted)], 0);
	ck_assert_uint_eq(lock.owner, 0);
	ck_assert_int_eq(shr_inspect_slot(inspect, 0, 1, longer, sizeof(longer), NULL, NULL), -ENOENT);
	MUST(shr_inspect_slot(inspect, 0, 1, NULL, 0, &info, &lock));
	ck_assert_uint_eq(info.generation, 0);
	ck_assert_int_eq(shr_inspect_slot(inspect, 0, 4, NULL, 0, &info, &lock), -ERANGE);
	ck_assert_int_eq(shr_inspect_slot(inspect, 1, 0, NULL, 0, &info, &lock), -ENOENT);
	pid = fork();
	if (!pid) {
		struct shr_table *mine = open_too(0);
		struct account *record;

		for (uint64_t step = 1; mine && !*told; step++) {
			if (shr_table_begin(mine, 0, (void **)&record))
				_exit(1);
			*record = account_of(1, step);
			shr_table_commit(mine, 0);
		}
		if (!mine || shr_table_begin(mine, 0, (void **)&record))
			_exit(2);
		say(told, 2);
		for (;;)
			pause();
	}
	end = clock_ns() + 300000000;
	while (clock_ns() < end) {
		int err = shr_inspect_slot(inspect, 0, 0, &account, sizeof(account), &info, NULL);

		ck_assert(err == 0 || err == -EAGAIN);
		ck_assert(err || account_whole(&account));
	}
	say(told, 1);
	ck_assert(until(told, 2));
	MUST(shr_inspect_slot(inspect, 0, 0, NULL, 0, &info, &lock));
	ck_assert_uint_eq(lock.owner, 2);
	ck_assert_int_eq(shr_inspect_slot(inspect, 0, 0, &account, sizeof(account), NULL, NULL),
			 _i == SHR_TABLE_IN_PLACE ? -EAGAIN : 0);
	kill_now(pid);
	shr_inspect_close(inspect);
	MUST(shr_table_close(table));
}
END_TEST

/* --- Watching ---------------------------------------------------------------- */

START_TEST(who_waits_is_told_of_a_change)
{
	uint32_t *told = shared_page();
	struct shr_slot_info info;
	int64_t start, slept = 0;
	pid_t pid;

	table = accounts((uint32_t)_i, 4);
	put(table, 1);
	put(table, 2);
	pid = fork();
	if (!pid) { /* answers each word with an update */
		struct shr_table *mine = open_too(0);
		struct account *record;

		for (uint32_t i = 1; mine && i <= 40; i++) {
			if (!until(told, i))
				_exit(1);
			usleep(3000);
			if (shr_table_begin(mine, 0, (void **)&record) || shr_table_commit(mine, 0))
				_exit(2);
		}
		_exit(!mine || shr_table_close(mine));
	}
	for (uint32_t i = 1; i <= 40; i++) {
		uint64_t since = shr_table_changes(table), now = 0;

		MUST(shr_table_get(table, 0, &info, NULL));
		start = clock_ns();
		say(told, i);
		if (i % 2) {
			MUST(shr_table_wait_until(table, 0, info.version, shr_deadline_ns(20000000000), &now));
			ck_assert_uint_eq(now, info.version + 1);
		} else {
			do
				MUST(shr_table_wait_until(table, SHR_TABLE_ANY, since,
							  shr_deadline_ns(20000000000), &since));
			while (!shr_table_read_changed(table, 0, info.version, &(struct account){0},
						       sizeof(struct account), NULL));
		}
		slept += clock_ns() - start;
	}
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_int_lt(slept, 3000000000); /* woken, and not by the end of a slice of 100 ms: 4 s */
	MUST(shr_table_get(table, 1, &info, NULL));
	ck_assert_int_eq(shr_table_wait_until(table, 1, info.version, shr_deadline_ns(20000000), NULL),
			 -ETIMEDOUT);
	ck_assert_int_eq(shr_table_wait_until(table, SHR_TABLE_ANY, shr_table_changes(table),
					      shr_deadline_ns(20000000), NULL), -ETIMEDOUT);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(a_descriptor_is_readable_after_a_change)
{
	struct pollfd poll_fd = {.events = POLLIN};
	struct shr_table *other;

	table = accounts(SHR_TABLE_ATOMIC, 100);
	ck_assert_int_eq(shr_table_arm(table, 0), -EINVAL);
	other = _i ? open_too(SHR_SEGMENT_OBSERVE) : open_too(0);
	ck_assert_ptr_nonnull(other);
	poll_fd.fd = shr_table_fd(other);
	ck_assert_int_ge(poll_fd.fd, 0);
	ck_assert_int_eq(poll(&poll_fd, 1, 0), 1);
	for (uint64_t i = 0; i < 20; i++) {
		uint64_t since = shr_table_changes(other);

		if (i & 1) /* between the look and the arming */
			put(table, i);
		MUST(shr_table_arm(other, since));
		if (!(i & 1)) {
			ck_assert_int_eq(poll(&poll_fd, 1, 10), 0);
			put(table, i);
		}
		ck_assert_int_eq(poll(&poll_fd, 1, 10000), 1);
	}
	MUST(shr_table_close(other));
	MUST(shr_table_close(table));
}
END_TEST

/* --- Deaths ------------------------------------------------------------------ */

/* A child inside an update of slot 0, which has changed half of it. */
static pid_t dies_inside(uint32_t *told)
{
	pid_t pid = fork();

	if (!pid) {
		struct shr_table *mine = open_too(0);
		struct account *record;
		int err = mine ? shr_table_begin(mine, 0, (void **)&record) : -1;

		if (err && err != -EOWNERDEAD)
			_exit(1);
		record->part[0] = 77777;
		record->part[3] = 88888;
		say(told, 1);
		for (;;)
			pause();
	}
	ck_assert(until(told, 1));
	say(told, 0);
	return pid;
}

START_TEST(a_kill_inside_an_atomic_update_leaves_the_record)
{
	uint32_t *told = shared_page();
	struct account account, *record;
	pid_t pid;

	table = accounts(SHR_TABLE_ATOMIC, 4);
	put(table, 1);
	for (uint32_t i = 1; i <= 3; i++) {
		pid = dies_inside(told);
		MUST(shr_table_read(table, 0, &account, sizeof(account), NULL));
		ck_assert(account_whole(&account));
		kill_now(pid);
		MUST(shr_table_read(table, 0, &account, sizeof(account), NULL));
		ck_assert(account_whole(&account));
		MUST(shr_table_begin(table, 0, (void **)&record));
		ck_assert(account_whole(record));
		MUST(shr_table_commit(table, 0));
		ck_assert_uint_eq(stat_of(table).takeovers, i);
	}
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(a_kill_inside_an_update_in_place_is_told_until_repaired)
{
	uint32_t *told = shared_page(), slot;
	struct account account, whole = account_of(1, 5), *record;
	uint64_t key = 1;

	table = accounts(SHR_TABLE_IN_PLACE, 4);
	put(table, 1);
	kill_now(dies_inside(told));
	ck_assert_int_eq(shr_table_read(table, 0, &account, sizeof(account), NULL), -EAGAIN);
	MUST(shr_table_find(table, &key, sizeof(key), &slot)); /* its key is not torn */
	ck_assert_int_eq(shr_table_begin(table, 0, (void **)&record), -EOWNERDEAD);
	MUST(shr_table_abort(table, 0)); /* cannot repair it */
	ck_assert_int_eq(shr_table_begin_key(table, &key, sizeof(key), &slot, (void **)&record), -EOWNERDEAD);
	MUST(shr_table_abort(table, 0));
	ck_assert_int_eq(shr_table_write(table, 0, &whole, sizeof(whole) - 8), -EOWNERDEAD);
	kill_now(dies_inside(told)); /* dies in the repair */
	ck_assert_int_eq(shr_table_begin(table, 0, (void **)&record), -EOWNERDEAD);
	ck_assert_uint_eq(record->part[0], 77777);
	*record = whole;
	MUST(shr_table_commit(table, 0));
	MUST(shr_table_read(table, 0, &account, sizeof(account), NULL));
	ck_assert(account_whole(&account));
	MUST(shr_table_begin(table, 0, (void **)&record));
	MUST(shr_table_commit(table, 0));
	/* A write of all of it repairs. */
	kill_now(dies_inside(told));
	MUST(shr_table_write(table, 0, &whole, sizeof(whole)));
	MUST(shr_table_read(table, 0, &account, sizeof(account), NULL));
	/* A torn one is removed like any other, and its slot is as new. */
	kill_now(dies_inside(told));
	MUST(shr_table_remove(table, 0));
	for (uint64_t other = 10; other < 14; other++)
		put(table, other);
	check_whole(table, 4);
	MUST(shr_table_begin(table, 0, (void **)&record));
	MUST(shr_table_commit(table, 0));
	MUST(shr_table_close(table));
}
END_TEST

/* A killed writer's lock, swept: free, and whoever waits for any slot is told. */
START_TEST(a_sweep_frees_the_slots_of_the_dead)
{
	uint32_t *told = shared_page();
	struct shr_mutex_info lock;
	struct shr_slot_info info;
	uint64_t since;

	table = accounts((uint32_t)_i, 4);
	put(table, 1);
	kill_now(dies_inside(told));
	since = shr_table_changes(table);
	ck_assert_int_eq(shr_member_sweep(shr_table_segment(table), NULL, NULL), 1);
	MUST(shr_table_get(table, 0, &info, &lock));
	ck_assert_uint_eq(lock.owner, 0);
	ck_assert_uint_eq(lock.deaths, 1);
	MUST(shr_table_wait_until(table, SHR_TABLE_ANY, since, shr_deadline_ns(1000000000), NULL));
	ck_assert_int_eq(shr_table_begin(table, 0, (void **)&(void *){0}),
			 _i == SHR_TABLE_IN_PLACE ? -EOWNERDEAD : 0);
	MUST(shr_table_commit(table, 0));
	MUST(shr_table_close(table));
}
END_TEST

/* What is killed after each of its instructions. */
#define EACH 5
enum { KILL_INSERT, KILL_REMOVE, KILL_UPDATE, KILL_WRITE, KILL_REBUILD, KILLS };
static struct shr_table *victim;

static void prepare_victim(void *argument)
{
	(void)argument;
	victim = open_too(0);
	if (!victim)
		_exit(1);
}

static void call_insert(void *argument)
{
	if (shr_table_insert(victim, argument, sizeof(struct account), NULL))
		_exit(2);
}

static void call_remove(void *argument)
{
	const struct account *account = argument;

	if (shr_table_remove_key(victim, &account->key, sizeof(account->key)))
		_exit(2);
}

static void call_update(void *argument)
{
	const struct account *account = argument;
	struct account *record;
	uint32_t slot;

	if (shr_table_begin_key(victim, &account->key, sizeof(account->key), &slot, (void **)&record))
		_exit(2);
	for (int i = 0; i < 7; i++)
		((volatile struct account *)record)->part[i] = account->part[i];
	if (shr_table_commit(victim, slot))
		_exit(2);
}

static void call_write(void *argument)
{
	if (shr_table_write(victim, 0, argument, sizeof(struct account)))
		_exit(2);
}

/* Put as many graves into the index as make the next insert build it anew. */
static void fill_graves(void)
{
	struct shr_table_status status = stat_of(table);

	for (uint64_t key = 5000; status.used + status.graves < status.index_size / 4 * 3; key++) {
		uint32_t slot = put(table, key);

		MUST(shr_table_remove(table, slot));
		status = stat_of(table);
	}
}

START_TEST(killed_after_every_fifth_instruction)
{
	static void (*const calls[KILLS])(void *) = {call_insert, call_remove, call_update, call_write,
						     call_insert};
	const uint32_t mode = (uint32_t)_i / KILLS;
	const int what = _i % KILLS, inserts = what == KILL_INSERT || what == KILL_REBUILD;
	uint64_t step, done = 0, undone = 0, torn = 0;
	struct account before, target, out;
	uint32_t slot;
	int killed = 1;

	if (mode == SHR_TABLE_COUNTERS && (what == KILL_UPDATE || what == KILL_WRITE))
		return;
	table = accounts(mode, 6);
	before = account_of(1, 1);
	put(table, 1);
	put(table, 2);
	/* After every one: torture-table-step 1. */
	for (step = 1 + (uint64_t)_i % EACH; killed == 1; step += EACH) {
		struct shr_table *observer = open_too(SHR_SEGMENT_OBSERVE);
		int err;

		ck_assert_ptr_nonnull(observer);
		if (what == KILL_REBUILD)
			fill_graves();
		if (what == KILL_REMOVE && shr_table_find(table, &(uint64_t){50}, 8, &slot))
			put(table, 50);
		target = what == KILL_UPDATE || what == KILL_WRITE ? account_of(1, step + 100)
								   : account_of(50, step);
		killed = shr_test_kill_at(step, prepare_victim, calls[what], &target);
		ck_assert_int_ge(killed, 0);
		/* Readers see it before or after, whatever was not mended. */
		err = shr_table_read_key(observer, &target.key, 8, &out, sizeof(out), NULL);
		if (inserts || what == KILL_REMOVE) {
			ck_assert(err == 0 || err == -ENOENT);
			ck_assert(err || account_whole(&out));
			if (inserts)
				ck_assert(err || !memcmp(&out, &target, sizeof(out)));
			*((!err) == inserts ? &done : &undone) += 1;
		} else if (err) {
			ck_assert_int_eq(err, -EAGAIN);
			ck_assert_uint_eq(mode, SHR_TABLE_IN_PLACE);
			torn++;
			err = shr_table_begin(table, 0, (void **)&(void *){0});
			ck_assert_int_eq(err, -EOWNERDEAD);
			MUST(shr_table_abort(table, 0));
			MUST(shr_table_write(table, 0, &before, sizeof(before)));
		} else if (!memcmp(&out, &target, sizeof(out))) {
			before = target;
			done++;
		} else {
			ck_assert_mem_eq(&out, &before, sizeof(out));
			undone++;
		}
		for (uint64_t key = 1; key <= 2; key++)
			MUST(shr_table_read_key(observer, &key, 8, &out, sizeof(out), NULL));
		MUST(shr_table_close(observer));
		/* And everybody can go on. */
		if (!inserts && what != KILL_REMOVE) {
			MUST(shr_table_write(table, 0, &before, sizeof(before)));
			check_whole(table, 2);
			continue;
		}
		err = shr_table_remove_key(table, &target.key, 8);
		ck_assert(err == 0 || err == -ENOENT);
		for (uint64_t key = 60; key < 64; key++)
			put(table, key);
		ck_assert_int_eq(shr_table_insert(table, &target, sizeof(target), NULL), -ENOSPC);
		check_whole(table, 6);
		ck_assert_uint_eq(stat_of(table).used, 6);
		for (uint64_t key = 60; key < 64; key++)
			MUST(shr_table_remove_key(table, &key, 8));
		check_whole(table, 2);
	}
	ck_assert_int_eq(killed, 0);
	ck_assert_uint_gt(step, 50);
	ck_assert_uint_gt(done, 1);
	ck_assert_uint_gt(undone, 1);
	if (mode == SHR_TABLE_IN_PLACE && (what == KILL_UPDATE || what == KILL_WRITE))
		ck_assert_uint_gt(torn, 1);
	if (inserts || what == KILL_REMOVE)
		ck_assert_uint_gt(stat_of(table).repairs, 1);
	else
		ck_assert_uint_gt(stat_of(table).takeovers, 1);
	MUST(shr_table_close(table));
}
END_TEST

/* In the wake there is a moment when the bit of the watcher is gone and no number has moved. */
START_TEST(a_writer_killed_in_its_wake_is_seen_by_who_watches)
{
	struct shm_table *shm;
	struct account target = account_of(1, 1);
	uint64_t step, cleared = 0, between = 0;
	int killed = 1;
	char *image;

	table = accounts((uint32_t)_i, 4);
	put(table, 1);
	image = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED,
		     shr_segment_fd(shr_table_segment(table)), 0);
	ck_assert(image != MAP_FAILED);
	shm = (struct shm_table *)(void *)(image +
					   ((struct shm_header *)(void *)image)->directory[0].offset);
	for (step = 1; killed == 1; step++) {
		uint64_t since = shr_table_changes(table);

		/* Nobody may attach from here on: that sweeps, and tells. */
		killed = shr_test_kill_at(step, prepare_victim, call_write, &target);
		ck_assert_int_ge(killed, 0);
		if (!atomic_load(&shm->event.sleepers)) {
			cleared++;
			between += atomic_load(&shm->event.sequence) == since;
			MUST(shr_table_wait_until(table, SHR_TABLE_ANY, since, 0, NULL));
		}
		MUST(shr_table_write(table, 0, &target, sizeof(target)));
	}
	ck_assert_int_eq(killed, 0);
	ck_assert_uint_gt(between, 0);
	ck_assert_uint_gt(cleared, between);
	munmap(image, 65536);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(an_insert_by_somebody_killed_is_told_by_the_sweep)
{
	struct account target = account_of(50, 50);
	uint64_t step, there = 0;
	int killed = 1;

	table = accounts((uint32_t)_i, 4);
	for (step = 1; killed == 1; step += EACH) {
		uint64_t since;

		MUST(shr_table_remove(table, put(table, 7))); /* the victim has nothing to mend */
		since = shr_table_changes(table);
		killed = shr_test_kill_at(step, prepare_victim, call_insert, &target);
		ck_assert_int_ge(killed, 0);
		ck_assert_int_ge(shr_member_sweep(shr_table_segment(table), NULL, NULL), 0);
		if (!shr_table_find(table, &target.key, sizeof(target.key), &(uint32_t){0})) {
			there += killed == 1;
			MUST(shr_table_wait_until(table, SHR_TABLE_ANY, since, 0, NULL));
			MUST(shr_table_remove_key(table, &target.key, sizeof(target.key)));
		}
	}
	ck_assert_int_eq(killed, 0);
	ck_assert_uint_gt(there, 2);
	MUST(shr_table_close(table));
}
END_TEST

/* --- A hostile peer ---------------------------------------------------------- */

/* Scribble over the object; but not over locks, if they are spared. */
static void scribble(struct shr_table *mine, int spares, const uint32_t *told)
{
	struct shr_segment *segment = shr_table_segment(mine);
	char *image = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, shr_segment_fd(segment), 0);
	const struct shm_object *entry = &((struct shm_header *)(void *)image)->directory[0];
	uint64_t state = 1, size = entry->size, first = 512 + 64 * 8, slot = 128 + 2 * 128;

	if (shr_table_mode(mine) != SHR_TABLE_ATOMIC)
		slot = 128 + 128;
	while (!__atomic_load_n(told, __ATOMIC_RELAXED)) {
		uint64_t at = mix(++state) % size & ~(uint64_t)7, value = mix(state * 3);

		if (state % 4 == 0)
			value &= 0xff; /* small numbers mean more */
		if (state % 7 == 0)
			value = UINT64_MAX;
		if (spares && (at < 128 || (at >= first && (at - first) % slot < 64)))
			continue;
		if (state % 5 == 0 && at >= 512 && at < first) { /* a hash that is asked for, and any slot */
			memcpy(&value, image + entry->offset + at, sizeof(value));
			value = (value & ~(uint64_t)UINT32_MAX) | (uint32_t)mix(state * 5);
		}
		memcpy(image + entry->offset + at, &value, sizeof(value));
	}
	_exit(0);
}

START_TEST(a_peer_that_scribbles_over_everything_harms_nobody)
{
	uint32_t mode = (uint32_t)_i / 2, *told = shared_page(), slot;
	int spares = _i % 2;
	uint64_t turns = 0, results[2] = {0};
	struct account account, *record;
	struct shr_table *observer;
	int64_t end;
	pid_t pid;

	table = accounts(mode, 32);
	for (uint64_t key = 0; key < 20; key++)
		put(table, key);
	pid = fork();
	if (!pid) {
		struct shr_table *mine = open_too(0);

		if (mine)
			scribble(mine, spares, told);
		_exit(1);
	}
	observer = open_too(SHR_SEGMENT_OBSERVE);
	ck_assert_ptr_nonnull(observer);
	end = clock_ns() + 2000000000;
	for (; clock_ns() < end; turns++) {
		struct shr_table_status status;
		struct shr_slot_info info;
		struct shr_mutex_info lock;
		uint64_t key = turns % 20;

		slot = (uint32_t)(mix(turns) % 32);
		results[!shr_table_read(observer, slot, &account, sizeof(account), &info)]++;
		results[!shr_table_read_key(observer, &key, 8, &account, sizeof(account), &info)]++;
		results[!shr_table_find(table, &key, 8, &slot)]++;
		results[!shr_table_get(table, turns % 32, &info, &lock)]++;
		results[!shr_table_stat(table, &status)]++;
		shr_table_next(table, &slot);
		shr_table_wait_until(table, SHR_TABLE_ANY, shr_table_changes(table), 0, NULL);
		slot = (uint32_t)(mix(turns + 1) % 32);
		if (mode == SHR_TABLE_COUNTERS) {
			shr_table_add(table, slot, 8, 1, NULL);
		} else {
			int err = shr_table_begin_until(table, slot, (void **)&record, shr_deadline_ns(100000));

			results[!err]++;
			if (!err || err == -EOWNERDEAD) {
				*record = account_of(slot, turns);
				err = shr_table_commit(table, slot);
				if (err && err != -EPERM)
					shr_table_abort(table, slot);
			}
		}
		if (!spares)
			continue;
		account = account_of(100 + turns % 20, turns);
		results[!shr_table_insert(table, &account, sizeof(account), &slot)]++;
		if (turns % 3)
			results[!shr_table_remove(table, (uint32_t)(mix(turns) % 32))]++;
		else
			results[!shr_table_remove_key(table, &account.key, 8)]++;
	}
	say(told, 1);
	ck_assert_int_eq(ended(pid), 0);
	ck_assert_uint_gt(turns, 20);
	ck_assert_uint_gt(results[0], 0);
	ck_assert_uint_gt(results[1], 0);
	MUST(shr_table_close(observer));
	shr_table_close(table); /* a lock may say that it is this thread's */
}
END_TEST

static TCase *part(Suite *suite, const char *what)
{
	TCase *tc = tcase_create(what);

	tcase_set_timeout(tc, 300);
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("table");
	TCase *tc = part(suite, "alone");

	tcase_add_test(tc, what_cannot_be_a_table_is_refused);
	tcase_add_test(tc, one_segment_holds_several_tables);
	tcase_add_test(tc, impossible_geometry_is_refused);
	tcase_add_loop_test(tc, insert_read_update_remove, 0, 2);
	tcase_add_test(tc, abort_leaves_what_was_there);
	tcase_add_loop_test(tc, an_update_is_its_threads, 0, 2);
	tcase_add_test(tc, another_process_waits_for_an_update_until_its_deadline);
	tcase_add_loop_test(tc, the_key_of_a_record_does_not_change, 0, 2);
	tcase_add_loop_test(tc, a_full_table_says_so_and_freed_slots_are_used_again, 0, 3);
	tcase_add_loop_test(tc, keys_of_each_type, 0, sizeof(key_kinds) / sizeof(key_kinds[0]));
	tcase_add_test(tc, the_index_is_right_through_many_changes);
	tcase_add_loop_test(tc, programs_of_two_versions_share_a_table, 0, 2);
	tcase_add_test(tc, counters_are_changed_one_by_one);
	tcase_add_test(tc, counters_have_keys_that_are_integers);
	tc = part(suite, "many");
	tcase_add_test(tc, no_count_of_several_processes_is_lost);
	tcase_add_loop_test(tc, readers_see_the_sum_whatever_two_writers_do, 0, 2);
	tcase_add_loop_test(tc, large_records_are_whole_while_two_write_them, 0, 2);
	tcase_add_loop_test(tc, keys_are_found_while_others_come_and_go, 0, 3);
	tcase_add_loop_test(tc, a_key_that_moves_is_not_mistaken_for_another, 0, 2);
	tcase_add_test(tc, an_observer_reads_and_changes_nothing);
	tcase_add_loop_test(tc, an_inspector_sees_slots_and_who_is_inside, 0, 2);
	tcase_add_test(tc, a_child_has_nothing_of_its_parents_handle);
	tcase_add_test(tc, nothing_is_changed_in_an_obsolete_segment);
	tcase_add_loop_test(tc, who_waits_is_told_of_a_change, 0, 2);
	tcase_add_loop_test(tc, a_descriptor_is_readable_after_a_change, 0, 2);
	tc = part(suite, "deaths");
	tcase_add_test(tc, a_kill_inside_an_atomic_update_leaves_the_record);
	tcase_add_test(tc, a_kill_inside_an_update_in_place_is_told_until_repaired);
	tcase_add_loop_test(tc, a_sweep_frees_the_slots_of_the_dead, 0, 2);
	tc = part(suite, "steps");
	tcase_add_loop_test(tc, a_writer_killed_in_its_wake_is_seen_by_who_watches, 0, 2);
	tcase_add_loop_test(tc, an_insert_by_somebody_killed_is_told_by_the_sweep, 0, 3);
	tcase_add_loop_test(tc, killed_after_every_fifth_instruction, 0, 3 * KILLS);
	tc = part(suite, "hostile");
	tcase_add_loop_test(tc, a_peer_that_scribbles_over_everything_harms_nobody, 0, 6);
	return tap_run(suite);
}
