/* SPDX-License-Identifier: MIT */
/* Images of segments, of those in use, too: what is whole in one was whole. */
#include <fcntl.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "format.h"
#include "modes.h"

struct pair {
	char name[16];
	uint64_t here, there; /* their sum never changes */
	uint64_t fill[20];
};
SHR_SCHEMA(pair, 1, name, here, there, fill);

#define SUM   1000000u
#define SLOTS 40u
#define LARGE (16u << 20) /* bytes of a record */

static int file;
static volatile uint32_t *stop;

static void setup(void)
{
	fixture_setup("image");
	file = memfd_create("image", MFD_CLOEXEC);
	ck_assert_int_ge(file, 0);
	stop = shared_page();
}

static struct shr_inspect *image_of(struct shr_inspect *inspect, uint64_t *left_out)
{
	struct shr_inspect *image = NULL;

	MUST(shr_inspect_save(inspect, file, left_out));
	MUST(shr_inspect_open_image(&image, file));
	return image;
}

static pid_t start(void (*work)(int), int which)
{
	pid_t child = fork();

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(which);
		_exit(0);
	}
	return child;
}

static int is_damage(const struct shr_damage *damage, void *unused)
{
	(void)unused;
	ck_abort_msg("damage %u of %u: %s", damage->code, damage->number, damage->text);
	return 0;
}

static void no_damage(struct shr_inspect *inspect)
{
	MUST(shr_inspect_check(inspect, is_damage, NULL));
}

/* --- Rings ------------------------------------------------------------------- */

static const struct kind {
	const char *name;
	uint32_t mode, flags, producers;
	int consumes;
} kinds[] = {
	{"single producer", SHR_RING_STREAM, SHR_RING_SINGLE_PRODUCER, 1, 1},
	{"several producers", SHR_RING_STREAM, 0, 2, 1},
	{"numbered", SHR_RING_STREAM, SHR_RING_SEQUENCE | SHR_RING_TIME, 2, 1},
	{"queue", SHR_RING_QUEUE, 0, 2, 1},
	{"flight recorder", SHR_RING_OVERWRITE, SHR_RING_SINGLE_PRODUCER, 1, 0},
	{"flight recorder of several", SHR_RING_OVERWRITE, 0, 2, 0},
	{"full", SHR_RING_STREAM, SHR_RING_SINGLE_PRODUCER, 1, 0},
};
#define KINDS (int)(sizeof(kinds) / sizeof(kinds[0]))
static const struct kind *kind;

static void produce(int who)
{
	struct shr_ring *ring = ring_again();
	struct shr_producer *producer = producer_of(ring);
	uint64_t number = 0;

	while (!*stop) {
		int err = try_put(producer, (uint32_t)who, number,
				  16 + (uint32_t)(mix(number) % 300));

		number += !err;
		if (err && err != -EAGAIN && err != -EBUSY && err != -ENOBUFS)
			_exit(-err);
	}
	_exit(shr_producer_close(producer) || shr_ring_close(ring));
}

static void consume(int unused)
{
	struct shr_ring *ring = ring_again();
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;

	(void)unused;
	while (!*stop)
		if (!shr_cursor_next(cursor, &record) && shr_cursor_release(cursor))
			_exit(1);
	_exit(0);
}

static void consume_queue(int unused)
{
	struct shr_ring *ring = ring_again();
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_record record;

	(void)unused;
	while (!*stop)
		if (!shr_cursor_next(cursor, &record) && shr_cursor_ack(cursor, &record))
			_exit(1);
	_exit(0);
}

/* All that is in the image: whole, each producer's in order. How many. */
static uint64_t walk_image(struct shr_inspect *image)
{
	uint64_t next[3] = {0}, count = 0;
	struct shr_walk_record record;
	struct shr_ring_status status;
	struct shr_cursor_info cursor;
	struct shr_walk *walk = NULL;
	int err;

	MUST(shr_inspect_ring(image, 0, &status));
	for (uint32_t i = 0; i < SHR_RING_CURSORS_MAX; i++)
		if (!shr_inspect_cursor(image, 0, i, &cursor))
			ck_assert_uint_le(status.tail - cursor.position, 16384);
	MUST(shr_walk_open(&walk, image, 0, SHR_WALK_OLDEST | SHR_WALK_BUSY | SHR_WALK_SKIPPED,
			   4096));
	while (!(err = shr_walk_next(walk, &record))) {
		struct head head;

		if (record.state == SHR_STATE_BUSY || record.state == SHR_STATE_SKIPPED)
			continue;
		head = check_payload(record.payload, record.copied);
		ck_assert_msg(head.producer == 1 || head.producer == 2,
			      "%s: a torn record at %llu of %llu bytes, state %u, tail %llu",
			      kind->name, (unsigned long long)record.position,
			      (unsigned long long)record.size, record.state,
			      (unsigned long long)status.tail);
		if (next[head.producer])
			ck_assert_uint_eq(head.sequence, next[head.producer]);
		next[head.producer] = head.sequence + 1;
		count++;
	}
	ck_assert_msg(err == -EAGAIN, "%s: %s", kind->name, shr_last_error());
	ck_assert_uint_eq(shr_walk_lost(walk), 0);
	ck_assert_uint_eq(shr_walk_position(walk), status.tail);
	shr_walk_close(walk);
	return count;
}

START_TEST(an_image_of_a_ring_in_use_is_whole)
{
	struct shr_ring *ring;
	struct shr_inspect *inspect;
	pid_t producers[2], consumer = 0;
	uint64_t records = 0;

	kind = &kinds[_i];
	ring = ring_make((struct shr_ring_options){.capacity = 16384,
						   .mode = kind->mode,
						   .flags = kind->flags,
						   .first_position = UINT64_MAX - 262143});
	inspect = inspect_of();
	for (uint32_t i = 0; i < kind->producers; i++)
		producers[i] = start(produce, (int)i + 1);
	if (kind->consumes)
		consumer = start(kind->mode == SHR_RING_QUEUE ? consume_queue : consume, 0);
	usleep(20000);
	for (int i = 0; i < 300; i++) {
		struct shr_inspect *image = image_of(inspect, NULL);

		records += walk_image(image);
		no_damage(image);
		no_damage(inspect);
		shr_inspect_close(image);
	}
	*stop = 1;
	for (uint32_t i = 0; i < kind->producers; i++)
		ck_assert_int_eq(ended(producers[i]), 0);
	if (consumer)
		ck_assert_int_eq(ended(consumer), 0);
	ck_assert_uint_gt(records, 300);
	shr_inspect_close(inspect);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(an_image_of_a_ring_at_rest_has_all_of_it)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 16384, .flags = variant(_i), .first_position = UINT64_MAX - 8191});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_inspect *inspect = inspect_of(), *image;
	struct shr_ring_status live, copied;
	struct shr_record record;

	kind = &kinds[0];
	for (uint64_t i = 0; i < 200; i++) {
		put(producer, i, 100);
		if (i < 21)
			continue;
		ck_assert_uint_eq(get(cursor, &record), i - 21);
		MUST(shr_cursor_release(cursor));
	}
	image = image_of(inspect, NULL);
	MUST(shr_inspect_ring(inspect, 0, &live));
	MUST(shr_inspect_ring(image, 0, &copied));
	ck_assert_mem_eq(&live, &copied, sizeof(live));
	ck_assert_uint_ge(walk_image(image), 21);
	shr_inspect_close(image);
	shr_inspect_close(inspect);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	shr_ring_close(ring);
}
END_TEST

START_TEST(a_corrupt_ring_is_saved_as_it_is)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 4096});
	struct shr_producer *producer = producer_of(ring);
	struct shr_inspect *inspect = inspect_of(), *image;
	uint64_t impossible = WORD_MAKE(WORD_READY, 1, 0, (1u << 20) + 1), found;
	off_t at;
	struct shr_object_info object;
	struct shr_walk_record record;
	struct shr_walk *walk = NULL;
	int fd = open(path, O_RDWR);

	put(producer, 1, 100);
	MUST(shr_inspect_object(inspect, 0, &object));
	/* It has a megabyte and a bit. */
	at = (off_t)object.offset + FORMAT_RING_DATA;
	ck_assert_int_eq(pwrite(fd, &impossible, 8, at), 8);
	image = image_of(inspect, NULL);
	MUST(shr_walk_open(&walk, image, 0, SHR_WALK_OLDEST, 4096));
	ck_assert_int_eq(shr_walk_next(walk, &record), -EBADMSG);
	shr_walk_close(walk);
	ck_assert_int_eq(pread(file, &found, 8, at), 8);
	ck_assert_uint_eq(found, impossible);
	shr_inspect_close(image);
	shr_inspect_close(inspect);
	shr_producer_close(producer);
	shr_ring_close(ring);
	close(fd);
}
END_TEST

/* --- Tables ------------------------------------------------------------------ */

static void update(int which)
{
	struct shr_table *table = NULL;
	uint32_t slot = (uint32_t)which;
	struct pair *pair;
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .schema = SHR_SCHEMA_OF(pair)};

	if (shr_table_open(&table, name, "+<", &options, NULL))
		_exit(1);
	while (!*stop) {
		slot = (slot + 2) % SLOTS;
		if (shr_table_begin(table, slot, (void **)&pair))
			_exit(2);
		pair->here += 7;
		for (int i = 0; i < 20; i++)
			pair->fill[i] = pair->here;
		pair->there -= 7;
		if (shr_table_commit(table, slot))
			_exit(3);
	}
	_exit(0);
}

START_TEST(an_image_of_a_table_in_use_is_whole)
{
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = (uint32_t)_i,
					    .slots = SLOTS,
					    .schema = SHR_SCHEMA_OF(pair),
					    .key = "name"};
	struct shr_table *table = NULL;
	struct shr_inspect *inspect;
	uint64_t left_out, all_left_out = 0, seen = 0;
	pid_t children[2];

	MUST(shr_table_open(&table, name, "+>", &options, NULL));
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct pair pair = {.there = SUM};

		snprintf(pair.name, sizeof(pair.name), "%u", i);
		MUST(shr_table_insert(table, &pair, sizeof(pair), NULL));
	}
	inspect = inspect_of();
	for (int i = 0; i < 2; i++)
		children[i] = start(update, i);
	for (int i = 0; i < 300; i++) {
		struct shr_inspect *image = image_of(inspect, &left_out);
		uint64_t used = 0, torn = 0;

		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			struct pair pair;
			int err = shr_inspect_slot(image, 0, slot, &pair, sizeof(pair), NULL, NULL);

			if (err == -EAGAIN && _i == SHR_TABLE_IN_PLACE) {
				torn++;
				continue;
			}
			if (err) {
				ck_assert_int_eq(err, -ENOENT);
				continue;
			}
			ck_assert_uint_eq(pair.here + pair.there, SUM);
			ck_assert_uint_eq(pair.fill[19], pair.here);
			used++;
		}
		ck_assert_uint_eq(used + torn + left_out, SLOTS);
		if (_i != SHR_TABLE_IN_PLACE)
			no_damage(image);
		no_damage(inspect);
		all_left_out += torn + left_out;
		seen += used;
		shr_inspect_close(image);
	}
	*stop = 1;
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(ended(children[i]), 0);
	ck_assert_uint_gt(seen, all_left_out);
	shr_inspect_close(inspect);
	MUST(shr_table_close(table));
}
END_TEST

/* --- While it is saved ---------------------------------------------------------- */

/* Called in the middle of the work, so that what it does is there by the next system call. */
struct during {
	uint64_t segment; /* bytes: behind them the objects are copied anew */
	uint64_t calls, done, total;
	int times; /* that it still changes something */
	void (*change)(struct during *during);
	struct shr_producer *producer;
	struct shr_cursor *cursor;
	struct shr_table *table;
	uint64_t number;
	uint64_t stop_at; /* this call; 0: never */
};

static int progress(uint64_t done, uint64_t total, void *argument)
{
	struct during *during = argument;

	ck_assert_uint_ge(done, during->done);
	ck_assert_uint_ge(total, during->total);
	ck_assert_uint_le(done, total);
	during->done = done;
	during->total = total;
	if (during->change && during->times && done > during->segment) {
		during->times--;
		during->change(during);
	}
	return ++during->calls == during->stop_at;
}

static void during_begin(struct during *during, struct shr_inspect *inspect)
{
	struct shr_segment_info info;

	MUST(shr_inspect_segment(inspect, &info));
	during->segment = info.size;
	during->number = 1000;
	shr_inspect_on_progress(inspect, progress, during);
}

static void a_lap(struct during *during)
{
	for (int i = 0; i < 300; i++)
		put(during->producer, during->number++, 100);
}

/* Of the first copy nothing is left that may be trusted. */
START_TEST(a_ring_that_was_lapped_is_copied_again)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 16384, .mode = SHR_RING_OVERWRITE, .flags = variant(_i)});
	struct during during = {.producer = producer_of(ring), .change = a_lap, .times = 3};
	struct shr_inspect *inspect = inspect_of(), *image;

	kind = &kinds[4];
	during_begin(&during, inspect);
	a_lap(&during);
	image = image_of(inspect, NULL);
	ck_assert_int_eq(during.times, 0);
	ck_assert_uint_gt(walk_image(image), 50);
	ck_assert_uint_ge(during.done, during.segment + 4 * 16384);
	no_damage(image);
	shr_inspect_close(image);
	/* Again and again: what is left is empty. */
	during.times = INT_MAX;
	during.done = during.total = 0;
	image = image_of(inspect, NULL);
	ck_assert_uint_eq(walk_image(image), 0);
	no_damage(image);
	shr_inspect_close(image);
	shr_inspect_close(inspect);
	shr_producer_close(during.producer);
	shr_ring_close(ring);
}
END_TEST

static void pass_on(struct during *during)
{
	struct shr_record record;

	for (int i = 0; i < 3; i++) {
		put(during->producer, during->number++, 100);
		MUST(shr_cursor_next(during->cursor, &record));
		MUST(kind->mode == SHR_RING_QUEUE ? shr_cursor_ack(during->cursor, &record)
						  : shr_cursor_release(during->cursor));
	}
}

/* All that is there of a cursor when the copy is made, and what it has read since. */
START_TEST(no_cursor_of_an_image_is_beyond_its_tail)
{
	struct during during = {.change = pass_on, .times = 1};
	struct shr_inspect *inspect, *image;
	struct shr_ring_status status, now;
	struct shr_ring *ring;

	kind = &kinds[_i];
	ring = ring_make((struct shr_ring_options){
		.capacity = 16384, .mode = kind->mode, .flags = kind->flags});
	during.producer = producer_of(ring);
	during.cursor = cursor_of(ring);
	inspect = inspect_of();
	during_begin(&during, inspect);
	pass_on(&during);
	MUST(shr_inspect_ring(inspect, 0, &status));
	image = image_of(inspect, NULL);
	ck_assert_int_eq(during.times, 0);
	MUST(shr_inspect_ring(inspect, 0, &now));
	ck_assert_uint_gt(now.position, status.tail);
	ck_assert_uint_gt(now.delivered, status.tail);
	MUST(shr_inspect_ring(image, 0, &now));
	ck_assert_uint_eq(now.tail, status.tail);
	ck_assert_uint_eq(now.position, status.tail);
	ck_assert_uint_eq(now.delivered, status.tail);
	ck_assert_uint_eq(walk_image(image), 3);
	no_damage(image);
	shr_inspect_close(image);
	shr_inspect_close(inspect);
	shr_cursor_close(during.cursor);
	shr_producer_close(during.producer);
	shr_ring_close(ring);
}
END_TEST

static void change_slot(struct during *during)
{
	uint64_t *record;

	MUST(shr_table_begin(during->table, 0, (void **)&record));
	record[0] = record[LARGE / 8 - 1] = ++during->number;
	MUST(shr_table_commit(during->table, 0));
}

/* Large slots, of which one changes all the time: they are not read 64 times. */
START_TEST(what_is_read_again_for_a_large_slot_is_bounded)
{
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = SHR_TABLE_IN_PLACE,
					    .slots = 2,
					    .record_size = LARGE};
	struct during during = {.change = change_slot, .times = INT_MAX};
	struct shr_inspect *inspect, *image;
	uint64_t left_out, all, *record = malloc(LARGE);
	struct shr_table *table = NULL;

	ck_assert_ptr_nonnull(record);
	memset(record, 1, LARGE);
	MUST(shr_table_open(&table, name, "+>", &options, NULL));
	MUST(shr_table_insert(table, record, LARGE, NULL));
	MUST(shr_table_insert(table, record, LARGE, NULL));
	during.table = table;
	inspect = inspect_of();
	during_begin(&during, inspect);
	image = image_of(inspect, &left_out);
	ck_assert_uint_eq(left_out, 1);
	ck_assert_int_eq(shr_inspect_slot(image, 0, 0, record, LARGE, NULL, NULL), -ENOENT);
	MUST(shr_inspect_slot(image, 0, 1, record, LARGE, NULL, NULL));
	ck_assert_uint_eq(record[LARGE / 8 - 1], 0x0101010101010101u);
	/* All once, the table once more, and then as much as the segment and 64 MiB. */
	all = 3 * during.segment + (64u << 20);
	ck_assert_uint_eq(during.done, during.total);
	ck_assert_uint_le(during.done, all);
	ck_assert_uint_gt(during.done, all - LARGE - (1u << 20));
	shr_inspect_close(image);
	/* One that changes once is there, as it is afterwards. */
	during.times = 1;
	during.done = during.total = 0;
	image = image_of(inspect, &left_out);
	ck_assert_int_eq(during.times, 0);
	ck_assert_uint_eq(left_out, 0);
	MUST(shr_inspect_slot(image, 0, 0, record, LARGE, NULL, NULL));
	ck_assert_uint_eq(record[0], during.number);
	ck_assert_uint_eq(record[LARGE / 8 - 1], during.number);
	shr_inspect_close(image);
	shr_inspect_close(inspect);
	MUST(shr_table_close(table));
	free(record);
}
END_TEST

static int no_damage_told(const struct shr_damage *damage, void *argument)
{
	(void)damage;
	(void)argument;
	return 99;
}

/* Save, and check: how far they are, up to the end, or to where they are stopped. */
START_TEST(progress_is_told_and_may_stop_the_work)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 1u << 20});
	struct shr_producer *producer = producer_of(ring);
	struct shr_inspect *inspect = inspect_of();
	struct during during = {0};
	uint64_t calls;

	for (uint64_t i = 0; i < 1000; i++)
		put(producer, i, 100);
	during_begin(&during, inspect);
	MUST(_i ? shr_inspect_check(inspect, no_damage_told, NULL)
		: shr_inspect_save(inspect, file, NULL));
	calls = during.calls;
	ck_assert_uint_gt(calls, _i ? 1000 : 2);
	ck_assert_uint_eq(during.done, during.total);
	ck_assert_uint_ge(during.total, 1u << 20);
	/* Also at the last one. */
	for (uint64_t at = calls; at && at <= calls; at -= calls / 7 + (calls < 7)) {
		during = (struct during){.stop_at = at};
		ck_assert_int_eq(_i ? shr_inspect_check(inspect, no_damage_told, NULL)
				    : shr_inspect_save(inspect, file, NULL),
				 -ECANCELED);
		ck_assert_uint_eq(during.calls, at);
	}
	shr_inspect_on_progress(inspect, NULL, NULL);
	MUST(_i ? shr_inspect_check(inspect, no_damage_told, NULL)
		: shr_inspect_save(inspect, file, NULL));
	shr_inspect_close(inspect);
	shr_producer_close(producer);
	shr_ring_close(ring);
}
END_TEST

/* --- Images ------------------------------------------------------------------ */

START_TEST(of_an_image_nobody_knows_who_lives)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 4096});
	struct shr_inspect *inspect = inspect_of(), *image = image_of(inspect, NULL);
	struct shr_segment_info info, of_image;
	struct shr_member_info member;

	MUST(shr_inspect_segment(inspect, &info));
	MUST(shr_inspect_segment(image, &of_image));
	ck_assert_uint_eq(info.life, SHR_LIFE_FILE);
	ck_assert_uint_eq(of_image.life, SHR_LIFE_IMAGE);
	ck_assert_uint_eq(of_image.epoch, info.epoch);
	ck_assert_uint_eq(of_image.obsolete, 0);
	MUST(shr_inspect_member(inspect, 1, &member));
	ck_assert_uint_eq(member.state, SHR_MEMBER_ALIVE);
	MUST(shr_inspect_member(image, 1, &member));
	ck_assert_uint_eq(member.state, SHR_MEMBER_UNKNOWN);
	ck_assert_uint_eq(member.pid, (uint32_t)getpid());
	shr_inspect_close(image);
	shr_inspect_close(inspect);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(an_image_has_the_holes_of_the_segment)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 1u << 28});
	struct shr_producer *producer = producer_of(ring);
	struct shr_inspect *inspect = inspect_of(), *image;
	struct stat st;

	kind = &kinds[0];
	for (uint64_t i = 0; i < 10; i++)
		put(producer, i, 100);
	image = image_of(inspect, NULL);
	ck_assert_uint_eq(walk_image(image), 10);
	ck_assert_int_eq(fstat(file, &st), 0);
	ck_assert_int_ge(st.st_size, 1 << 28);
	ck_assert_int_lt(st.st_blocks, (1 << 20) / 512);
	shr_inspect_close(image);
	shr_inspect_close(inspect);
	shr_producer_close(producer);
	MUST(shr_ring_close(ring));
}
END_TEST

START_TEST(what_is_no_image_is_an_error)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 4096});
	struct shr_inspect *inspect = inspect_of(), *image = NULL;
	int ends[2], fd;

	ck_assert_int_eq(shr_inspect_open_image(&image, file), -ENODATA);
	ck_assert_int_eq(pwrite(file, "nonsense", 8, 10000), 8);
	ck_assert_int_eq(shr_inspect_open_image(&image, file), -EMEDIUMTYPE);
	ck_assert_int_eq(shr_inspect_open_image(&image, -1), -EBADF);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_lt(shr_inspect_open_image(&image, ends[0]), 0);
	ck_assert_ptr_null(image);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(shr_inspect_save(inspect, fd, NULL), -EINVAL); /* no file to write to */
	close(fd);
	fd = open("/dev/full", O_RDWR);
	ck_assert_int_lt(shr_inspect_save(inspect, fd, NULL), 0);
	close(fd);
	MUST(shr_inspect_save(inspect, file, NULL));
	ck_assert_int_eq(ftruncate(file, 5000), 0);
	ck_assert_int_eq(shr_inspect_open_image(&image, file), -ENODATA);
	shr_inspect_close(inspect);
	MUST(shr_ring_close(ring));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image");
	TCase *tc = tcase_create("image");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, an_image_of_a_ring_in_use_is_whole, 0, KINDS);
	tcase_add_loop_test(tc, an_image_of_a_ring_at_rest_has_all_of_it, 0, VARIANTS);
	tcase_add_test(tc, a_corrupt_ring_is_saved_as_it_is);
	tcase_add_loop_test(tc, an_image_of_a_table_in_use_is_whole, 0, 2);
	tcase_add_loop_test(tc, a_ring_that_was_lapped_is_copied_again, 0, VARIANTS);
	tcase_add_loop_test(tc, no_cursor_of_an_image_is_beyond_its_tail, 0, 4);
	tcase_add_test(tc, what_is_read_again_for_a_large_slot_is_bounded);
	tcase_add_loop_test(tc, progress_is_told_and_may_stop_the_work, 0, 2);
	tcase_add_test(tc, of_an_image_nobody_knows_who_lives);
	tcase_add_test(tc, an_image_has_the_holes_of_the_segment);
	tcase_add_test(tc, what_is_no_image_is_an_error);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
