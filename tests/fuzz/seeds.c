/* SPDX-License-Identifier: MIT */
/* Small images of all kinds of segments: with the dead, the torn and the lost in them. */
#include "seeds.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "format.h"
#include "table.h"

#include "../reseal.h"

#define CAPACITY 4096
#define EPOCH    UINT64_C(0x1234567890abcdef)
#define STARTED  INT64_C(1700000000)

static char name[64], path[80];

/* Nothing moves in what is looked at, so a pause between two looks is time lost. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
	(void)time;
	(void)rest;
	return 0;
}

/* The library's clock, so that a run can be done again: a microsecond a look. */
int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	static uint64_t looks;

	if (clock != CLOCK_REALTIME)
		return __real_clock_gettime(clock, time);
	looks++;
	*time = (struct timespec){STARTED + (time_t)(looks / 1000000),
				  (long)(looks % 1000000 * 1000)};
	return 0;
}

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "fuzz: %s: %s\n", what, shr_last_error());
	unlink(path);
	exit(EXIT_FAILURE);
}

#define MUST(call) must(call, #call)

static void settle_mutex(struct shm_mutex *mutex)
{
	if (atomic_load_explicit(&mutex->thread, memory_order_relaxed))
		atomic_store_explicit(&mutex->thread, 1000, memory_order_relaxed);
}

static void settle_object(unsigned char *image, const struct shm_object *object)
{
	struct shm_mutex *mutex = (struct shm_mutex *)(image + object->offset);
	struct table_geometry is;

	if (object->kind == SHR_OBJECT_MUTEX) {
		for (uint64_t i = 0; i < object->param[0]; i++) {
			settle_mutex(&mutex[i]);
			/* What the C library has there: thread ids and pointers. */
			memset(mutex[i].pthread, 0, sizeof(mutex[i].pthread));
		}
	} else if (object->kind == SHR_OBJECT_TABLE && !table_geometry(&is, object)) {
		settle_mutex(mutex);
		for (uint32_t i = 0; i < is.slots; i++)
			settle_mutex((struct shm_mutex *)(image + object->offset + is.slots_at +
							  i * is.slot_size));
	}
}

/* What differs from one making to the next. */
static void settle(struct seed *seed)
{
	struct shm_header *header = (struct shm_header *)seed->image;
	struct shm_member *member = (struct shm_member *)(seed->image + header->member_offset);

	header->epoch = EPOCH;
	header->creator_pid = 1000;
	memset(header->boot_id, 7, sizeof(header->boot_id));
	for (uint32_t i = 0; i < header->members; i++) {
		member[i].pid = member[i].pid ? 1000 + i : 0;
		member[i].start_time = member[i].start_time ? 5000 + i : 0;
		member[i].pid_namespace = member[i].pid_namespace ? 1 : 0;
		member[i].death.pid = member[i].death.pid ? 1000 + i : 0;
		member[i].death.start_time = member[i].death.start_time ? 5000 + i : 0;
		member[i].death.pid_namespace = member[i].death.pid_namespace ? 1 : 0;
	}
	for (uint32_t i = 0; i < header->objects; i++)
		settle_object(seed->image, &header->directory[i]);
	reseal_image(seed->image, seed->size);
}

/* Of the segment as it is, which is removed. */
static void take(struct seed *seed, const char *what)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	seed->what = what;
	if (fd < 0 || fstat(fd, &st) < 0 || !(seed->image = malloc((size_t)st.st_size)) ||
	    read(fd, seed->image, (size_t)st.st_size) != st.st_size)
		must(-1, "read the segment");
	seed->size = (size_t)st.st_size;
	close(fd);
	unlink(path);
	settle(seed);
}

/* Do @work in a process that dies in it. */
static void die_in(void (*work)(void))
{
	pid_t pid = fork();

	if (!pid) {
		work();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		must(-1, "fork");
}

static struct shr_segment *segment_of(const struct shr_object *objects, size_t count,
				      uint32_t locks)
{
	struct shr_segment_options options = {
		.struct_size = sizeof(options), .members = 4, .locks = locks, .role = "ma\033ker"};
	struct shr_segment *segment = NULL;

	if (objects)
		MUST(shr_segment_create(&segment, name, objects, count, &options));
	else
		MUST(shr_segment_attach(&segment, name, &options));
	return segment;
}

/* --- Rings ------------------------------------------------------------------- */

struct tick {
	uint64_t u64;
	int64_t i64;
	double f64[2];
	uint32_t u32;
	float f32;
	uint16_t u16[2];
	int8_t i8[4];
	char text[16];
};
SHR_SCHEMA(tick, 3, u64, i64, f64, u32, f32, u16, i8, text);

static struct shr_ring *ring_of(struct shr_segment *segment, const char *object,
				const struct shr_schema *schema)
{
	struct shr_ring *ring = NULL;

	MUST(shr_ring_attach(&ring, segment, object, schema));
	return ring;
}

static struct shr_producer *producer_of(struct shr_ring *ring)
{
	struct shr_producer *producer = NULL;

	MUST(shr_producer_open(&producer, ring));
	return producer;
}

static struct shr_cursor *cursor_of(struct shr_ring *ring, const char *who)
{
	struct shr_cursor_options options = {.struct_size = sizeof(options),
					     .flags = SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE,
					     .join = SHR_JOIN_OLDEST};
	struct shr_cursor *cursor = NULL;

	MUST(shr_cursor_open_with(&cursor, ring, who, &options));
	return cursor;
}

static void fill_ring(struct shr_segment *segment, const char *object,
		      const struct shr_schema *schema, int count)
{
	struct shr_ring *ring = ring_of(segment, object, schema);
	struct shr_producer *producer = producer_of(ring);
	struct tick tick = {.f64 = {0.1, NAN}, .f32 = INFINITY, .text = "a\033[2J\"\xc3\xa4\xff"};
	void *payload;

	for (int i = 0; i < count; i++) {
		tick.u64 = (uint64_t)i << (i % 64);
		tick.i64 = -(int64_t)i;
		MUST(shr_producer_set_type(producer, (uint16_t)(i % 3)));
		MUST(shr_producer_write(producer, &tick, sizeof(tick)));
	}
	MUST(shr_producer_reserve(producer, 80, &payload));
	MUST(shr_producer_abort(producer));
	MUST(shr_producer_close(producer));
	MUST(shr_ring_close(ring));
}

/* Records that are reserved and never committed, taken and never done, and cursors. */
static void leave_rings(void)
{
	struct shr_segment *segment = segment_of(NULL, 0, 0);
	struct shr_cursor *cursor;
	struct shr_record record;
	void *payload;

	MUST(shr_producer_reserve(producer_of(ring_of(segment, "single", SHR_SCHEMA_OF(tick))), 80,
				  &payload));
	MUST(shr_producer_reserve(producer_of(ring_of(segment, "several", NULL)), 40, &payload));
	cursor = cursor_of(ring_of(segment, "several", NULL), "reader\t");
	MUST(shr_cursor_next(cursor, &record));
	MUST(shr_cursor_release(cursor));
	MUST(shr_cursor_next(cursor, &record));
	cursor = NULL;
	MUST(shr_cursor_open(&cursor, ring_of(segment, "queue", SHR_SCHEMA_OF(tick)), NULL));
	MUST(shr_cursor_next(cursor, &record));
	MUST(shr_cursor_ack(cursor, &record));
	MUST(shr_cursor_next(cursor, &record));
}

static void make_rings(void)
{
	const struct {
		const char *name;
		struct shr_ring_options options;
		int records;
	} rings[] = {
		{"single",
		 {.flags = SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE | SHR_RING_TIME,
		  .schema = SHR_SCHEMA_OF(tick),
		  .first_position = UINT64_MAX - 511},
		 7},
		{"several", {.flags = SHR_RING_DROP_NEWEST, .cursors = 4}, 7},
		{"numbered",
		 {.flags = SHR_RING_SEQUENCE | SHR_RING_TIME | SHR_RING_NO_DEFAULT, .cursors = 2},
		 60},
		{"queue", {.mode = SHR_RING_QUEUE, .schema = SHR_SCHEMA_OF(tick)}, 7},
		{"once",
		 {.mode = SHR_RING_QUEUE, .flags = SHR_RING_AT_MOST_ONCE | SHR_RING_TIME},
		 3},
		{"over\nwrite",
		 {.mode = SHR_RING_OVERWRITE,
		  .schema = SHR_SCHEMA_OF(tick),
		  .first_position = ((uint64_t)1 << 32) - 64},
		 90},
		{"lonely", {.mode = SHR_RING_OVERWRITE, .flags = SHR_RING_SINGLE_PRODUCER}, 90},
	};
	const size_t count = sizeof(rings) / sizeof(rings[0]);
	struct shr_object objects[sizeof(rings) / sizeof(rings[0])] = {{0}};
	struct shr_segment *segment;

	for (size_t i = 0; i < count; i++) {
		struct shr_ring_options options = rings[i].options;

		options.struct_size = sizeof(options);
		options.capacity = CAPACITY;
		MUST(shr_ring_describe(&objects[i], rings[i].name, &options));
	}
	segment = segment_of(objects, count, 0);
	for (size_t i = 0; i < count; i++)
		fill_ring(segment, rings[i].name, rings[i].options.schema, rings[i].records);
	die_in(leave_rings);
	MUST(shr_segment_detach(segment));
}

/* --- Tables ------------------------------------------------------------------ */

struct service {
	char key[40]; /* longer than what a slot holds of it */
	uint64_t beats;
	double load;
};
SHR_SCHEMA(service, 2, key, beats, load);

struct stats {
	char key[8];
	uint64_t hits;
	int32_t level;
	uint32_t sizes[3];
};

static const struct shr_enum_name hits_names[] = {{0, "none"}, {-1, "a,\"b\"\033[2J\xff"}};
SHR_SCHEMA(stats, 1, key, (hits, SHR_UNIT("ns"), SHR_HELP("a\nb \033[2J"), SHR_ENUM(hits_names)),
	   (level, SHR_UNIT("bytes\xff"), SHR_SINCE(2)), sizes);

static struct shr_table *table_of(struct shr_segment *segment, const char *object,
				  const struct shr_schema *schema)
{
	struct shr_table *table = NULL;

	MUST(shr_table_attach(&table, segment, object, schema));
	return table;
}

/* Updates that do not end. */
static void leave_tables(void)
{
	struct shr_segment *segment = segment_of(NULL, 0, 0);
	void *record;

	MUST(shr_table_begin(table_of(segment, "services", SHR_SCHEMA_OF(service)), 1, &record));
	MUST(shr_table_begin(table_of(segment, "blocks", NULL), 0, &record));
}

static void make_tables(void)
{
	struct shr_table_options service = {.struct_size = sizeof(service),
					    .slots = 6,
					    .schema = SHR_SCHEMA_OF(service),
					    .key = "key"};
	struct shr_table_options block = {.struct_size = sizeof(block),
					  .mode = SHR_TABLE_IN_PLACE,
					  .slots = 5,
					  .record_size = 100};
	struct shr_table_options stat = {.struct_size = sizeof(stat),
					 .mode = SHR_TABLE_COUNTERS,
					 .slots = 4,
					 .schema = SHR_SCHEMA_OF(stats),
					 .key = "key"};
	struct service one = {.load = 0.5};
	struct stats counted = {.level = -3};
	struct shr_object objects[3] = {{0}};
	struct shr_segment *segment;
	struct shr_table *table;

	MUST(shr_table_describe(&objects[0], "services", &service));
	MUST(shr_table_describe(&objects[1], "blocks", &block));
	MUST(shr_table_describe(&objects[2], "sta\x1bts", &stat));
	segment = segment_of(objects, 3, 0);
	table = table_of(segment, "services", SHR_SCHEMA_OF(service));
	for (one.beats = 0; one.beats < 5; one.beats++) {
		snprintf(one.key, sizeof(one.key), "%d\033 a key of some length", (int)one.beats);
		MUST(shr_table_insert(table, &one, sizeof(one), NULL));
	}
	MUST(shr_table_remove(table, 3));
	MUST(shr_table_close(table));
	table = table_of(segment, "blocks", NULL);
	for (int i = 0; i < 3; i++)
		MUST(shr_table_insert(table, &one, sizeof(one), NULL));
	MUST(shr_table_close(table));
	table = table_of(segment, "sta\x1bts", SHR_SCHEMA_OF(stats));
	for (int i = 0; i < 2; i++) {
		counted.key[0] = (char)('a' + i);
		counted.hits = UINT64_MAX - (uint64_t)i;
		MUST(shr_table_insert(table, &counted, sizeof(counted), NULL));
	}
	MUST(shr_table_close(table));
	die_in(leave_tables);
	MUST(shr_segment_detach(segment));
}

/* --- Locks ------------------------------------------------------------------- */

static uint32_t lock_backend;

static struct shr_mutex *mutex_of(struct shr_segment *segment)
{
	struct shr_mutex *mutex = NULL;

	MUST(shr_mutex_attach(&mutex, segment, "mutexes"));
	return mutex;
}

static void leave_locks(void)
{
	struct shr_mutex *mutex = mutex_of(segment_of(NULL, 0, lock_backend));

	MUST(shr_mutex_lock(mutex, 1));
	MUST(shr_mutex_lock(mutex, 2));
}

static void make_locks(void)
{
	struct shr_object objects[3] = {
		{0}, {0}, {.kind = SHR_OBJECT_BYTES, .name = "bytes", .size = 64}};
	struct shr_segment *segment;
	struct shr_mutex *mutex;

	MUST(shr_mutex_describe(&objects[0], "mutexes", 5));
	MUST(shr_event_describe(&objects[1], "events", 3));
	segment = segment_of(objects, 3, lock_backend);
	mutex = mutex_of(segment);
	die_in(leave_locks);
	/* One that its next owner gives up; the other is left to the dead. */
	if (shr_mutex_lock(mutex, 2) != -EOWNERDEAD)
		must(-1, "no dead owner");
	MUST(shr_mutex_unlock(mutex, 2));
	MUST(shr_mutex_lock(mutex, 3));
	MUST(shr_mutex_unlock(mutex, 3));
	MUST(shr_mutex_close(mutex));
	MUST(shr_segment_detach(segment));
}

/* --- All --------------------------------------------------------------------- */

static void copy(struct seed *seed, const struct seed *of, const char *what)
{
	*seed = (struct seed){what, malloc(of->size), of->size};
	if (!seed->image)
		must(-1, "out of memory");
	memcpy(seed->image, of->image, of->size);
}

size_t seeds_make(struct seed seeds[SEEDS_MAX])
{
	struct shm_header *header;

	snprintf(name, sizeof(name), "/shmring-fuzz-%d", (int)getpid());
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	make_rings();
	take(&seeds[0], "rings");
	make_tables();
	take(&seeds[1], "tables");
	make_locks();
	take(&seeds[2], "locks");
	lock_backend = SHR_LOCKS_PTHREAD;
	make_locks();
	take(&seeds[3], "locks of pthread");
	copy(&seeds[4], &seeds[2], "obsolete");
	header = (struct shm_header *)seeds[4].image;
	atomic_store_explicit(&header->obsolete, 1, memory_order_relaxed);
	copy(&seeds[5], &seeds[2], "of the other byte order");
	header = (struct shm_header *)seeds[5].image;
	header->byte_order = __builtin_bswap32(header->byte_order);
	return 6;
}
