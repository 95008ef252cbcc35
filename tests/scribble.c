/* SPDX-License-Identifier: MIT */
/*
 * torture-scribble [SECONDS [SEED]] (15 1): a process writes nonsense over the shared words of a
 * ring (its lines, cursors, records), while producers, consumers, workers,
 * observers, openers and inspectors use it, of every mode and kind, and some of them
 * are killed. Each call must return, soon, what ring.h says that it may return;
 * nobody may die of it. Beside each mapping of the ring lie pages that nobody may
 * touch.
 *
 * What is never scribbled: the constant part of the segment, which is checked when
 * it is attached, and the memory of handles, which is not shared.
 */
#include "ring_core.h"
#include "scribble.h"

static const int of_reserve[] = {EAGAIN, EMSGSIZE, EINVAL, EBUSY, ENOBUFS, EBADMSG, ETIMEDOUT, 0};
static const int of_commit[] = {EINVAL, EMSGSIZE, 0};
static const int of_next[] = {EAGAIN, EBADMSG, EMSGSIZE, ETIMEDOUT, 0};
static const int of_release[] = {EBADMSG, 0};
static const int of_ack[] = {EBADMSG, ENOENT, EOPNOTSUPP, 0};
static const int of_open[] = {EBUSY,  ENOENT, EEXIST, ENOSPC, EOPNOTSUPP, ERANGE,
			      ESTALE, EINVAL, EROFS,  EAGAIN, EBADMSG,    0};
static const int of_remove[] = {ENOENT, EBUSY, EPERM, EBADMSG, 0};
static const int of_stat[] = {EBADMSG, ENOENT, EAGAIN, 0};
static const int of_attach[] = {EBADMSG, EUSERS, EAGAIN, 0};
static const int of_wait[] = {ETIMEDOUT, 0};

static struct shr_ring *attach(struct shr_segment **segment, int observe)
{
	struct shr_segment_options options = {.struct_size = sizeof(options),
					      .flags = observe ? SHR_SEGMENT_OBSERVE : 0};
	struct shr_ring *ring = NULL;

	*segment = NULL;
	if (CALL(shr_segment_attach(segment, name, &options), of_attach))
		return NULL;
	CALL(shr_ring_attach(&ring, *segment, "ring", NULL), nothing);
	return ring;
}

static void detach(struct shr_segment *segment, struct shr_ring *ring)
{
	CALL(shr_ring_close(ring), nothing);
	CALL(shr_segment_detach(segment), nothing);
}

/* --- Those who use the ring -------------------------------------------------------- */

static unsigned char bytes[1 << 16];
static volatile unsigned sum;

static void produce_once(struct shr_ring *ring, struct shr_producer *producer)
{
	uint64_t most = shr_ring_max_record(ring);
	size_t size = below(8) ? below(64) : below((uint32_t)most + 2);
	struct iovec pieces[70];
	void *payload = NULL;

	switch (below(10)) {
	case 0:
		CALL(shr_producer_write_until(producer, bytes, size, SHORTLY), of_reserve);
		return;
	case 1:
		for (int i = 0; i < 70; i++)
			pieces[i] = (struct iovec){bytes, below(80)};
		CALL(shr_producer_write_many(producer, pieces, below(70)), of_reserve);
		return;
	case 2:
		for (int i = 0; i < 4; i++)
			pieces[i] = (struct iovec){bytes, size / 4};
		CALL(shr_producer_writev(producer, pieces, 4), of_reserve);
		return;
	case 3:
		CALL(shr_producer_set_type(producer, (uint16_t)random64()), nothing);
		return;
	default:
		break;
	}
	if (CALL(shr_producer_reserve(producer, size, &payload), of_reserve))
		return;
	if ((uint8_t *)payload < ring->view.data ||
	    (uint8_t *)payload + size > ring->view.data + shr_ring_capacity(ring))
		wrong("a reservation outside the ring", 0);
	memset(payload, (int)size, size);
	switch (below(6)) {
	case 0:
		CALL(shr_producer_abort(producer), of_commit);
		break;
	case 1:
		CALL(shr_producer_commit_size(producer, below((uint32_t)size + 1)), of_commit);
		break;
	default:
		CALL(shr_producer_commit(producer), of_commit);
	}
}

static void produce(void)
{
	while (!*stop) {
		struct shr_producer *producer = NULL;
		struct shr_segment *segment;
		struct shr_ring *ring = attach(&segment, 0);

		if (!ring)
			continue;
		for (int again = 0; again < 4 && !*stop; again++) {
			producer = NULL;
			if (CALL(shr_producer_open(&producer, ring), of_open)) {
				usleep(500);
				continue;
			}
			for (uint32_t n = below(20000); n && !*stop; n--)
				produce_once(ring, producer);
			CALL(shr_producer_close(producer), nothing);
		}
		detach(segment, ring);
	}
}

static void look_at(const struct shr_ring *ring, const struct shr_record *record)
{
	const unsigned char *at = record->payload;

	if (record->size > shr_ring_max_record(ring) || record->flags & ~3)
		wrong("a record that is too large", 0);
	for (size_t i = 0; i < record->size; i++)
		sum += at[i];
}

static void consume_once(struct shr_ring *ring, struct shr_cursor *cursor)
{
	struct shr_record record[16];
	struct shr_cursor_info info;
	struct pollfd fd = {.events = POLLIN};
	size_t which = 0;
	int n = 0, err;

	switch (below(12)) {
	case 0:
		if (!CALL(shr_cursor_next_until(cursor, &record[0], SHORTLY), of_next))
			n = 1;
		break;
	case 1:
		n = CALL(shr_cursor_next_many(cursor, record, 16), of_next);
		break;
	case 2:
		n = CALL(shr_cursor_read_many(cursor, bytes, below(4000), record, 16), of_next);
		for (int i = 0; i < n; i++)
			look_at(ring, &record[i]);
		return;
	case 3:
		err = CALL(shr_cursor_read(cursor, bytes, below(200), &record[0]), of_next);
		if (!err)
			look_at(ring, &record[0]);
		return;
	case 4:
		err = CALL(shr_cursor_read_until(cursor, bytes, sizeof(bytes), &record[0], SHORTLY), of_next);
		if (!err)
			look_at(ring, &record[0]);
		return;
	case 5:
		CALL(shr_cursor_wait_any_until(&cursor, 1, &which, SHORTLY), of_wait);
		return;
	case 6:
		fd.fd = CALL(shr_cursor_fd(cursor), nothing);
		poll(&fd, 1, 2);
		return;
	case 7:
		CALL(shr_cursor_get(cursor, &info), nothing);
		sum += (unsigned)shr_cursor_position(cursor);
		return;
	default:
		if (!CALL(shr_cursor_next(cursor, &record[0]), of_next))
			n = 1;
	}
	for (int i = 0; i < n; i++)
		look_at(ring, &record[i]);
	for (int i = 0; i < n; i++) {
		if (below(3) == 0)
			CALL(shr_cursor_ack(cursor, &record[i]), of_ack);
		else if (below(6) == 0)
			CALL(shr_cursor_nack(cursor, &record[i]), of_ack);
	}
	if (below(3))
		CALL(shr_cursor_release(cursor), of_release);
}

static int open_one(struct shr_cursor **cursor, struct shr_ring *ring, uint32_t mode, int observe)
{
	static const char *const names[] = {"default", "a", "b", "c"};
	struct shr_cursor_options options = {.struct_size = sizeof(options), .join = below(4)};
	const char *who = mode == SHR_RING_QUEUE ? NULL : names[below(4)];
	struct shr_ring_status status = {0};

	if (options.join == SHR_JOIN_POSITION) {
		CALL(shr_ring_stat(ring, &status), of_stat);
		options.position = below(2) ? status.reclaim : status.position + 8 * below(32);
	}
	if (observe || below(4) == 0) {
		options.flags = SHR_CURSOR_OBSERVE;
		who = NULL;
	} else if (mode != SHR_RING_QUEUE) {
		options.flags = (below(4) ? SHR_CURSOR_CREATE : 0) | (below(2) ? SHR_CURSOR_LOSSY : 0) |
				(below(2) ? SHR_CURSOR_DURABLE : 0);
	}
	*cursor = NULL;
	return CALL(shr_cursor_open_with(cursor, ring, who, &options), of_open);
}

static void consume(uint32_t mode, int observe)
{
	while (!*stop) {
		struct shr_cursor *cursor;
		struct shr_segment *segment;
		struct shr_ring *ring = attach(&segment, observe);

		if (!ring)
			continue;
		for (int again = 0; again < 4 && !*stop; again++) {
			if (open_one(&cursor, ring, mode, observe)) {
				usleep(200);
				continue;
			}
			for (uint32_t n = below(3000); n && !*stop; n--)
				consume_once(ring, cursor);
			CALL(shr_cursor_close(cursor), nothing);
		}
		detach(segment, ring);
	}
}

static void open_and_remove(uint32_t mode)
{
	static const char *const names[] = {"default", "a", "b", "c", "queue"};
	struct shr_segment *segment;
	struct shr_ring *ring = NULL;

	while (!*stop && !ring)
		ring = attach(&segment, 0);
	while (!*stop) {
		struct shr_ring_status status;
		struct shr_cursor_info info;
		struct shr_cursor *cursor;

		if (!open_one(&cursor, ring, mode, 0)) {
			for (uint32_t n = below(4); n; n--)
				consume_once(ring, cursor);
			CALL(shr_cursor_close(cursor), nothing);
		}
		if (below(4) == 0)
			CALL(shr_ring_remove_cursor(ring, names[below(5)]), of_remove);
		CALL(shr_ring_stat(ring, &status), of_stat);
		CALL(shr_ring_cursor(ring, below(SHR_RING_CURSORS_MAX), &info), of_stat);
	}
	if (ring)
		detach(segment, ring);
}

static void inspect(void)
{
	while (!*stop) {
		struct shr_inspect *at = NULL;
		struct shr_walk *walk = NULL;
		struct shr_ring_status status;
		struct shr_cursor_info info;
		struct shr_walk_record record;
		struct shr_blame blame[3];

		CALL(shr_inspect_open(&at, name), nothing);
		CALL(shr_inspect_ring(at, 0, &status), of_stat);
		CALL(shr_inspect_cursor(at, 0, below(SHR_RING_CURSORS_MAX), &info), of_stat);
		CALL(shr_inspect_blame(at, 0, blame, 3), of_stat);
		if (!CALL(shr_walk_open(&walk, at, 0, below(3) | 16 * below(4), below(2) ? 100 : 1 << 20), of_stat)) {
			for (int n = 0; n < 300; n++) {
				if (CALL(shr_walk_next(walk, &record), of_stat))
					break;
				for (size_t i = 0; i < record.copied; i++)
					sum += ((const unsigned char *)record.payload)[i];
			}
		}
		shr_walk_close(walk);
		shr_inspect_close(at);
	}
}

/* --- Who writes nonsense ------------------------------------------------------------ */

struct kind {
	struct shr_ring_options options;
	uint32_t pause_us; /* between two words */
	uint32_t restore;  /* of 4: how often it was only for a moment */
	uint32_t where;	   /* 0 all over; 1 lines; 2 cursors; 3 records */
};

static uint64_t nonsense(const volatile uint64_t *words, uint64_t at, uint64_t count)
{
	uint64_t was = words[at];

	switch (below(12)) {
	case 0:
		return 0;
	case 1:
		return random64();
	case 10: /* a whole word, but for its length */
	case 11:
		return WORD_MAKE(1 + below(7), 1 + below(10), below(2), below((uint32_t)(count - FORMAT_RING_DATA / 8) * 8));
	case 2:
		return was ^ (uint64_t)1 << below(64);
	case 3:
		return was + 8 * (uint64_t)below(64) - 256;
	case 4:
		return words[random64() % count];
	case 5: /* a word of a record */
		return WORD_MAKE(below(9), below(18), below(3), below(4) ? below(300) : below(70000));
	case 6:
		return WORD_MAKE(WORD_BUSY, 1 + below(12), below(2), below(40) * 8);
	case 7:
		return words[1 + below(3) * 15] + (uint64_t)below(2048) * 8 - 8192; /* near tail, reclaim */
	case 8:
		return below(20);
	default:
		return (uint64_t)below(20) | (uint64_t)below(20) << 16;
	}
}

static void scribble(const struct kind *kind)
{
	struct shr_inspect *at = NULL;
	struct shr_object_info object;
	struct stat stat;
	char path[128];
	volatile uint64_t *words;
	uint64_t count, lines = FORMAT_RING_DATA / 8;
	uint8_t *base;
	int fd;

	snprintf(path, sizeof(path), "/dev/shm%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &stat) || shr_inspect_open(&at, name) || shr_inspect_object(at, 0, &object))
		_exit(3);
	base = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	words = (volatile uint64_t *)(void *)(base + object.offset);
	count = lines + kind->options.capacity / 8;
	while (!*stop) {
		uint64_t place, was;

		switch (kind->where ? kind->where : 1 + below(3)) {
		case 1:
			place = below(2) ? below(128) : (uint64_t[]){0, 1, 2, 3, 16, 17, 32, 48, 64, 80, 81, 82}[below(12)];
			break;
		case 2:
			place = 128 + 32 * (uint64_t)below(below(2) ? 1 : 4) + below(20);
			break;
		default:
			place = random64();
			if (below(4)) /* where somebody is just now: tail, reclaim, take, a cursor */
				place = words[(uint64_t[]){1, 16, 82, 129, 130, 161, 193, 225}[below(8)]] / 8 +
					(below(2) ? 0 : below(64));
			place = lines + place % (count - lines);
		}
		was = words[place];
		me->calls++;
		__atomic_store_n(&words[place], nonsense(words, place, count), __ATOMIC_RELAXED);
		if (kind->pause_us)
			usleep(below(kind->pause_us));
		if (below(4) < kind->restore)
			__atomic_store_n(&words[place], was, __ATOMIC_RELAXED);
	}
}

/* --- Rounds ---------------------------------------------------------------------------- */

static struct kind kind_random(void)
{
	static const uint32_t pauses[] = {0, 20, 300, 3000};
	struct kind kind = {.options = {.struct_size = sizeof(kind.options),
					.mode = below(3),
					.capacity = (uint64_t)256 << below(8),
					.first_position = (uint64_t)0 - 8 * (uint64_t)below(2000)},
			    .pause_us = pauses[below(4)],
			    .restore = 4 - below(5) * below(2),
			    .where = below(4)};
	struct shr_ring_options *o = &kind.options;

	o->flags = (below(3) == 0 ? SHR_RING_SINGLE_PRODUCER : 0) | (below(2) ? SHR_RING_SEQUENCE : 0) |
		   (below(2) ? SHR_RING_TIME : 0);
	if (o->mode != SHR_RING_OVERWRITE && below(3) == 0)
		o->flags |= SHR_RING_DROP_NEWEST;
	if (o->mode == SHR_RING_QUEUE)
		o->flags |= below(2) ? SHR_RING_AT_MOST_ONCE : 0;
	else
		o->cursors = below(3) ? 1 + below(4) : 0;
	if (o->mode == SHR_RING_STREAM && o->cursors > 1 && below(3) == 0)
		o->flags |= SHR_RING_NO_DEFAULT;
	o->history = o->mode != SHR_RING_OVERWRITE && below(2) ? 8 : 0;
	return kind;
}

static void act(int who, const void *argument)
{
	const struct kind *kind = argument;

	switch (who) {
	case 0:
		scribble(kind);
		break;
	case 1:
	case 2:
	case 3:
		produce();
		break;
	case 7:
		consume(kind->options.mode, 1);
		break;
	case 8:
		inspect();
		break;
	case 9:
		open_and_remove(kind->options.mode);
		break;
	default:
		consume(kind->options.mode, 0);
	}
}

static int play_round(const struct kind *kind)
{
	struct shr_segment_options some = {.struct_size = sizeof(some), .members = 16};
	struct shr_ring *ring = NULL;
	int failed = shr_ring_open(&ring, name, "+>", &kind->options, &some);

	if (failed) {
		fprintf(stderr, "scribble: cannot make a ring: %s\n", shr_last_error());
		return 1;
	}
	failed = play_actors(kind);
	shr_ring_close(ring);
	shr_segment_unlink(name);
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 0) : 8, rounds = 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1, end = now_ns() + seconds * 1000000000;

	scribble_begin("scribble", seed);
	while (now_ns() < end) {
		struct kind kind;
		struct shr_object object;

		do
			kind = kind_random();
		while (shr_ring_describe(&object, "ring", &kind.options)); /* some do not go together */
		if (play_round(&kind)) {
			fprintf(stderr,
				"scribble: seed %llu, round %llu: mode %u flags 0x%x cursors %u capacity %llu "
				"history %llu; pause %u us, restored %u of 4, where %u\n",
				(unsigned long long)seed, (unsigned long long)rounds, kind.options.mode,
				kind.options.flags, kind.options.cursors,
				(unsigned long long)kind.options.capacity,
				(unsigned long long)kind.options.history, kind.pause_us, kind.restore, kind.where);
			printf("not ok 1 - scribbled rings are errors and nothing worse\n");
			return 1;
		}
		rounds++;
	}
	return scribble_end(rounds, "rings");
}
