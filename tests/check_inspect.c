/* SPDX-License-Identifier: MIT */
/* Looking from outside: what is seen is true and whole, and nobody notices. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "reseal.h"
#include "fixture.h"
#include "format.h"

static void setup(void)
{
	fixture_setup("inspect");
}

static struct shr_inspect *inspect_open(void)
{
	struct shr_inspect *inspect = NULL;

	MUST(shr_inspect_open(&inspect, name));
	return inspect;
}

static struct shr_walk *walk_open(struct shr_inspect *inspect, uint32_t flags)
{
	struct shr_walk *walk = NULL;

	MUST(shr_walk_open(&walk, inspect, 0, flags, 1 << 20));
	return walk;
}

static void put(struct shr_producer *producer, uint64_t sequence, uint32_t size)
{
	void *payload;

	MUST(shr_producer_reserve(producer, size, &payload));
	fill(payload, 7, sequence, size);
	MUST(shr_producer_commit(producer));
}

static struct head walk_head(struct shr_walk *walk)
{
	struct shr_walk_record record;
	int err = shr_walk_next(walk, &record);

	if (err)
		return (struct head){UINT32_MAX, (uint32_t)-err, 0};
	ck_assert_int_eq(record.state, SHR_STATE_READY);
	ck_assert_uint_eq(record.copied, record.size);
	return check_payload(record.payload, record.copied);
}

struct sample {
	uint64_t id;
	double value;
};
SHR_SCHEMA(sample, 3, id, value);

START_TEST(segment_objects_and_schema_are_shown)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .capacity = 4096,
					   .max_record = 100,
					   .flags = SHR_RING_SINGLE_PRODUCER,
					   .schema = SHR_SCHEMA_OF(sample)};
	struct shr_object objects[2] = {
		{0}, {.kind = SHR_OBJECT_BYTES, .name = "blob", .size = 10}};
	struct shr_segment_options how = {.struct_size = sizeof(how), .members = 5, .role = "boss"};
	struct shr_segment *segment = NULL;
	struct shr_inspect *inspect;
	struct shr_segment_info info;
	struct shr_object_info object;
	struct shr_member_info member;
	struct shr_ring_status status;
	struct shr_walk *walk = NULL;
	char bytes[10];
	size_t size;
	void *blob;

	MUST(shr_ring_describe(&objects[0], "samples", &options));
	MUST(shr_segment_create(&segment, name, objects, 2, &how));
	MUST(shr_segment_bytes(segment, "blob", &blob, &size));
	memcpy(blob, "0123456789", 10);
	inspect = inspect_open();
	MUST(shr_inspect_segment(inspect, &info));
	ck_assert_uint_eq(info.epoch, shr_segment_epoch(segment));
	ck_assert_uint_eq(info.members, 5);
	ck_assert_uint_eq(info.objects, 2);
	ck_assert_uint_eq(info.obsolete, 0);
	ck_assert_uint_eq(info.this_boot, 1);
	ck_assert_uint_eq(info.creator_pid, (uint32_t)getpid());
	ck_assert_uint_le((uint64_t)time(NULL) - info.created_ns / 1000000000u, 5);
	MUST(shr_inspect_object(inspect, 0, &object));
	ck_assert_str_eq(object.name, "samples");
	ck_assert_uint_eq(object.kind, SHR_OBJECT_RING);
	ck_assert_uint_eq(object.ring.capacity, 4096);
	ck_assert_uint_eq(object.ring.max_record, 100);
	ck_assert_uint_eq(object.ring.flags, SHR_RING_SINGLE_PRODUCER);
	ck_assert_uint_eq(object.schema_hash, shr_schema_hash(SHR_SCHEMA_OF(sample)));
	MUST(shr_schema_match(SHR_SCHEMA_OF(sample), object.schema));
	ck_assert_uint_eq(object.schema->version, 3);
	MUST(shr_inspect_object(inspect, 1, &object));
	ck_assert_ptr_null(object.schema);
	ck_assert_int_eq(shr_inspect_object(inspect, 2, &object), -ENOENT);
	ck_assert_int_eq(shr_inspect_find(inspect, "blob"), 1);
	ck_assert_int_eq(shr_inspect_find(inspect, "blub"), -ENOENT);
	MUST(shr_inspect_bytes(inspect, 1, 3, bytes, 7));
	ck_assert_mem_eq(bytes, "3456789", 7);
	ck_assert_int_eq(shr_inspect_bytes(inspect, 1, 4, bytes, 7), -ERANGE);
	ck_assert_int_eq(shr_inspect_bytes(inspect, 2, 0, bytes, 1), -ENOENT);
	ck_assert_int_eq(shr_inspect_ring(inspect, 1, &status), -EPROTOTYPE);
	ck_assert_int_eq(shr_walk_open(&walk, inspect, 1, 0, 10), -EPROTOTYPE);
	ck_assert_int_eq(shr_walk_open(&walk, inspect, 0, 3, 10), -EINVAL);
	MUST(shr_inspect_member(inspect, 1, &member));
	ck_assert_uint_eq(member.state, SHR_MEMBER_ALIVE);
	ck_assert_uint_eq(member.pid, (uint32_t)getpid());
	ck_assert_uint_eq(member.same_namespace, 1);
	ck_assert_str_eq(member.role, "boss");
	ck_assert_str_eq(member.command, "check_inspect");
	MUST(shr_inspect_member(inspect, 2, &member));
	ck_assert_uint_eq(member.state, SHR_MEMBER_FREE);
	ck_assert_int_eq(shr_inspect_member(inspect, 0, &member), -ENOENT);
	ck_assert_int_eq(shr_inspect_member(inspect, 6, &member), -ENOENT);
	MUST(shr_segment_detach(segment));
	MUST(shr_inspect_member(inspect, 1, &member));
	ck_assert_uint_eq(member.state, SHR_MEMBER_FREE);
	MUST(shr_segment_unlink(name));
	MUST(shr_inspect_segment(inspect, &info));
	ck_assert_uint_eq(info.obsolete, 1);
	shr_inspect_close(inspect);
	inspect = NULL;
	ck_assert_int_eq(shr_inspect_open(&inspect, name), -ENOENT);
}
END_TEST

START_TEST(a_plain_rm_is_obsolete_too)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){0});
	struct shr_inspect *inspect = inspect_open();
	struct shr_segment_info info;

	unlink(path);
	MUST(shr_inspect_segment(inspect, &info));
	ck_assert_uint_eq(info.obsolete, 1);
	shr_inspect_close(inspect);
	shr_ring_close(ring);
}
END_TEST

static uint32_t member_state(struct shr_inspect *inspect, uint32_t number)
{
	struct shr_member_info member;

	MUST(shr_inspect_member(inspect, number, &member));
	return member.state;
}

START_TEST(a_killed_member_is_dead_and_one_attaching_is_coming)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){0});
	struct shr_inspect *inspect = inspect_open();
	struct flock lock = {.l_type = F_WRLCK, .l_start = FORMAT_LOCK_BYTE + 4, .l_len = 1};
	int fd = open(path, O_RDWR);
	pid_t child = fork();

	if (!child) {
		struct shr_segment *mine = NULL;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (shr_segment_attach(&mine, name, NULL))
			_exit(1);
		for (;;)
			pause();
	}
	for (int i = 0; i < 5000 && member_state(inspect, 2) != SHR_MEMBER_ALIVE; i++)
		usleep(1000);
	ck_assert_uint_eq(member_state(inspect, 2), SHR_MEMBER_ALIVE);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (int i = 0; i < 5000 && member_state(inspect, 2) != SHR_MEMBER_DEAD; i++)
		usleep(1000);
	ck_assert_uint_eq(member_state(inspect, 2), SHR_MEMBER_DEAD);
	ck_assert_uint_eq(member_state(inspect, 1), SHR_MEMBER_ALIVE);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	ck_assert_uint_eq(member_state(inspect, 5), SHR_MEMBER_COMING);
	close(fd);
	ck_assert_uint_eq(member_state(inspect, 5), SHR_MEMBER_FREE);
	shr_inspect_close(inspect);
	shr_ring_close(ring);
}
END_TEST

START_TEST(ring_numbers_are_those_of_a_member)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 2048, .flags = _i, .first_position = UINT64_MAX - 4095});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_inspect *inspect = inspect_open();
	struct shr_ring_status seen, own;
	struct shr_record record;

	for (uint64_t i = 0; i < 1000; i++) {
		while (i % 2 && shr_cursor_next(cursor, &record) == 0)
			MUST(shr_cursor_release(cursor));
		put(producer, i, 16 + (uint32_t)(mix(i) % 180));
		MUST(shr_ring_stat(ring, &own));
		MUST(shr_inspect_ring(inspect, 0, &seen));
		ck_assert_mem_eq(&own, &seen, sizeof(own));
	}
	ck_assert_uint_eq(seen.consumer, 1);
	shr_inspect_close(inspect);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	shr_ring_close(ring);
}
END_TEST

/* Twenty records, ten of them released: history, unread, new. */
START_TEST(walks_start_where_they_are_told)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 4096, .flags = _i, .first_position = UINT64_MAX - 1023});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_inspect *inspect = inspect_open();
	struct shr_walk *oldest, *unread, *fresh;
	struct shr_walk_record record;
	struct shr_record taken;

	for (uint64_t i = 0; i < 20; i++)
		put(producer, i, 100);
	for (int i = 0; i < 10; i++)
		MUST(shr_cursor_next(cursor, &taken));
	MUST(shr_cursor_release(cursor));
	oldest = walk_open(inspect, SHR_WALK_OLDEST);
	unread = walk_open(inspect, SHR_WALK_UNREAD);
	fresh = walk_open(inspect, SHR_WALK_NEW);
	put(producer, 20, 100);
	for (uint64_t i = 0; i <= 20; i++)
		ck_assert_uint_eq(walk_head(oldest).sequence, i);
	for (uint64_t i = 10; i <= 20; i++)
		ck_assert_uint_eq(walk_head(unread).sequence, i);
	ck_assert_uint_eq(walk_head(fresh).sequence, 20);
	ck_assert_int_eq(shr_walk_next(oldest, &record), -EAGAIN);
	ck_assert_int_eq(shr_walk_next(unread, &record), -EAGAIN);
	ck_assert_int_eq(shr_walk_next(fresh, &record), -EAGAIN);
	ck_assert_uint_eq(shr_walk_position(fresh), shr_walk_position(oldest));
	shr_walk_close(fresh);
	fresh = NULL;
	MUST(shr_walk_open(&fresh, inspect, 0, SHR_WALK_UNREAD, 10));
	MUST(shr_walk_next(fresh, &record));
	ck_assert_uint_eq(record.size, 100);
	ck_assert_uint_eq(record.copied, 10);
	ck_assert_uint_eq(record.member, 1);
	ck_assert_uint_eq(shr_walk_lost(oldest) + shr_walk_lost(unread), 0);
	shr_walk_close(oldest);
	shr_walk_close(unread);
	shr_walk_close(fresh);
	shr_inspect_close(inspect);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	shr_ring_close(ring);
}
END_TEST

static void poke(uint64_t offset, uint64_t value)
{
	int fd = open(path, O_RDWR);

	ck_assert_int_eq(pwrite(fd, &value, 8, (off_t)offset), 8);
	close(fd);
}

START_TEST(records_in_work_and_skipped_are_told)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 1024});
	struct shr_producer *a = producer_of(ring), *b = producer_of(ring);
	struct shr_inspect *inspect = inspect_open();
	struct shr_walk *plain = walk_open(inspect, 0);
	struct shr_walk *all = walk_open(inspect, SHR_WALK_BUSY | SHR_WALK_SKIPPED);
	struct shr_walk_record record;
	struct shr_object_info object;
	void *payload;

	MUST(shr_producer_reserve(a, 40, &payload));
	put(b, 1, 50);
	ck_assert_int_eq(shr_walk_next(plain, &record), -EAGAIN);
	MUST(shr_walk_next(all, &record));
	ck_assert_int_eq(record.state, SHR_STATE_BUSY);
	ck_assert_uint_eq(record.size, 40);
	ck_assert_uint_eq(record.member, 1);
	ck_assert_uint_eq(walk_head(all).sequence, 1);
	MUST(shr_producer_abort(a));
	ck_assert_uint_eq(walk_head(plain).sequence, 1);
	shr_walk_close(all);
	all = walk_open(inspect, SHR_WALK_BUSY | SHR_WALK_SKIPPED);
	MUST(shr_walk_next(all, &record));
	ck_assert_int_eq(record.state, SHR_STATE_SKIPPED);
	ck_assert_uint_eq(walk_head(all).sequence, 1);
	/* Written by a claimer that died before it moved the tail: no record yet. */
	MUST(shr_inspect_object(inspect, 0, &object));
	poke(object.offset + FORMAT_RING_DATA + shr_walk_position(all), WORD_MAKE(WORD_BUSY, 1, 0, 8));
	ck_assert_int_eq(shr_walk_next(all, &record), -EAGAIN);
	shr_walk_close(all);
	shr_walk_close(plain);
	shr_inspect_close(inspect);
	shr_producer_close(a);
	shr_producer_close(b);
	shr_ring_close(ring);
}
END_TEST

START_TEST(what_was_used_again_is_counted_as_lost)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1024, .flags = _i, .first_position = UINT64_MAX - 2047});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	struct shr_inspect *inspect = inspect_open();
	struct shr_walk *walk = walk_open(inspect, SHR_WALK_UNREAD);
	uint64_t next = 0, lost = 0, start = shr_walk_position(walk), before = start, bytes = 0;
	struct shr_walk_record record;
	struct shr_record taken;

	for (uint64_t i = 0; i < 2000; i++) {
		put(producer, i, 24); /* 32 bytes in the ring: no PAD */
		MUST(shr_cursor_next(cursor, &taken));
		MUST(shr_cursor_release(cursor));
		if (mix(i) % 32)
			continue;
		while (shr_walk_next(walk, &record) == 0) {
			uint64_t now = check_payload(record.payload, record.copied).sequence;

			ck_assert_uint_eq(record.position - before, (now - next) * 32);
			lost += now - next;
			bytes += 32;
			next = now + 1;
			before = record.position + 32;
		}
		ck_assert_uint_eq(next, i + 1);
	}
	ck_assert_uint_gt(lost, 100);
	ck_assert_uint_eq(shr_walk_lost(walk), lost * 32);
	ck_assert_uint_eq(shr_walk_position(walk) - start, lost * 32 + bytes);
	shr_walk_close(walk);
	shr_inspect_close(inspect);
	shr_cursor_close(cursor);
	shr_producer_close(producer);
	shr_ring_close(ring);
}
END_TEST

/* A pair that passes records as fast as it can, until it is killed. */
static void run_pair(void)
{
	struct shr_ring *ring = NULL;
	struct shr_producer *producer = NULL;
	struct shr_cursor *cursor = NULL;
	struct shr_record record;
	void *payload;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (shr_ring_open(&ring, name, "+<", NULL, NULL) || shr_producer_open(&producer, ring) ||
	    shr_cursor_open(&cursor, ring, NULL))
		_exit(1);
	for (uint64_t i = 0;; i++) {
		uint32_t size = 16 + (uint32_t)(mix(i) % 100);

		if (shr_producer_reserve(producer, size, &payload))
			_exit(2);
		fill(payload, 7, i, size);
		if (shr_producer_commit(producer) || shr_cursor_next(cursor, &record) ||
		    shr_cursor_release(cursor))
			_exit(3);
	}
}

START_TEST(a_walk_beside_a_fast_pair_sees_only_whole_records)
{
	struct shr_ring *ring =
		ring_make((struct shr_ring_options){.capacity = _i & 2 ? 65536 : 1024, .flags = _i & 1});
	struct shr_inspect *inspect = inspect_open();
	struct shr_walk *walk = walk_open(inspect, SHR_WALK_OLDEST);
	uint64_t seen = 0, last = 0, ended = 0;
	int64_t end = shr_deadline_ns(1000000000);
	pid_t child = fork();
	int status;

	if (!child)
		run_pair();
	while (shr_deadline_ns(0) < end) {
		struct shr_walk_record record;
		int err = shr_walk_next(walk, &record);
		struct shr_ring_status now;
		struct head head;

		if (err == -EAGAIN) {
			ended++;
			continue;
		}
		ck_assert_msg(err == 0, "%d %s", err, shr_last_error());
		head = check_payload(record.payload, record.copied);
		ck_assert_uint_eq(head.producer, 7);
		ck_assert_uint_ge(head.sequence, last);
		last = head.sequence + 1;
		if (++seen % 64 == 0)
			MUST(shr_inspect_ring(inspect, 0, &now));
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	ck_assert(WIFSIGNALED(status));
	ck_assert_uint_gt(seen, 10);
	shr_walk_close(walk);
	shr_inspect_close(inspect);
	shr_ring_close(ring);
}
END_TEST

START_TEST(looking_maps_nothing_and_opens_read_only)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){0});
	struct shr_inspect *inspect;
	char line[512], fds[64];
	FILE *file;
	int found = 0;

	MUST(shr_ring_close(ring));
	inspect = inspect_open();
	file = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), file))
		ck_assert_ptr_null(strstr(line, name + 1));
	fclose(file);
	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(fds, sizeof(fds), "/proc/self/fd/%d", fd);
		n = readlink(fds, line, sizeof(line) - 1);
		if (n <= 0)
			continue;
		line[n] = '\0';
		if (!strstr(line, name + 1))
			continue;
		found++;
		ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
	ck_assert_int_eq(found, 1);
	shr_inspect_close(inspect);
}
END_TEST

static int count_own(const char *listed, int err, void *argument)
{
	ck_assert_int_eq(err, 0);
	*(int *)argument += !strcmp(listed, name);
	return 0;
}

static int stop_at_once(const char *listed, int err, void *argument)
{
	(void)listed, (void)err, (void)argument;
	return 42;
}

START_TEST(list_finds_segments_and_only_those)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){0});
	char other[160];
	int count = 0, fd;

	snprintf(other, sizeof(other), "%s-foreign", path);
	fd = open(other, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(write(fd, "hello, world", 12), 12);
	close(fd);
	ck_assert_int_eq(shr_inspect_list(count_own, &count), 0);
	ck_assert_int_eq(count, 1);
	ck_assert_int_eq(shr_inspect_list(stop_at_once, NULL), 42);
	unlink(other);
	shr_ring_close(ring);
}
END_TEST

/* --- Damage ----------------------------------------------------------------- */

START_TEST(an_impossible_ring_is_an_error_and_no_endless_walk)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){.capacity = 256, .flags = _i});
	struct shr_inspect *inspect;
	struct shr_object_info object;
	struct shr_walk *walk = NULL;
	struct shr_walk_record record;
	struct shr_ring_status status;
	uint64_t data;

	MUST(shr_ring_close(ring));
	inspect = inspect_open();
	MUST(shr_inspect_object(inspect, 0, &object));
	data = object.offset + FORMAT_RING_DATA;
	if (!_i)
		poke(object.offset + offsetof(struct shm_ring, tail), 1 << 20);
	for (uint64_t at = 0; at < 256; at += 8)
		poke(data + at, WORD_MAKE(WORD_PAD, 1, 0, 0));
	walk = walk_open(inspect, 0);
	ck_assert_int_eq(shr_walk_next(walk, &record), -EBADMSG);
	poke(data, WORD_MAKE(WORD_READY, 1, 0, 4000));
	shr_walk_close(walk);
	walk = walk_open(inspect, 0);
	ck_assert_int_eq(shr_walk_next(walk, &record), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(shr_last_error(), "corrupt"));
	if (_i)
		ck_assert_int_eq(shr_inspect_ring(inspect, 0, &status), -EBADMSG);
	poke(object.offset + offsetof(struct shm_ring, reclaim), 12345);
	ck_assert_int_eq(shr_walk_next(walk, &record), -EBADMSG);
	shr_walk_close(walk);
	walk = NULL;
	ck_assert_int_eq(shr_walk_open(&walk, inspect, 0, 0, 10), -EBADMSG);
	ck_assert_int_eq(truncate(path, (off_t)data), 0);
	ck_assert_int_eq(shr_walk_open(&walk, inspect, 0, SHR_WALK_UNREAD, 10), 0);
	ck_assert_int_eq(shr_walk_next(walk, &record), -ENODATA);
	ck_assert_int_eq(truncate(path, 0), 0);
	ck_assert_int_eq(shr_inspect_ring(inspect, 0, &status), -ENODATA);
	shr_walk_close(walk);
	shr_inspect_close(inspect);
}
END_TEST

static char *image;
static size_t image_size;

static void reseal(void)
{
	reseal_image(image, image_size);
}

/* All that an inspector can be asked. The errors are whatever they are. */
static int no_more(const struct shr_damage *damage, void *found)
{
	ck_assert_ptr_nonnull(damage->text);
	return ++*(int *)found == 20;
}

static int look_at_all(void)
{
	int found = 0;
	struct shr_inspect *inspect = NULL;
	struct shr_segment_info info;
	int err = shr_inspect_open(&inspect, name), records = 0;

	if (err)
		return 0;
	ck_assert_int_ge(shr_inspect_check(inspect, no_more, &found), -ENOMEM);
	ck_assert_int_le(found, 20);
	MUST(shr_inspect_segment(inspect, &info));
	for (uint32_t i = 1; i <= info.members; i++) {
		struct shr_member_info member;

		MUST(shr_inspect_member(inspect, i, &member));
	}
	for (uint32_t i = 0; i < info.objects; i++) {
		struct shr_object_info object;
		struct shr_ring_status status;
		struct shr_mutex_info mutex;
		struct shr_blame blame[2];
		int n_blame;

		if (shr_inspect_object(inspect, i, &object))
			continue;
		for (uint32_t n = 0; object.kind == SHR_OBJECT_MUTEX && n < object.count && n < 100; n++)
			shr_inspect_mutex(inspect, i, n, &mutex);
		if (object.kind != SHR_OBJECT_RING)
			continue;
		shr_inspect_ring(inspect, i, &status);
		n_blame = shr_inspect_blame(inspect, i, blame, 2);
		ck_assert_int_le(n_blame, 2);
		for (uint32_t flags = 0; flags < 3; flags++) {
			struct shr_walk *walk = NULL;
			struct shr_walk_record record;

			if (shr_walk_open(&walk, inspect, i, flags | SHR_WALK_BUSY | SHR_WALK_SKIPPED, 100))
				continue;
			for (int n = 0; n < 200 && !shr_walk_next(walk, &record); n++, records++)
				ck_assert_uint_le(record.copied, 100);
			shr_walk_close(walk);
		}
	}
	shr_inspect_close(inspect);
	return 1 + records;
}

START_TEST(no_damaged_file_whatever_is_more_than_an_error)
{
	struct shr_ring *ring = ring_make((struct shr_ring_options){
		.capacity = 1024, .flags = _i & 1, .schema = SHR_SCHEMA_OF(sample)});
	struct shr_producer *producer = producer_of(ring);
	struct shr_cursor *cursor = cursor_of(ring);
	uint64_t seed = (uint64_t)_i * 1000003, opened = 0, records = 0;
	struct shr_record record;
	int fd;

	for (uint64_t i = 0; i < 30; i++) {
		put(producer, i, 16 + (uint32_t)i);
		if (i < 25)
			MUST(shr_cursor_next(cursor, &record));
		MUST(shr_cursor_release(cursor));
	}
	shr_producer_close(producer);
	shr_cursor_close(cursor);
	shr_ring_close(ring);
	fd = open(path, O_RDWR);
	image_size = (size_t)lseek(fd, 0, SEEK_END);
	image = malloc(image_size);
	for (int round = 0; round < 3000; round++) {
		char saved[16][8];
		size_t where[16];
		int count = 1 + (int)(mix(++seed) % 16), seen;

		ck_assert_int_eq(pread(fd, image, image_size, 0), (ssize_t)image_size);
		for (int i = 0; i < count; i++) {
			uint64_t r = mix(++seed);
			/* Mostly header, schemas, and the ring; a field or a byte. */
			size_t at = r % 4 == 0   ? mix(r) % image_size
				    : r % 4 == 1 ? mix(r) % 512
				    : r % 4 == 2 ? 8192 + mix(r) % 400
						 : image_size - 5120 + mix(r) % 5120;

			where[i] = at & ~(size_t)7;
			memcpy(saved[i], image + where[i], 8);
			if (r & 256)
				image[at] = (char)(r >> 32);
			else
				memcpy(image + where[i], &(uint64_t){r >> (r >> 58)}, 8);
		}
		if (seed & 1)
			reseal();
		ck_assert_int_eq(pwrite(fd, image, image_size, 0), (ssize_t)image_size);
		seen = look_at_all();
		opened += seen > 0;
		records += seen > 1;
		for (int i = count; i-- > 0;)
			memcpy(image + where[i], saved[i], 8);
		reseal();
		ck_assert_int_eq(pwrite(fd, image, image_size, 0), (ssize_t)image_size);
	}
	ck_assert_uint_gt(opened, 300);
	ck_assert_uint_gt(records, 200);
	close(fd);
	free(image);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("inspect");
	TCase *tc = tcase_create("inspect");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, segment_objects_and_schema_are_shown);
	tcase_add_test(tc, a_plain_rm_is_obsolete_too);
	tcase_add_test(tc, a_killed_member_is_dead_and_one_attaching_is_coming);
	tcase_add_loop_test(tc, ring_numbers_are_those_of_a_member, 0, 2);
	tcase_add_loop_test(tc, walks_start_where_they_are_told, 0, 2);
	tcase_add_test(tc, records_in_work_and_skipped_are_told);
	tcase_add_loop_test(tc, what_was_used_again_is_counted_as_lost, 0, 2);
	tcase_add_loop_test(tc, a_walk_beside_a_fast_pair_sees_only_whole_records, 0, 4);
	tcase_add_test(tc, looking_maps_nothing_and_opens_read_only);
	tcase_add_test(tc, list_finds_segments_and_only_those);
	tcase_add_loop_test(tc, an_impossible_ring_is_an_error_and_no_endless_walk, 0, 2);
	tcase_add_loop_test(tc, no_damaged_file_whatever_is_more_than_an_error, 0, 4);
	suite_add_tcase(suite, tc);
	return tap_run(suite);
}
