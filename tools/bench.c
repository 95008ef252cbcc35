/* SPDX-License-Identifier: MIT */
/*
 * What this machine does. This process and a child of it, each on a cpu of
 * its own, share a segment that is made for it: the child sends a stream of records, and
 * answers. What the child is to do, and each question, is a message in the ring "ping".
 *
 * The segment is removed by this process; if that is killed, by the child, which the
 * kernel sends a SIGTERM then.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "operate.h"

#define RING_BYTES  262144
#define SAMPLES_MAX ((size_t)1 << 20)
#define WINDOW_NS   200000
#define SLEEP_NS    150000 /* who waits spins for 50 us, and sleeps after that */
#define TYPE_LAST   1      /* of the record that ends a stream */

#define WRONG (-EBADE) /* a record is not the one that was sent */
/* And -EAGAIN: stopped by a signal, or the child has ended. */

enum kind { KIND_STREAM, KIND_BUSY, KIND_ASLEEP };

/* Of these each round trip takes two. */
struct message {
	uint64_t kind;
	uint64_t number;
	uint64_t size;      /* KIND_STREAM: of a record, in bytes */
	uint64_t length_ns; /* KIND_STREAM */
	uint64_t held_ns;   /* in an answer: how long it was held back */
	uint64_t fill[3];
};
_Static_assert(sizeof(struct message) == TRIP_SIZE, "struct message");

enum ring { STREAM, PING, PONG, RINGS };
static const char *const ring_names[RINGS] = {"stream", "ping", "pong"};

struct samples {
	size_t count;
	double value[SAMPLES_MAX];
};

/* What one of the two processes has. */
struct side {
	const char *name; /* of the segment */
	int one_cpu;
	struct shr_segment *segment;
	struct shr_ring *ring[RINGS];
	struct shr_producer *to[RINGS]; /* NULL: the other one's */
	struct shr_cursor *from[RINGS];
	uint64_t buffer[SIZE_LIMIT / 8]; /* the last record that was taken or put */
	struct samples samples;
};

static volatile sig_atomic_t child_ended;

static void note_child(int signal)
{
	(void)signal;
	child_ended = 1;
}

static int stopped(void)
{
	return operate_stopped || child_ended;
}

static int64_t now_ns(void)
{
	return shr_deadline_ns(0);
}

/* --- Samples ---------------------------------------------------------------------- */

static void samples_add(struct samples *samples, double value)
{
	if (samples->count < SAMPLES_MAX)
		samples->value[samples->count++] = value;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* There is at least one; where there are more the first one, which warms up, does not count. */
static struct quantiles samples_quantiles(struct samples *samples)
{
	size_t first = samples->count > 1, count = samples->count - first;
	double *value = samples->value + first;

	qsort(value, count, sizeof(*value), by_value);
	return (struct quantiles){value[count / 2], value[count * 99 / 100]};
}

/* --- Records ---------------------------------------------------------------------- */

/* With one cpu only the other process cannot go on while this one spins. */
static void relax(const struct side *side)
{
	if (side->one_cpu)
		sched_yield();
}

/* Until the other process, which waits for a message, sleeps. */
static void let_sleep(const struct side *side)
{
	int64_t end = shr_deadline_ns(SLEEP_NS);

	while (now_ns() < end)
		relax(side);
}

static int put(struct side *side, enum ring ring, const void *data, size_t size)
{
	int err;

	while ((err = shr_producer_write(side->to[ring], data, size)) == -EAGAIN && !stopped())
		relax(side);
	return err;
}

/* The next record to side->buffer: its size, or -errno. *@type may be NULL. */
static int get(struct side *side, enum ring ring, int asleep, uint16_t *type)
{
	struct shr_cursor *cursor = side->from[ring];
	struct shr_record record;
	int err;

	for (;;) {
		err = asleep ? shr_cursor_next_until(cursor, &record, shr_deadline_ns(SLICE_NS))
			     : shr_cursor_next(cursor, &record);
		if (!err)
			break;
		if (err != -EAGAIN && err != -ETIMEDOUT && err != -EINTR)
			return err;
		if (stopped())
			return -EAGAIN;
		relax(side);
	}
	if (record.size > sizeof(side->buffer))
		return WRONG;
	memcpy(side->buffer, record.payload, record.size);
	if (type)
		*type = record.type;
	err = shr_cursor_release(cursor);
	return err ? err : (int)record.size;
}

static int get_message(struct side *side, enum ring ring, int asleep, struct message *message)
{
	int size = get(side, ring, asleep, NULL);

	if (size < 0)
		return size;
	if (size != sizeof(*message))
		return WRONG;
	memcpy(message, side->buffer, sizeof(*message));
	return 0;
}

/* --- Both processes: open, close, and fail ------------------------------------------ */

static int side_attach(struct side *side)
{
	int err = 0;

	for (int i = 0; i < RINGS && !err; i++)
		err = shr_ring_attach(&side->ring[i], side->segment, ring_names[i], NULL);
	return err;
}

static void side_close(struct side *side)
{
	for (int i = 0; i < RINGS; i++) {
		shr_producer_close(side->to[i]);
		shr_cursor_close(side->from[i]);
		shr_ring_close(side->ring[i]);
	}
	shr_segment_detach(side->segment);
}

/* Never another one that has this name meanwhile. */
static void remove_segment(const struct side *side)
{
	if (side->segment && !shr_segment_check(side->segment))
		shr_segment_unlink(side->name);
}

/* The exit status, told; but not that we were stopped. */
static int failed(const struct side *side, int err)
{
	if (err == -EAGAIN)
		return EXIT_FAILURE;
	if (err != WRONG)
		return operate_failed(side->name, err);
	operate_say("%s: a record is not the one that was sent", side->name);
	return EXIT_DAMAGED;
}

static void pin(int cpu)
{
	cpu_set_t one;

	if (cpu < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one); /* as pick_cpus() has tried */
}

/* --- The child ---------------------------------------------------------------------- */

/* Records between two looks at the clock, which takes as long as a copy of 1 KiB. */
static uint64_t group_of(uint64_t size)
{
	return size < 128 ? 64 : size < 8192 ? 8192 / size : 1;
}

static int send_stream(struct side *side, const struct message *order)
{
	uint64_t group, number = 0;
	int64_t end;
	int err;

	if (order->size < SIZE_MIN || order->size > SIZE_LIMIT || order->length_ns > INT64_MAX)
		return WRONG;
	group = group_of(order->size);
	end = shr_deadline_ns((int64_t)order->length_ns);
	shr_producer_set_type(side->to[STREAM], 0);
	do {
		side->buffer[0] = ++number;
		err = put(side, STREAM, side->buffer, order->size);
	} while (!err && (number % group || (now_ns() < end && !stopped())));
	shr_producer_set_type(side->to[STREAM], TYPE_LAST);
	return err ? err : put(side, STREAM, side->buffer, order->size);
}

/* Answer until a signal comes: -EAGAIN, or what is wrong. */
static int serve(struct side *side)
{
	struct message message;
	int err, asleep = 1;

	while (!(err = get_message(side, PING, asleep, &message))) {
		int64_t start = now_ns();

		asleep = message.kind != KIND_BUSY;
		if (message.kind == KIND_STREAM) {
			err = send_stream(side, &message);
		} else {
			if (asleep) {
				let_sleep(side);
				message.held_ns = (uint64_t)(now_ns() - start);
			}
			err = put(side, PONG, &message, sizeof(message));
		}
		if (err)
			break;
	}
	return err;
}

/* @side is a copy of the parent's. */
static int child_run(struct side *side, pid_t parent, int cpu)
{
	struct shr_segment_options how = {.struct_size = sizeof(how), .role = "bench child"};
	int err;

	signal(SIGINT, SIG_IGN); /* the parent's, as are these */
	signal(SIGHUP, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	pin(cpu);
	shr_segment_detach(side->segment);
	side->segment = NULL;
	err = shr_segment_attach(&side->segment, side->name, &how);
	if (!err)
		err = side_attach(side);
	if (!err)
		err = shr_producer_open(&side->to[STREAM], side->ring[STREAM]);
	if (!err)
		err = shr_producer_open(&side->to[PONG], side->ring[PONG]);
	if (!err)
		err = shr_cursor_open(&side->from[PING], side->ring[PING], NULL);
	if (!err && getppid() == parent)
		err = serve(side);
	if (getppid() != parent)
		remove_segment(side);
	return err && err != -EAGAIN ? failed(side, err) : 0;
}

/* --- What is measured ----------------------------------------------------------------- */

static int measure_stream(struct side *side, struct bench *bench, size_t index, int64_t length_ns)
{
	uint64_t size = bench->size[index], group = group_of(size), number = 0, seen = 0;
	struct message order = {
		.kind = KIND_STREAM, .size = size, .length_ns = (uint64_t)length_ns};
	int64_t start = now_ns(), since = start, now = start;
	struct samples *samples = &side->samples;
	uint16_t type = 0;
	int got, err;

	samples->count = 0;
	err = put(side, PING, &order, sizeof(order));
	if (err)
		return err;
	while ((got = get(side, STREAM, 0, &type)) >= 0 && type != TYPE_LAST) {
		if ((uint64_t)got != size || side->buffer[0] != ++number)
			return WRONG;
		if (number % group)
			continue;
		now = now_ns();
		if (now - since < WINDOW_NS)
			continue;
		if (stopped())
			return -EAGAIN;
		samples_add(samples, (double)(number - seen) * 1e9 / (double)(now - since));
		since = now;
		seen = number;
	}
	if (got < 0)
		return got;
	if (!samples->count)
		samples_add(samples, (double)number * 1e9 / (double)(now_ns() - start));
	bench->stream[index] = samples_quantiles(samples).p50;
	return 0;
}

static int measure_trips(struct side *side, struct bench *bench, enum kind kind, int64_t length_ns)
{
	struct message question = {.kind = kind}, answer;
	int64_t end = shr_deadline_ns(length_ns), then, now;
	struct samples *samples = &side->samples;
	int err;

	samples->count = 0;
	do {
		if (kind == KIND_ASLEEP)
			let_sleep(side);
		question.number++;
		then = now_ns();
		err = put(side, PING, &question, sizeof(question));
		if (!err)
			err = get_message(side, PONG, kind == KIND_ASLEEP, &answer);
		if (!err && answer.number != question.number)
			err = WRONG;
		if (err)
			return err;
		now = now_ns();
		samples_add(samples, (double)(now - then) - (double)answer.held_ns);
	} while (now < end && samples->count < SAMPLES_MAX && !stopped());
	*(kind == KIND_BUSY ? &bench->busy : &bench->asleep) = samples_quantiles(samples);
	return stopped() ? -EAGAIN : 0;
}

/* All slots again and again; ns of one. A round writes its number, or reads @written. */
static int measure_slots(struct shr_table *table, struct samples *samples, uint64_t *written,
			 int writes, int64_t length_ns, double *ns)
{
	int64_t then = now_ns(), end = then + length_ns, now;
	uint64_t record[RECORD_SIZE / 8] = {0};
	int err = 0;

	samples->count = 0;
	do {
		*written += (uint64_t)writes;
		for (uint32_t slot = 0; slot < SLOTS && !err; slot++) {
			record[0] = writes ? *written : 0;
			err = writes ? shr_table_write(table, slot, record, sizeof(record))
				     : shr_table_read(table, slot, record, sizeof(record), NULL);
			if (!err && record[0] != *written)
				err = WRONG;
		}
		if (err)
			return err;
		now = now_ns();
		samples_add(samples, (double)(now - then) / SLOTS);
		then = now;
	} while (now < end && !operate_stopped);
	*ns = samples_quantiles(samples).p50;
	return operate_stopped ? -EAGAIN : 0;
}

static int measure_table(struct side *side, struct bench *bench, int64_t length_ns)
{
	uint64_t record[RECORD_SIZE / 8] = {0}, written = 0;
	struct shr_table *table = NULL;
	int err = shr_table_attach(&table, side->segment, "table", NULL);

	for (int i = 0; i < SLOTS && !err; i++)
		err = shr_table_insert(table, record, sizeof(record), NULL);
	if (!err)
		err = measure_slots(table, &side->samples, &written, 1, length_ns / 2,
				    &bench->write_ns);
	if (!err)
		err = measure_slots(table, &side->samples, &written, 0, length_ns / 2,
				    &bench->read_ns);
	shr_table_close(table);
	return err;
}

/* Half of the time for the streams, two fifths for the round trips, the rest for the table. */
static int measure(struct side *side, struct bench *bench)
{
	int64_t tenth_ns = (int64_t)(bench->seconds * 1e8);
	int err = shr_producer_open(&side->to[PING], side->ring[PING]);

	if (!err)
		err = shr_cursor_open(&side->from[STREAM], side->ring[STREAM], NULL);
	if (!err)
		err = shr_cursor_open(&side->from[PONG], side->ring[PONG], NULL);
	for (size_t i = 0; i < bench->sizes && !err; i++)
		err = measure_stream(side, bench, i, 5 * tenth_ns / (int64_t)bench->sizes);
	if (!err)
		err = measure_trips(side, bench, KIND_BUSY, 2 * tenth_ns);
	if (!err)
		err = measure_trips(side, bench, KIND_ASLEEP, 2 * tenth_ns);
	if (!err)
		err = measure_table(side, bench, tenth_ns);
	return err;
}

/* --- The parent ----------------------------------------------------------------------- */

/* Are two cpus threads of one core? 0 where that is not known. */
static int are_siblings(int one, int other)
{
	char text[2][128] = {"", ""}, path[80];
	const int cpu[2] = {one, other};

	for (int i = 0; i < 2; i++) {
		FILE *file;

		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu[i]);
		file = fopen(path, "re");
		if (!file)
			return 0;
		if (!fgets(text[i], sizeof(text[i]), file))
			text[i][0] = '\0';
		fclose(file);
	}
	return *text[0] && !strcmp(text[0], text[1]);
}

/*
 * The first cpu that is allowed, and the next one of another core, or if there is none
 * the next one; -1 if they are not known or not to be chosen. How many there are, 0: not
 * known.
 */
static int pick_cpus(int cpu[2])
{
	cpu_set_t allowed;
	int count;

	cpu[0] = cpu[1] = -1;
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return 0;
	count = CPU_COUNT(&allowed);
	if (count < 2 || sched_setaffinity(0, sizeof(allowed), &allowed))
		return count;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &allowed))
			continue;
		if (cpu[0] < 0)
			cpu[0] = i;
		else if (cpu[1] < 0 || !are_siblings(cpu[0], i))
			cpu[1] = i;
		if (cpu[1] >= 0 && !are_siblings(cpu[0], cpu[1]))
			break;
	}
	return count;
}

static int create(struct side *side)
{
	struct shr_segment_options how = {.struct_size = sizeof(how), .role = "shmring bench"};
	struct shr_ring_options ring = {.struct_size = sizeof(ring),
					.flags = SHR_RING_SINGLE_PRODUCER,
					.capacity = RING_BYTES,
					.max_record = SIZE_LIMIT};
	struct shr_table_options table = {
		.struct_size = sizeof(table), .slots = SLOTS, .record_size = RECORD_SIZE};
	struct shr_object objects[RINGS + 1];
	int err = shr_table_describe(&objects[RINGS], "table", &table);

	for (int i = 0; i < RINGS && !err; i++)
		err = shr_ring_describe(&objects[i], ring_names[i], &ring);
	return err ? err : shr_segment_create(&side->segment, side->name, objects, RINGS + 1, &how);
}

/* It may be stopped: SIGKILL ends it even so. */
static void child_end(pid_t child, int result)
{
	int early = child_ended, status = 0;

	kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!result || !early || operate_stopped)
		return;
	if (WIFSIGNALED(status))
		operate_say("the other process was ended by signal %d", WTERMSIG(status));
	else if (!WEXITSTATUS(status)) /* else it has told why */
		operate_say("the other process ended");
}

/*
 * For how long process @pid could have run and did not, in ns; -1 where the kernel does
 * not say.
 */
static double waited_ns(pid_t pid)
{
	double waited = -1;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%*u %lf", &waited) != 1)
		waited = -1;
	fclose(file);
	return waited;
}

/* Measure, and what part of the time the two of them waited for their cpus. */
static int measure_waits(struct side *side, struct bench *bench, pid_t child)
{
	const pid_t pid[2] = {getpid(), child};
	double before[2], after, waited = 0;
	int64_t start = now_ns();
	int err;

	for (int i = 0; i < 2; i++)
		before[i] = waited_ns(pid[i]);
	err = measure(side, bench);
	for (int i = 0; i < 2 && waited >= 0; i++) {
		after = waited_ns(pid[i]);
		waited = before[i] < 0 || after < before[i] ? -1 : waited + after - before[i];
	}
	bench->waited = waited < 0 ? -1 : waited / 2 / (double)(now_ns() - start);
	return err;
}

static int run_in(struct side *side, struct bench *bench)
{
	struct sigaction action = {.sa_handler = note_child, .sa_flags = SA_NOCLDSTOP};
	pid_t parent = getpid(), child;
	int err, result;

	sigaction(SIGCHLD, &action, NULL);
	child = fork();
	if (child < 0) {
		operate_say("cannot start another process: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (!child) {
		result = child_run(side, parent, bench->cpu[1]);
		side_close(side);
		_exit(result);
	}
	pin(bench->cpu[0]);
	err = side_attach(side);
	if (!err)
		err = measure_waits(side, bench, child);
	result = err ? failed(side, err) : 0;
	child_end(child, result);
	if (result && operate_stopped)
		operate_say("ended by a signal");
	return result;
}

int bench_run(struct bench *bench, const char *name)
{
	struct side *side = calloc(1, sizeof(*side));
	int err, result;

	if (!side)
		return operate_no_memory();
	side->name = name;
	side->one_cpu = bench->one_cpu = pick_cpus(bench->cpu) == 1;
	if (side->one_cpu)
		operate_say("there is one cpu only: the figures mean little");
	err = create(side);
	result = err ? operate_failed(name, err) : run_in(side, bench);
	remove_segment(side);
	side_close(side);
	free(side);
	return result;
}
