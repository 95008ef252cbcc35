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
 *	peer lose NAME                  lock it, and give it up without mending
 *	peer count NAME COUNT           add 1 under the mutex COUNT times, and notify
 *	peer await NAME VALUE           sleep on the event until the sum is VALUE
 *	peer pthread NAME               make a segment with a pthread mutex, or use it
 *	peer pthread-lose NAME          the same, and an owner dies and the next one gives it up
 *	peer table NAME MODE ID COUNT   COUNT changes of a record of a table of that mode
 *	peer look NAME MODE COUNT       read it, as an observer, until it was changed COUNT times
 *	peer inside NAME MODE           begin a change of it and wait to be killed
 *	peer mend NAME MODE             begin one, say how it was found, mend it
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

static void do_lose(const char *name)
{
	open_locks(name);
	if (shr_mutex_lock_until(mutex, 1, shr_deadline_ns(20000000000)) != -EOWNERDEAD)
		must(-1, "no owner died");
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

/* A process dies with it, and the next one unlocks it without a repair: it is lost. */
static void do_pthread_lose(const char *name)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .locks = SHR_LOCKS_PTHREAD};
	pid_t child = fork();

	must(child < 0, "fork");
	if (child)
		waitpid(child, NULL, 0);
	must(shr_mutex_open(&mutex, name, "+>", 1, &options), "open");
	if (!child) {
		must(shr_mutex_lock(mutex, 0), "lock");
		raise(SIGKILL);
	}
	if (shr_mutex_lock(mutex, 0) != -EOWNERDEAD)
		must(-1, "no owner died");
	must(shr_mutex_unlock(mutex, 0), "unlock");
}

/* --- Tables -------------------------------------------------------------------- */

struct entry {
	char name[12];
	uint32_t by[3];
	uint64_t total;
	double half;
	int64_t minus;
	uint8_t rest[304];
};
SHR_SCHEMA(entry, 1, name, by, total, half, minus, rest);

static struct shr_table *open_table(const char *name, uint32_t mode, uint32_t flags)
{
	struct shr_table_options options = {.struct_size = sizeof(options),
					    .mode = mode,
					    .slots = 20,
					    .schema = SHR_SCHEMA_OF(entry),
					    .key = "name"};
	struct shr_segment_options segment = {.struct_size = sizeof(segment), .flags = flags};
	struct entry entry = {.name = "all"};
	struct shr_table *table = NULL;
	int err;

	must(shr_table_open(&table, name, flags ? "+<" : "+>", &options, &segment), "table");
	err = flags ? 0 : shr_table_insert(table, &entry, sizeof(entry), NULL);
	must(err == -EEXIST ? 0 : err, "insert");
	return table;
}

static void change_entry(struct entry *entry, uint32_t id)
{
	entry->by[id]++;
	entry->total++;
	entry->half = (double)entry->total / 2;
	entry->minus = -(int64_t)entry->total;
	memset(entry->rest, (int)entry->total, sizeof(entry->rest));
}

static int entry_is_whole(const struct entry *entry)
{
	for (size_t i = 0; i < sizeof(entry->rest); i++)
		if (entry->rest[i] != (uint8_t)entry->total)
			return 0;
	return entry->half == (double)entry->total / 2 && entry->minus == -(int64_t)entry->total &&
	       entry->by[0] + entry->by[1] + entry->by[2] == entry->total;
}

/* Beside each change a key of one's own comes, is found, and goes. */
static void do_table(const char *name, uint32_t mode, uint32_t id, uint64_t count)
{
	struct shr_table *table = open_table(name, mode, 0);
	struct entry own = {.total = 0};
	uint32_t slot, found;
	void *record;

	must(id < 3 ? 0 : -1, "id");
	for (uint64_t i = 0; i < count; i++) {
		snprintf(own.name, sizeof(own.name), "%u %u", (unsigned)id, (unsigned)i % 1000);
		must(shr_table_insert(table, &own, sizeof(own), &slot), "insert");
		must(shr_table_find(table, own.name, strlen(own.name), &found), "find");
		must(found == slot ? 0 : -1, "another slot");
		must(shr_table_remove(table, slot), "remove");
		if (mode == SHR_TABLE_COUNTERS) {
			must(shr_table_find(table, "all", 3, &slot), "find");
			must(shr_table_add(table, slot, offsetof(struct entry, by) + 4 * id, 1, NULL), "add");
			must(shr_table_add(table, slot, offsetof(struct entry, total), 1, NULL), "add");
			must(shr_table_add(table, slot, offsetof(struct entry, minus), -1, NULL), "add");
			continue;
		}
		must(shr_table_begin_key(table, "all", 3, &slot, &record), "begin");
		must(entry_is_whole(record) ? 0 : -1, "what is inside");
		change_entry(record, id);
		must(shr_table_commit(table, slot), "commit");
	}
	must(shr_table_close(table), "close");
}

static void do_look(const char *name, uint32_t mode, uint64_t count)
{
	struct shr_table *table = open_table(name, mode, SHR_SEGMENT_OBSERVE);
	int64_t end = shr_deadline_ns(60000000000);
	struct shr_slot_info info;
	struct entry entry;
	uint64_t last = 0;
	uint32_t slot;

	must(shr_table_find(table, "all", 3, &slot), "find");
	do {
		int err = shr_table_read_key(table, "all", 3, &entry, sizeof(entry), &info);

		must(shr_deadline_ns(0) < end ? 0 : -ETIMEDOUT, "look");
		if (err == -EAGAIN) /* changed too fast */
			continue;
		must(err, "read");
		must(entry.total >= last ? 0 : -1, "it went back");
		must(mode == SHR_TABLE_COUNTERS || entry_is_whole(&entry) ? 0 : -1, "torn");
		last = entry.total;
		if (last < count && mode != SHR_TABLE_COUNTERS)
			shr_table_wait_until(table, slot, info.version, shr_deadline_ns(100000), NULL);
	} while (last < count || entry.minus != -(int64_t)last);
	printf("total %" PRIu64 " by %u %u\n", entry.total, entry.by[1], entry.by[2]);
	must(shr_table_close(table), "close");
}

static void do_inside(const char *name, uint32_t mode)
{
	struct shr_table *table = open_table(name, mode, 0);
	struct entry *entry;
	uint32_t slot;

	must(shr_table_begin_key(table, "all", 3, &slot, (void **)&entry), "begin");
	entry->total += 5; /* half a change */
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

static void do_mend(const char *name, uint32_t mode)
{
	struct shr_table *table = open_table(name, mode, 0);
	struct shr_table_status status;
	struct entry *entry, copy;
	uint32_t slot;
	int err, read = shr_table_read_key(table, "all", 3, &copy, sizeof(copy), NULL);

	err = shr_table_begin_key(table, "all", 3, &slot, (void **)&entry);
	must(err == -EOWNERDEAD ? 0 : err, "begin");
	must(shr_table_stat(table, &status), "stat");
	printf("%s, %s, takeovers %u\n", read == -EAGAIN ? "torn" : entry_is_whole(&copy) ? "whole" : "not whole",
	       err ? "owner dead" : "clean", (unsigned)status.takeovers);
	entry->total = entry->by[0] + entry->by[1] + entry->by[2];
	must(entry_is_whole(entry) ? 0 : -1, "mended");
	must(shr_table_commit(table, slot), "commit");
	must(shr_table_close(table), "close");
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
	else if (argc == 3 && !strcmp(argv[1], "lose"))
		do_lose(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "count"))
		do_count(argv[2], strtoull(argv[3], NULL, 10));
	else if (argc == 4 && !strcmp(argv[1], "await"))
		do_await(argv[2], strtoull(argv[3], NULL, 10));
	else if (argc == 3 && !strcmp(argv[1], "pthread"))
		do_pthread(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "pthread-lose"))
		do_pthread_lose(argv[2]);
	else if (argc == 6 && !strcmp(argv[1], "table"))
		do_table(argv[2], (uint32_t)atoi(argv[3]), (uint32_t)atoi(argv[4]), strtoull(argv[5], NULL, 10));
	else if (argc == 5 && !strcmp(argv[1], "look"))
		do_look(argv[2], (uint32_t)atoi(argv[3]), strtoull(argv[4], NULL, 10));
	else if (argc == 4 && !strcmp(argv[1], "inside"))
		do_inside(argv[2], (uint32_t)atoi(argv[3]));
	else if (argc == 4 && !strcmp(argv[1], "mend"))
		do_mend(argv[2], (uint32_t)atoi(argv[3]));
	else
		return 2;
	return 0;
}
