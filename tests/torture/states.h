/* SPDX-License-Identifier: MIT */
/*
 * Kinds of rings, the states that they are in before a call, and how each is brought
 * about. For tests/torture/ring.c.
 */
#ifndef TESTS_STATES_H
#define TESTS_STATES_H

#include "settle.h"

#define CAPACITY 1024

static char name[64];
static struct shr_producer *producer; /* of this process */
static struct shr_cursor *cursor;

/* --- Kinds, states, calls -------------------------------------------------------- */

struct kind {
	const char *name;
	uint32_t mode, flags, cursors;
};

static const struct kind kinds[] = {
	{"stream", SHR_RING_STREAM, 0, 1},
	{"stream, single producer", SHR_RING_STREAM, SHR_RING_SINGLE_PRODUCER, 1},
	{"numbered stream", SHR_RING_STREAM, SHR_RING_SEQUENCE | SHR_RING_TIME, 1},
	{"numbered stream, single producer", SHR_RING_STREAM,
	 SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE | SHR_RING_TIME, 1},
	{"cursors", SHR_RING_STREAM, 0, 5},
	{"cursors, single producer", SHR_RING_STREAM, SHR_RING_SINGLE_PRODUCER, 5},
	{"numbered cursors", SHR_RING_STREAM, SHR_RING_SEQUENCE, 5},
	{"numbered cursors, single producer", SHR_RING_STREAM,
	 SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE, 5},
	{"drop newest", SHR_RING_STREAM, SHR_RING_DROP_NEWEST | SHR_RING_SEQUENCE, 1},
	{"drop newest, single producer", SHR_RING_STREAM,
	 SHR_RING_SINGLE_PRODUCER | SHR_RING_DROP_NEWEST | SHR_RING_SEQUENCE, 1},
	{"queue", SHR_RING_QUEUE, 0, 0},
	{"queue, single producer", SHR_RING_QUEUE, SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE, 0},
	{"queue, at most once", SHR_RING_QUEUE, SHR_RING_AT_MOST_ONCE | SHR_RING_TIME, 0},
	{"overwrite", SHR_RING_OVERWRITE, SHR_RING_SEQUENCE, 4},
	{"overwrite, single producer", SHR_RING_OVERWRITE,
	 SHR_RING_SINGLE_PRODUCER | SHR_RING_SEQUENCE, 4},
};

enum {
	EMPTY,
	HALF,
	FULL,
	WRAP,	   /* the next record needs a PAD; for readers: it is there */
	SKIPS,	   /* full, some read, and then a record given up; where it drops, some dropped */
	SPENT,	   /* all read, and to be cleaned; for readers: full again */
	DEAD_BUSY, /* a record in work of a dead process, records behind it */
	DEAD_LOCK, /* a dead process has the claim lock, and a record half claimed */
	DEAD_TAKE, /* a dead worker has the take lock, and a record half taken */
	DEAD_OWNER, /* of the roles: a record half written, records given */
	DEAD_GATE, /* full, because of a gate whose owner is dead and that does not stay */
	CONTENDED, /* a living process goes on meanwhile */
	STATES
};
static const char *const state_names[STATES] = {"empty", "half full", "full", "wrap", "skips", "spent",
	"dead in work", "dead with the claim lock", "dead with the take lock", "dead owner", "dead gate",
	"contended"};

/* Which side the call is of: what the victim has open. */
enum { OF_PRODUCER, OF_CONSUMER, OF_LOSSY, OF_RING };

struct call {
	const char *name;
	int side;
	int opens;    /* the handle itself */
	int attaches; /* the process */
	int (*possible)(const struct kind *kind);
	void (*run)(void);
};

static struct {
	const struct kind *kind;
	int state;
	const struct call *call;
} now;

static int single(void)
{
	return !!(now.kind->flags & SHR_RING_SINGLE_PRODUCER);
}

static int several_cursors(const struct kind *kind)
{
	return kind->mode == SHR_RING_STREAM && kind->cursors > 1;
}

static int has_lossy(const struct kind *kind)
{
	return kind->mode == SHR_RING_OVERWRITE ||
	       (several_cursors(kind) && kind->flags & SHR_RING_SEQUENCE);
}

/* A cursor that may go. */
static int has_spare(const struct kind *kind)
{
	return several_cursors(kind) || has_lossy(kind);
}

static int is_stream(const struct kind *kind)
{
	return kind->mode == SHR_RING_STREAM;
}

static int is_drop(const struct kind *kind)
{
	return !!(kind->flags & SHR_RING_DROP_NEWEST);
}

static int is_queue(const struct kind *kind)
{
	return kind->mode == SHR_RING_QUEUE;
}

static int is_any(const struct kind *kind)
{
	(void)kind;
	return 1;
}

static int has_reader(const struct kind *kind)
{
	return kind->mode != SHR_RING_OVERWRITE;
}

/* --- The world ------------------------------------------------------------------- */

static int attach(void)
{
	segment = NULL;
	ring = NULL;
	producer = NULL;
	cursor = NULL;
	return shr_segment_attach(&segment, name, NULL) || shr_ring_attach(&ring, segment, "ring", NULL)
		       ? -1
		       : 0;
}

static void detach(void)
{
	CHECK(!shr_ring_close(ring));
	CHECK(!shr_segment_detach(segment));
}

static void must(int bad, int line)
{
	if (!bad)
		return;
	snprintf(ledger->what, sizeof(ledger->what), "preparation at line %d: %s", line, shr_last_error());
	_exit(70);
}
#define MUST(bad) must(bad, __LINE__)

static void make(void)
{
	struct shr_segment_options options = {.struct_size = sizeof(options), .members = 6};
	struct shr_ring_options ring_options = {
		.struct_size = sizeof(ring_options), .capacity = CAPACITY, .mode = now.kind->mode,
		.flags = now.kind->flags, .cursors = now.kind->cursors,
		.first_position = now.state == WRAP ? (uint64_t)0 - 16 : (uint64_t)0 - 304};
	struct shr_object object;
	struct shr_segment *made = NULL;

	if (shr_ring_describe(&object, "ring", &ring_options) ||
	    shr_segment_create(&made, name, &object, 1, &options) || shr_segment_detach(made) || attach()) {
		printf("Bail out! %s\n", shr_last_error());
		exit(99);
	}
}

static struct shr_cursor *open_cursor(const char *which, uint32_t flags, uint32_t join)
{
	struct shr_cursor_options options = {.struct_size = sizeof(options), .flags = flags, .join = join};
	struct shr_cursor *opened = NULL;

	if (shr_cursor_open_with(&opened, ring, which, &options))
		return NULL;
	return opened;
}

/* Let a child attach, do @role and be killed; it does that itself, or here once it has said so. */
static void let_die(void (*role)(void))
{
	pid_t pid;

	NOTE(ledger->told, 0);
	pid = fork();
	if (!pid) {
		self = P_DEAD;
		MUST(attach());
		role();
		NOTE(ledger->told, 1);
		for (;;)
			pause();
	}
	CHECK(until(&ledger->told, 1));
	kill_now(pid);
}

/* --- States ------------------------------------------------------------------------ */

static int cursor_there(int c)
{
	if (is_queue(now.kind))
		return c == C_DEFAULT;
	if (now.kind->mode == SHR_RING_OVERWRITE)
		return c == C_LOSSY;
	return c == C_DEFAULT || (several_cursors(now.kind) &&
				  (c == C_SECOND || (c == C_LOSSY && has_lossy(now.kind))));
}

static void make_cursors(void)
{
	struct shr_cursor *made;

	for (int c = C_SECOND; c <= C_LOSSY; c++) {
		if (!cursor_there(c) || is_queue(now.kind))
			continue;
		made = open_cursor(cursor_names[c],
				   SHR_CURSOR_CREATE | SHR_CURSOR_DURABLE | (c == C_LOSSY ? SHR_CURSOR_LOSSY : 0),
				   SHR_JOIN_OLDEST);
		CHECK(made && !shr_cursor_close(made));
	}
}

static void consume_one(struct shr_cursor *from, int c, int acknowledge)
{
	struct shr_record record;

	if (get(from, c, &record))
		return;
	if (!is_queue(now.kind))
		release(from, c);
	else if (acknowledge)
		CHECK(!finish(from, &record, 1));
}

/* Up to @count records by each cursor that is there but @but. */
static void consume(uint32_t count, int but)
{
	for (int c = 0; c < CURSORS; c++) {
		struct shr_cursor *from = NULL;

		if (!cursor_there(c) || c == but)
			continue;
		CHECK(!shr_cursor_open(&from, ring, is_queue(now.kind) ? NULL : cursor_names[c]));
		for (uint32_t i = 0; i < count && from; i++)
			consume_one(from, c, 1);
		CHECK(!shr_cursor_close(from));
	}
}

static void produce(uint32_t count)
{
	for (uint32_t i = 0; i < count && !put(producer, P_BEFORE, WRITE); i++)
		;
}

static void produce_till_full(void)
{
	produce(now.kind->mode == SHR_RING_OVERWRITE ? 40 : 100);
}

static void give_up_one(void)
{
	void *payload;

	if (shr_producer_reserve(producer, 24, &payload)) {
		NOTE(ledger->dropped[P_BEFORE], ledger->dropped[P_BEFORE] + is_drop(now.kind));
		return;
	}
	memset(payload, 0xff, 24);
	CHECK(!shr_producer_abort(producer));
}

static void die_in_work(void)
{
	void *payload;

	MUST(shr_producer_open(&producer, ring));
	MUST(put(producer, P_DEAD, WRITE));
	MUST(shr_producer_reserve(producer, 40, &payload));
	memset(payload, 0xff, 20);
}

/* As the owner of the claim lock: the word, the number, and not the tail. */
static void die_with_claim_lock(void)
{
	struct shm_ring *shm = view_of()->shm;
	uint32_t me = (uint32_t)shr_segment_member(segment);
	uint64_t number = shm->sequence;
	uint8_t *at = view_of()->data + (shm->tail & (CAPACITY - 1));
	uint64_t word = WORD_MAKE(WORD_BUSY, me, 0, 24);

	shm->lock |= me;
	if (single())
		return;
	memcpy(at, &word, 8);
	if (!view_of()->sequence_at)
		return;
	memcpy(at + view_of()->sequence_at, &number, 8);
	shm->sequence = number + 1;
}

/* As the owner of the take lock: the token, TAKEN, and not take. */
static void die_with_take_lock(void)
{
	struct shm_ring *shm = view_of()->shm;
	uint32_t me = (uint32_t)shr_segment_member(segment);
	uint8_t *at = view_of()->data + (shm->take & (CAPACITY - 1));
	uint64_t word = word_at(shm->take), token = TOKEN_MAKE(me, 1);
	struct head head = check_payload(at + view_of()->header, WORD_LENGTH(word));

	MUST(WORD_STATE(word) != WORD_READY || head.producer != P_BEFORE);
	shm->take_lock |= me;
	memcpy(at + view_of()->token_at, &token, 8);
	word = (word & ~SHR_WORD_STATE_) | (uint64_t)WORD_TAKEN << 48;
	memcpy(at, &word, 8);
	note_given(C_DEFAULT, &head);
}

static void die_as_owner(void)
{
	int c = cursor_there(C_LOSSY) ? C_LOSSY : C_DEFAULT;
	struct shr_record record;

	if (single())
		die_in_work();
	MUST(shr_cursor_open(&cursor, ring, is_queue(now.kind) ? NULL : cursor_names[c]));
	MUST(get(cursor, c, &record));
	if (is_queue(now.kind)) {
		MUST(finish(cursor, &record, 1));
		MUST(get(cursor, c, &record));
	} else {
		MUST(release(cursor, c));
	}
	MUST(get(cursor, c, &record));
}

static void die_as_gate(void)
{
	struct shr_record record;

	MUST(!(cursor = open_cursor("gone", SHR_CURSOR_CREATE, SHR_JOIN_OLDEST)));
	MUST(shr_cursor_next(cursor, &record));
}

/* It stands still while the ring is filled, and dies when it is. */
static void make_dead_gate(void)
{
	pid_t pid = fork();

	if (!pid) {
		MUST(attach());
		die_as_gate();
		NOTE(ledger->told, 1);
		for (;;)
			pause();
	}
	CHECK(until(&ledger->told, 1));
	for (int i = 0; i < 4; i++) {
		produce_till_full();
		consume(100, -1);
	}
	kill_now(pid);
}

/* --- Somebody who goes on meanwhile ------------------------------------------------ */

static pid_t helper;

/* Writes, unless the one producer is the victim; reads, unless the victim does. */
static void go_on_meanwhile(void)
{
	int reads = now.call->side == OF_PRODUCER && now.kind->mode != SHR_RING_OVERWRITE;
	uint32_t beats = 0;

	self = P_OTHER;
	MUST(attach());
	if (!single() || now.call->side != OF_PRODUCER)
		MUST(shr_producer_open(&producer, ring));
	if (reads || is_queue(now.kind))
		MUST(shr_cursor_open(&cursor, ring, NULL));
	NOTE(ledger->told, 1);
	while (__atomic_load_n(&ledger->told, __ATOMIC_SEQ_CST) != 2) {
		if (producer && ledger->begun[P_OTHER] < NUMBERS - 1)
			put(producer, P_OTHER, WRITE);
		if (cursor)
			consume_one(cursor, C_DEFAULT, beats++ % 4 != 0);
		for (volatile int i = 0; i < 3000; i++)
			;
	}
	MUST(shr_producer_close(producer) || shr_cursor_close(cursor) || shr_ring_close(ring) ||
	     shr_segment_detach(segment));
	_exit(0);
}

static void start_helper(void)
{
	NOTE(ledger->told, 0);
	helper = fork();
	if (!helper)
		go_on_meanwhile();
	CHECK(until(&ledger->told, 1));
}

static void end_helper(void)
{
	if (helper) {
		int status;

		NOTE(ledger->told, 2);
		status = ended(helper);
		if (status)
			fail("who went on meanwhile ended with %d: %s", status, ledger->what);
	}
	helper = 0;
}

static int reads_something(void)
{
	return now.call->side == OF_CONSUMER || now.call->side == OF_LOSSY;
}

static void bring_about(void)
{
	CHECK(!shr_producer_open(&producer, ring));
	make_cursors();
	switch (now.state) {
	case HALF:
		produce(5);
		consume(2, -1);
		break;
	case FULL:
		produce_till_full();
		break;
	case WRAP:
		if (reads_something())
			produce(4);
		break;
	case SKIPS:
		produce_till_full();
		consume(14, -1); /* more than the history */
		give_up_one();
		if (is_drop(now.kind)) /* what was dropped is before it, and nothing behind */
			break;
		produce(1);
		give_up_one();
		break;
	case SPENT:
		for (int i = 0; i < 3; i++) {
			produce_till_full();
			consume(100, -1);
		}
		if (reads_something())
			produce_till_full();
		break;
	case DEAD_BUSY:
		produce(2);
		let_die(die_in_work);
		produce(3);
		break;
	case DEAD_LOCK:
		produce(5);
		consume(1, -1);
		let_die(die_with_claim_lock);
		break;
	case DEAD_TAKE:
		produce(5);
		let_die(die_with_take_lock);
		break;
	case DEAD_OWNER:
		produce(6);
		CHECK(!shr_producer_close(producer));
		producer = NULL;
		let_die(die_as_owner);
		return;
	case DEAD_GATE:
		produce(1);
		make_dead_gate();
		break;
	default:
		break;
	}
	CHECK(!shr_producer_close(producer));
	producer = NULL;
	if (now.state == CONTENDED)
		start_helper();
}

#endif
