/* SPDX-License-Identifier: MIT */
/* Tables from outside: what is seen is what members see, and nobody notices. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "reseal.h"
#include "fixture.h"
#include "format.h"
#include "procs.h"

struct entry {
	char name[16];
	uint64_t beats;
	uint64_t twice;
};
SHR_SCHEMA(entry, 1, name, beats, twice);

static void setup(void)
{
	fixture_setup("inspect-table");
}

static struct shr_table *table_make(uint32_t mode, uint32_t slots)
{
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = mode,
					    .slots = slots,
					    .schema = SHR_SCHEMA_OF(entry),
					    .key = "name"};
	struct shr_table *table = NULL;

	MUST(shr_table_open(&table, name, "+>", &options, NULL));
	return table;
}

static uint32_t put(struct shr_table *table, const char *key)
{
	struct entry entry = {{0}, 1, 2};
	uint32_t slot;

	snprintf(entry.name, sizeof(entry.name), "%s", key);
	MUST(shr_table_insert(table, &entry, sizeof(entry), &slot));
	return slot;
}

static struct shr_inspect *inspect_open(void)
{
	struct shr_inspect *inspect = NULL;

	MUST(shr_inspect_open(&inspect, name));
	return inspect;
}

static void poke(uint64_t offset, const void *bytes, size_t size)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
	close(fd);
}

/* --- Numbers ----------------------------------------------------------------- */

/* Slots of 256 bytes and of 128 KiB: many at a time, and each by itself. */
START_TEST(the_numbers_of_all_slots_are_what_a_member_sees)
{
	const uint32_t slots = _i ? 7 : 1000;
	struct shr_table_options options = {
		.struct_size = sizeof(options), .slots = slots, .record_size = _i ? 65536 : 64};
	static struct shr_slot_info all[1000], some[3];
	struct shr_table *table = NULL;
	struct shr_inspect *inspect;
	struct shr_slot_info info;
	uint32_t slot;
	char byte = 1;

	MUST(shr_table_open(&table, name, "+>", &options, NULL));
	for (uint32_t i = 0; i < slots; i++)
		MUST(shr_table_insert(table, &byte, 1, &slot));
	for (uint32_t i = 0; i < slots; i += 3)
		for (uint32_t j = 0; j < i % 5 + 1; j++)
			MUST(shr_table_write(table, i, &byte, 1));
	for (uint32_t i = 1; i < slots; i += 4)
		MUST(shr_table_remove(table, i));
	inspect = inspect_open();
	memset(all, 0xff, sizeof(all));
	ck_assert_int_eq(shr_inspect_slots(inspect, 0, 0, 2000, all), (int)slots);
	for (uint32_t i = 0; i < slots; i++) {
		MUST(shr_table_get(table, i, &info, NULL));
		ck_assert_mem_eq(&all[i], &info, sizeof(info));
	}
	ck_assert_int_eq(shr_inspect_slots(inspect, 0, 2, 3, some), 3);
	ck_assert_mem_eq(some, all + 2, sizeof(some));
	ck_assert_int_eq(shr_inspect_slots(inspect, 0, slots - 2, 3, some), 2);
	ck_assert_mem_eq(some, all + slots - 2, 2 * sizeof(some[0]));
	ck_assert_int_eq(shr_inspect_slots(inspect, 0, slots, 3, some), 0);
	ck_assert_int_eq(shr_inspect_slots(inspect, 0, UINT32_MAX, 3, some), 0);
	ck_assert_int_eq(shr_inspect_slots(inspect, 1, 0, 3, some), -ENOENT);
	MUST(shr_table_close(table));
	ck_assert_int_eq(truncate(path, 8192), 0);
	ck_assert_int_eq(shr_inspect_slots(inspect, 0, 0, 3, some), -ENODATA);
	shr_inspect_close(inspect);
}
END_TEST

/* No copy of the record is needed to tell who is inside, and since when. */
START_TEST(a_slot_that_changes_all_the_time_has_numbers)
{
	struct shr_table *table = table_make((uint32_t)_i, 4);
	struct shr_inspect *inspect = inspect_open();
	struct shr_slot_info info, before = {0}, all[4];
	volatile uint32_t *told = shared_page();
	uint64_t moved = 0;
	int64_t end;
	pid_t pid;

	put(table, "web");
	pid = fork();
	if (!pid) {
		struct shr_table *mine = table_make((uint32_t)_i, 4);
		struct entry *entry;

		for (;;) {
			if (shr_table_begin(mine, 0, (void **)&entry))
				_exit(1);
			entry->beats++;
			shr_table_commit(mine, 0);
			say(told, 1);
		}
	}
	ck_assert(until(told, 1));
	end = clock_ns() + 300000000;
	while (clock_ns() < end) {
		MUST(shr_inspect_slot(inspect, 0, 0, NULL, 0, &info, NULL));
		ck_assert_uint_ge(info.version, before.version);
		ck_assert_uint_eq(info.generation, 1);
		moved += info.version != before.version;
		before = info;
		ck_assert_int_eq(shr_inspect_slots(inspect, 0, 0, 4, all), 4);
		ck_assert_uint_ge(all[0].version, before.version);
		before = all[0];
		ck_assert_uint_eq(all[1].version, 0);
	}
	ck_assert_uint_gt(moved, 10);
	kill_now(pid);
	shr_inspect_close(inspect);
	MUST(shr_table_close(table));
}
END_TEST

START_TEST(the_lock_of_a_table_tells_its_owner)
{
	struct shr_table *table = table_make(SHR_TABLE_ATOMIC, 4);
	struct shr_inspect *inspect = inspect_open();
	struct shr_object_info object;
	struct shr_mutex_info lock;
	uint32_t word = 1, spoilt = MUTEX_RESERVED;

	put(table, "web");
	MUST(shr_inspect_object(inspect, 0, &object));
	MUST(shr_inspect_table_lock(inspect, 0, &lock));
	ck_assert_uint_eq(lock.state, SHR_MUTEX_FREE);
	ck_assert_uint_eq(lock.acquired, 1);
	poke(object.offset, &word, sizeof(word));
	MUST(shr_inspect_table_lock(inspect, 0, &lock));
	ck_assert_uint_eq(lock.state, SHR_MUTEX_HELD);
	ck_assert_uint_eq(lock.owner, 1);
	poke(object.offset, &spoilt, sizeof(spoilt));
	ck_assert_int_eq(shr_inspect_table_lock(inspect, 0, &lock), -EBADMSG);
	ck_assert_int_eq(shr_inspect_table_lock(inspect, 1, &lock), -ENOENT);
	shr_inspect_close(inspect);
	MUST(shr_table_close(table));
}
END_TEST

static uint64_t counter_of(struct shr_inspect *inspect, const char *counter)
{
	const struct shr_schema *schema = shr_inspect_counters(inspect, SHR_COUNTERS_TABLE);
	uint64_t value = 0;

	for (uint32_t i = 0; i < schema->field_count; i++) {
		ck_assert_ptr_nonnull(schema->fields[i].unit);
		ck_assert_ptr_nonnull(schema->fields[i].help);
		if (strcmp(schema->fields[i].name, counter))
			continue;
		MUST(shr_inspect_counter(inspect, SHR_COUNTERS_TABLE, 0, 0, i, &value));
		return value;
	}
	ck_abort_msg("no counter %s", counter);
}

START_TEST(the_counters_of_a_table_are_described)
{
	struct shr_table *table = table_make(SHR_TABLE_ATOMIC, 4);
	struct shr_inspect *inspect = inspect_open();
	uint64_t value;

	put(table, "web");
	put(table, "mail");
	put(table, "dns");
	MUST(shr_table_remove_key(table, "mail", 4));
	ck_assert_uint_eq(counter_of(inspect, "used"), 2);
	ck_assert_uint_eq(counter_of(inspect, "graves"), 1);
	ck_assert_uint_eq(counter_of(inspect, "rebuilds"), 0);
	ck_assert_uint_eq(counter_of(inspect, "takeovers"), 0);
	ck_assert_uint_eq(counter_of(inspect, "lock.acquired"), 4);
	ck_assert_int_eq(shr_inspect_counter(inspect, SHR_COUNTERS_TABLE, 0, 0, 100, &value),
			 -ENOENT);
	ck_assert_int_eq(shr_inspect_counter(inspect, SHR_COUNTERS_RING, 0, 0, 0, &value),
			 -EPROTOTYPE);
	shr_inspect_close(inspect);
	MUST(shr_table_close(table));
}
END_TEST

/* --- Damage ------------------------------------------------------------------ */

static char *image;
static size_t image_size;

/* All that can be asked of a table: 1 it opened, 2 and a record was read. */
static int no_more(const struct shr_damage *damage, void *found)
{
	ck_assert_ptr_nonnull(damage->text);
	return ++*(int *)found == 20;
}

static int index_only(const struct shr_damage *damage, void *found)
{
	ck_assert_uint_eq(damage->code, SHR_DAMAGE_INDEX);
	++*(int *)found;
	return 0;
}

/* All graves: no key is found, and no entry is empty where a search would end. */
START_TEST(an_index_that_leads_nowhere_is_told_in_bounded_time)
{
	struct shr_table *table = table_make(SHR_TABLE_ATOMIC, 20000);
	struct shr_inspect *inspect = inspect_open();
	struct shr_table_status status;
	struct shr_object_info object;
	uint64_t grave = INDEX_GRAVE;
	int found = 0;
	char key[16];

	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "%d", i);
		put(table, key);
	}
	MUST(shr_inspect_check(inspect, index_only, &found));
	ck_assert_int_eq(found, 0);
	MUST(shr_inspect_object(inspect, 0, &object));
	MUST(shr_inspect_table(inspect, 0, &status));
	for (uint64_t i = 0; i < status.index_size; i++)
		poke(object.offset + FORMAT_TABLE_INDEX + i * sizeof(grave), &grave, sizeof(grave));
	MUST(shr_inspect_check(inspect, index_only, &found));
	ck_assert_int_ge(found, 1);
	ck_assert_int_lt(found, 100); /* a look at all entries for each key would tell of each */
	shr_inspect_close(inspect);
	MUST(shr_table_close(table));
}
END_TEST

static int look_at_all(void)
{
	int found = 0;
	struct shr_inspect *inspect = NULL;
	struct shr_object_info object;
	struct shr_table_status status;
	struct shr_slot_info infos[10];
	struct shr_mutex_info lock;
	int seen = 1;

	if (shr_inspect_open(&inspect, name))
		return 0;
	ck_assert_int_ge(shr_inspect_check(inspect, no_more, &found), -ENOMEM);
	ck_assert_int_le(found, 20);
	if (!shr_inspect_object(inspect, 0, &object) && object.kind == SHR_OBJECT_TABLE) {
		uint64_t value;

		MUST(shr_inspect_table(inspect, 0, &status));
		ck_assert_uint_le(status.used, status.slots);
		shr_inspect_table_lock(inspect, 0, &lock);
		ck_assert_int_eq(shr_inspect_slots(inspect, 0, 0, 10, infos),
				 status.slots < 10 ? (int)status.slots : 10);
		for (uint32_t i = 0; i < 10; i++) {
			char buffer[80];
			int err = shr_inspect_slot(inspect, 0, i, buffer, sizeof(buffer), infos,
						   &lock);

			seen = err ? seen : 2;
			shr_inspect_slot(inspect, 0, i, NULL, 0, infos, &lock);
			shr_inspect_counter(inspect, SHR_COUNTERS_TABLE, 0, 0, i, &value);
		}
	}
	shr_inspect_close(inspect);
	return seen;
}

START_TEST(no_damaged_table_is_more_than_an_error)
{
	struct shr_table *table = table_make((uint32_t)_i, 6);
	uint64_t seed = (uint64_t)_i * 1000003, opened = 0, read = 0;
	int fd;

	for (uint32_t i = 0; i < 5; i++)
		put(table, (const char[]){(char)('a' + i), 0});
	MUST(shr_table_close(table));
	fd = open(path, O_RDWR | O_CLOEXEC);
	image_size = (size_t)lseek(fd, 0, SEEK_END);
	image = malloc(image_size);
	for (int round = 0; round < 2000; round++) {
		size_t where[8];
		char saved[8][8];
		int count = 1 + (int)(mix(++seed) % 8), seen;

		ck_assert_int_eq(pread(fd, image, image_size, 0), (ssize_t)image_size);
		for (int i = 0; i < count; i++) {
			uint64_t r = mix(++seed);
			/* Anything, the entry in the directory, or the table. */
			size_t at = r % 3 == 0   ? mix(r) % image_size
				    : r % 3 == 1 ? 256 + mix(r) % 128
						 : image_size - 4096 + mix(r) % 4096;

			where[i] = at & ~(size_t)7;
			memcpy(saved[i], image + where[i], 8);
			if (r & 256)
				image[at] = (char)(r >> 32);
			else
				memcpy(image + where[i], &(uint64_t){r >> (r >> 58)}, 8);
		}
		if (seed & 1)
			reseal_image(image, image_size);
		ck_assert_int_eq(pwrite(fd, image, image_size, 0), (ssize_t)image_size);
		seen = look_at_all();
		opened += seen > 0;
		read += seen > 1;
		for (int i = count; i-- > 0;)
			memcpy(image + where[i], saved[i], 8);
		reseal_image(image, image_size);
		ck_assert_int_eq(pwrite(fd, image, image_size, 0), (ssize_t)image_size);
	}
	ck_assert_uint_gt(opened, 200);
	ck_assert_uint_gt(read, 150);
	close(fd);
	free(image);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inspect_table");
	TCase *tc = tcase_create("inspect_table");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, the_numbers_of_all_slots_are_what_a_member_sees, 0, 2);
	tcase_add_loop_test(tc, a_slot_that_changes_all_the_time_has_numbers, 0, 2);
	tcase_add_test(tc, the_lock_of_a_table_tells_its_owner);
	tcase_add_test(tc, the_counters_of_a_table_are_described);
	tcase_add_test(tc, an_index_that_leads_nowhere_is_told_in_bounded_time);
	tcase_add_loop_test(tc, no_damaged_table_is_more_than_an_error, 0, 3);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
