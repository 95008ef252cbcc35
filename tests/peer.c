/* SPDX-License-Identifier: MIT */
/*
 * One end of a ring, for tests/word-size.sh, which builds it for 32 and for 64
 * bits.
 *
 *	peer send NAME ID COUNT         COUNT records of producer ID
 *	peer receive NAME COUNT IDS     check COUNT records of producers 1 to IDS
 *	peer hold NAME                  reserve a record and wait to be killed
 *	peer lock NAME                  lock a mutex and wait to be killed
 *	peer take NAME                  lock it, mend it, say how it was found
 *	peer count NAME COUNT           add 1 under the mutex COUNT times, and notify
 *	peer await NAME VALUE           sleep on the event until the sum is VALUE
 *	peer pthread NAME               make a segment with a pthread mutex, or use it
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <shmring/shmring.h>

struct item {
	uint64_t sequence;
	double half; /* i386 would align it to 4 */
	uint32_t producer;
	uint32_t size;
	int64_t minus;
};
SHR_SCHEMA(item, 1, sequence, half, producer, size, minus);

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "peer of %zu bits: %s: %s (%d)\n", 8 * sizeof(void *), what, shr_last_error(),
		err);
	exit(1);
}

static uint32_t size_of(uint64_t sequence)
{
	return (uint32_t)(sizeof(struct item) + sequence * 2654435761u % 200);
}

static struct shr_ring *open_ring(const char *name)
{
	struct shr_ring_options options = {.struct_size = sizeof(options),
					   .capacity = 16384,
					   .schema = SHR_SCHEMA_OF(item),
					   .first_position = UINT32_MAX - 4095};
	struct shr_ring *ring = NULL;

	must(shr_ring_open(&ring, name, "+>", &options, NULL), "open");
	return ring;
}

static void do_send(const char *name, uint32_t id, uint64_t count)
{
	struct shr_ring *ring = open_ring(name);
	struct shr_producer *producer = NULL;

	must(shr_producer_open(&producer, ring), "producer");
	for (uint64_t i = 0; i < count; i++) {
		struct item item = {i, (double)i / 2, id, size_of(i), -(int64_t)i};
		void *payload;

		must(shr_producer_reserve_until(producer, item.size, &payload,
						shr_deadline_ns(20000000000)),
		     "reserve");
		memset(payload, (int)i, item.size);
		memcpy(payload, &item, sizeof(item));
		must(shr_producer_commit(producer), "commit");
	}
	must(shr_producer_close(producer), "close");
	must(shr_ring_close(ring), "close");
}

static void do_receive(const char *name, uint64_t count, uint32_t ids)
{
	struct shr_ring *ring = open_ring(name);
	struct shr_cursor *cursor = NULL;
	struct shr_ring_status status;
	uint64_t next[16] = {0};

	must(shr_cursor_open(&cursor, ring, NULL), "cursor");
	for (uint64_t n = 0; n < count; n++) {
		struct shr_record record;
		struct item item;

		must(shr_cursor_next_until(cursor, &record, shr_deadline_ns(20000000000)), "next");
		memcpy(&item, record.payload, sizeof(item));
		if (item.producer < 1 || item.producer > ids || item.sequence != next[item.producer] ||
		    record.size != item.size || item.size != size_of(item.sequence) ||
		    item.half != (double)item.sequence / 2 || item.minus != -(int64_t)item.sequence) {
			fprintf(stderr, "record %" PRIu64 " of producer %" PRIu32 " is wrong\n",
				item.sequence, item.producer);
			exit(1);
		}
		for (uint32_t i = sizeof(item); i < item.size; i++)
			if (((const unsigned char *)record.payload)[i] != (unsigned char)item.sequence)
				must(-1, "fill");
		next[item.producer]++;
		must(shr_cursor_release(cursor), "release");
	}
	must(shr_ring_stat(ring, &status), "stat");
	printf("received %" PRIu64 " skipped %" PRIu64 "\n", count, status.skipped);
	must(shr_cursor_close(cursor), "close");
	must(shr_ring_close(ring), "close");
}

static void do_hold(const char *name)
{
	struct shr_ring *ring = open_ring(name);
	struct shr_producer *producer = NULL;
	void *payload;

	must(shr_producer_open(&producer, ring), "producer");
	must(shr_producer_reserve(producer, 100, &payload), "reserve");
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

/* --- Mutexes and events -------------------------------------------------------- */

static struct shr_mutex *mutex;
static struct shr_event *event;
static volatile uint64_t *sum;

static void open_locks(const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = SHR_SEGMENT_ATTACH};
	struct shr_object objects[3] = {{.kind = SHR_OBJECT_BYTES, .name = "sum", .size = 64}};
	struct shr_segment *segment = NULL;
	size_t size;
	void *bytes;

	must(shr_mutex_describe(&objects[1], "mutex", 2), "describe");
	must(shr_event_describe(&objects[2], "event", 1), "describe");
	must(shr_segment_create(&segment, name, objects, 3, &options), "segment");
	must(shr_mutex_attach(&mutex, segment, "mutex"), "mutex");
	must(shr_event_attach(&event, segment, "event"), "event");
	must(shr_segment_bytes(segment, "sum", &bytes, &size), "sum");
	sum = bytes;
}

static void do_lock(const char *name)
{
	open_locks(name);
	must(shr_mutex_lock(mutex, 1), "lock");
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

static void do_take(const char *name)
{
	struct shr_mutex_info info;
	int err;

	open_locks(name);
	err = shr_mutex_lock_until(mutex, 1, shr_deadline_ns(20000000000));
	must(shr_mutex_get(mutex, 1, &info), "get");
	printf("%s deaths %u\n", !err ? "clean" : err == -EOWNERDEAD ? "owner dead" : "error", info.deaths);
	if (err)
		must(shr_mutex_consistent(mutex, 1), "consistent");
	must(shr_mutex_unlock(mutex, 1), "unlock");
}

static void do_count(const char *name, uint64_t count)
{
	open_locks(name);
	for (uint64_t i = 0; i < count; i++) {
		must(shr_mutex_lock(mutex, 0), "lock");
		*sum += 1;
		must(shr_mutex_unlock(mutex, 0), "unlock");
		must(shr_event_notify(event, 0), "notify");
	}
}

static int sum_is(void *value)
{
	return *sum == *(uint64_t *)value;
}

static void do_await(const char *name, uint64_t value)
{
	open_locks(name);
	must(shr_event_await_until(event, 0, sum_is, &value, shr_deadline_ns(30000000000)), "await");
	printf("sum %" PRIu64 "\n", *sum);
}

static void do_pthread(const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .locks = SHR_LOCKS_PTHREAD};

	if (shr_mutex_open(&mutex, name, "+>", 1, &options) == -EPROTO) {
		puts("refused");
		return;
	}
	must(!mutex, "open");
	must(shr_mutex_lock(mutex, 0), "lock");
	must(shr_mutex_unlock(mutex, 0), "unlock");
	puts("locked");
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "send"))
		do_send(argv[2], (uint32_t)atoi(argv[3]), strtoull(argv[4], NULL, 10));
	else if (argc == 5 && !strcmp(argv[1], "receive"))
		do_receive(argv[2], strtoull(argv[3], NULL, 10), (uint32_t)atoi(argv[4]));
	else if (argc == 3 && !strcmp(argv[1], "hold"))
		do_hold(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "lock"))
		do_lock(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "take"))
		do_take(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "count"))
		do_count(argv[2], strtoull(argv[3], NULL, 10));
	else if (argc == 4 && !strcmp(argv[1], "await"))
		do_await(argv[2], strtoull(argv[3], NULL, 10));
	else if (argc == 3 && !strcmp(argv[1], "pthread"))
		do_pthread(argv[2]);
	else
		return 2;
	return 0;
}
