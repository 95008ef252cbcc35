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
	uint64_t moved = 0, held = 0;
	struct shr_mutex_info lock;
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
		/* It may be free again when it is looked at once more: then it is not told. */
		for (uint32_t number = 0;
		     shr_inspect_next_lock(inspect, 0, &number, &info, &lock) > 0; number++) {
			ck_assert_uint_eq(number, 0);
			ck_assert(lock.state != SHR_MUTEX_FREE || info.sequence % 2);
			held++;
		}
	}
	ck_assert_uint_gt(moved, 10);
	ck_assert_uint_gt(held, 0);
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

/* --- Locks of slots ------------------------------------------------------------ */

/* System calls of this process that read. */
static unsigned long long reads_so_far(void)
{
	FILE *io = fopen("/proc/self/io", "r");
	unsigned long long reads = 0;
	char line[80];

	while (io && fgets(line, sizeof(line), io))
		if (sscanf(line, "syscr: %llu", &reads) == 1)
			break;
	if (io)
		fclose(io);
	ck_assert_msg(reads, "/proc/self/io does not tell");
	return reads;
}

/* Where slot @slot is in the file. */
static uint64_t slot_at(struct shr_inspect *inspect, uint32_t slot)
{
	struct shr_object_info object;
	struct shr_table_status status;

	MUST(shr_inspect_object(inspect, 0, &object));
	MUST(shr_inspect_table(inspect, 0, &status));
	return object.offset + object.size - (uint64_t)(status.slots - slot) *
						     ((object.size - FORMAT_TABLE_INDEX) / status.slots);
}

/* What is told of each slot, one by one, is told of those that are to see, and of no other. */
static uint32_t compare_locks(struct shr_inspect *inspect, uint32_t slots, int in_place)
{
	uint32_t number = 0, found = 0;

	for (uint32_t slot = 0; slot < slots; slot++) {
		struct shr_mutex_info lock, next_lock;
		struct shr_slot_info info, next_info;
		int err = shr_inspect_slot(inspect, 0, slot, NULL, 0, &info, &lock);

		ck_assert(!err || err == -EBADMSG);
		if (!err && lock.state == SHR_MUTEX_FREE && !lock.deaths &&
		    !(in_place && info.generation & info.sequence & 1))
			continue;
		ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, &next_info, &next_lock),
				 err ? err : 1);
		ck_assert_uint_eq(number, slot);
		if (!err) {
			ck_assert_mem_eq(&next_info, &info, sizeof(info));
			ck_assert_mem_eq(&next_lock, &lock, sizeof(lock));
		}
		number++;
		found++;
	}
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), 0);
	return found;
}

/* Slots of 256 bytes, of which many are read at once, and of 128 KiB. */
START_TEST(the_next_lock_is_the_next_that_is_to_see)
{
	const uint32_t slots = _i & 1 ? 9 : 3000;
	const int in_place = _i >= 2;
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = in_place ? SHR_TABLE_IN_PLACE : SHR_TABLE_ATOMIC,
					    .slots = slots,
					    .record_size = _i & 1 ? 65536 : 64};
	static const uint32_t words[] = {1, MUTEX_DIRTY, MUTEX_LOST, MUTEX_ONE_DEATH, 1 | MUTEX_DIRTY,
					 MUTEX_RESERVED};
	struct shr_table *table = NULL;
	struct shr_inspect *inspect;
	uint32_t number = 0;
	uint64_t odd = 1;

	MUST(shr_table_open(&table, name, "+>", &options, NULL));
	MUST(shr_table_insert(table, "a", 1, &number));
	inspect = inspect_open();
	number = 0;
	ck_assert_uint_eq(compare_locks(inspect, slots, in_place), 0);
	poke(slot_at(inspect, slots - 1), &words[0], 4);
	ck_assert_uint_eq(compare_locks(inspect, slots, in_place), 1);
	for (uint32_t i = 0; i < slots / 3; i++) {
		uint32_t slot = (uint32_t)(mix(i) % slots);

		poke(slot_at(inspect, slot), &words[i % 6], 4);
		poke(slot_at(inspect, (uint32_t)(mix(~i) % slots)) +
			     offsetof(struct shm_slot, sequence),
		     &odd, 8);
		if (i % 2) /* of the others nothing is to see */
			poke(slot_at(inspect, (uint32_t)(mix(~i) % slots)) +
				     offsetof(struct shm_slot, generation),
			     &odd, 8);
	}
	ck_assert_uint_ge(compare_locks(inspect, slots, in_place), slots / 6);
	number = slots;
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), 0);
	number = UINT32_MAX;
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), 0);
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 1, &number, NULL, NULL), -ENOENT);
	shr_inspect_close(inspect);
	MUST(shr_table_close(table));
}
END_TEST

/* What lies behind a table is another object's. */
START_TEST(the_next_lock_is_one_of_this_table)
{
	struct shr_table_options options = {
		.struct_size = sizeof(options), .slots = 3, .record_size = 24};
	struct shr_segment *segment = NULL;
	struct shr_object objects[2];
	struct shr_inspect *inspect;
	const uint32_t held = 1;
	char ones[4096];

	MUST(shr_table_describe(&objects[0], "first", &options));
	MUST(shr_table_describe(&objects[1], "second", &options));
	MUST(shr_segment_create(&segment, name, objects, 2, NULL));
	inspect = inspect_open();
	memset(ones, 1, sizeof(ones));
	poke(slot_at(inspect, 3), ones, sizeof(ones));
	for (int is_held = 0; is_held < 2; is_held++) {
		for (uint32_t from = 0; from < 5; from++) {
			uint32_t number = from;

			ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL),
					 is_held && from < 3);
			ck_assert(!is_held || from > 2 || number == 2);
		}
		poke(slot_at(inspect, 2), &held, sizeof(held));
	}
	shr_inspect_close(inspect);
	MUST(shr_segment_detach(segment));
}
END_TEST

/* 2^16 slots: all of them written to, and then nearly all in a hole. */
START_TEST(locks_of_many_slots_take_few_system_calls)
{
	const uint32_t slots = 1u << 16, wanted = 54321, held = 1;
	struct shr_table_options options = {
		.struct_size = sizeof(options), .slots = slots, .record_size = 24};
	struct shr_table *table = NULL;
	struct shr_inspect *inspect;
	unsigned long long before;
	uint32_t number = 0;
	int fd;

	MUST(shr_table_open(&table, name, "+>", &options, NULL));
	for (uint32_t i = 0; i < slots; i++)
		MUST(shr_table_insert(table, "a", 1, NULL));
	inspect = inspect_open();
	poke(slot_at(inspect, wanted), &held, sizeof(held));
	before = reads_so_far();
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), 1);
	ck_assert_uint_eq(number++, wanted);
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), 0);
	ck_assert_uint_lt(reads_so_far() - before, slots / 32);
	fd = open(path, O_RDWR | O_CLOEXEC);
	for (int behind = 0; behind < 2; behind++) {
		uint64_t from = slot_at(inspect, behind ? wanted + 64 : 0);
		uint64_t to = slot_at(inspect, behind ? slots : wanted - 64);

		ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					   (off_t)from, (off_t)(to - from)),
				 0);
	}
	close(fd);
	before = reads_so_far();
	number = 0;
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), 1);
	ck_assert_uint_eq(number++, wanted);
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), 0);
	ck_assert_uint_lt(reads_so_far() - before, 40);
	MUST(shr_table_close(table));
	ck_assert_int_eq(truncate(path, (off_t)slot_at(inspect, wanted + 2) + 1), 0);
	number = wanted + 1;
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), -ENODATA);
	ck_assert_uint_gt(number, wanted + 1);
	number = wanted + 100; /* no hole, but behind the end */
	ck_assert_int_eq(shr_inspect_next_lock(inspect, 0, &number, NULL, NULL), -ENODATA);
	shr_inspect_close(inspect);
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
		uint32_t next = 0;
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
			shr_inspect_next_lock(inspect, 0, &next, infos, &lock);
			next++;
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
	tcase_add_loop_test(tc, the_next_lock_is_the_next_that_is_to_see, 0, 4);
	tcase_add_test(tc, the_next_lock_is_one_of_this_table);
	tcase_add_test(tc, locks_of_many_slots_take_few_system_calls);
	tcase_add_test(tc, the_counters_of_a_table_are_described);
	tcase_add_test(tc, an_index_that_leads_nowhere_is_told_in_bounded_time);
	tcase_add_loop_test(tc, no_damaged_table_is_more_than_an_error, 0, 3);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
