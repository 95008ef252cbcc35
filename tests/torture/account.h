/* SPDX-License-Identifier: MIT */
/*
 * The account of a ring after a death, for tests/torture/ring.c. Two witnesses:
 *
 *	ledger	what the processes know that they did, on a page beside the segment:
 *		each number is written before a call ("begun") and after it ("done"),
 *		so that at most the one call that a death cut is uncertain
 *	model	what is in the memory when all that write are dead, before anybody
 *		mends: read here by the format, with none of the library's code
 *
 * The model must agree with the ledger, and what the library then delivers, counts and
 * leaves behind must be exactly what the model says.
 */
#ifndef TESTS_ACCOUNT_H
#define TESTS_ACCOUNT_H

#include <errno.h>
#include <sys/mman.h>

#include "../records.h"
#include "ring_core.h"
#include "step.h"

/* Who writes: before, the victim, who died before it, who checks, who goes on meanwhile. */
enum { P_BEFORE, P_VICTIM, P_DEAD, P_CHECK, P_OTHER, PRODUCERS };
/* Cursors, and the one that the victim makes. A queue has them all in the first. */
enum { C_DEFAULT, C_SECOND, C_LOSSY, C_MADE, CURSORS };
static const char *const cursor_names[CURSORS] = {"default", "second", "lossy", "made"};

#define NUMBERS 512 /* records a producer writes, at most */
#define WORDS 512   /* records in a ring, at most */
#define LARGEST 64  /* bytes of their payloads */
#define PATIENCE_NS 20000000000

/* Of a queue's record. */
enum { Q_GIVEN = 1, Q_BACKING = 2, Q_ACKING = 4, Q_ACKED = 8 };

struct ledger {
	uint32_t begun[PRODUCERS], done[PRODUCERS];
	uint32_t dropping[PRODUCERS], dropped[PRODUCERS];
	struct {
		uint32_t given[PRODUCERS], releasing[PRODUCERS], released[PRODUCERS]; /* up to which number */
		/* Records that a call may be giving and releasing, by who calls. */
		uint32_t reading[PRODUCERS];
		uint32_t count_begun, count_done; /* released */
		uint32_t unknown; /* it began somewhere in the middle */
	} cursor[CURSORS];
	uint32_t taking[PRODUCERS]; /* records that a call may be taking from a queue */
	uint32_t told;	 /* for scenarios */
	uint8_t queue[PRODUCERS][NUMBERS];
	char what[200]; /* is wrong, in a child */
};

static struct ledger *ledger;
static int self; /* P_* of this process */
static struct shr_segment *segment; /* of this process */
static struct shr_ring *ring;

static uint32_t sum(const uint32_t number[PRODUCERS])
{
	uint32_t all = 0;

	for (int p = 0; p < PRODUCERS; p++)
		all += number[p];
	return all;
}

#define NOTE(number, value) __atomic_store_n(&(number), value, __ATOMIC_SEQ_CST)

static const struct ring_view *view_of(void)
{
	return &ring->view;
}

static int is_queue_ring(void)
{
	return view_of()->mode == SHR_RING_QUEUE;
}

static uint32_t size_of(uint32_t producer, uint32_t number)
{
	return 8 + (uint32_t)(mix(producer * 100003u + number) % (LARGEST - 7));
}

/* --- The model ----------------------------------------------------------------- */

struct model_record {
	uint64_t position, word, number, taken; /* times, of a queue's */
	struct head head; /* of a whole payload, else producer -1 */
};

struct model_cursor {
	int there;
	uint64_t position, delivered, skipped, lost, sequence, redelivered, role;
};

struct model {
	struct model_record record[WORDS];
	size_t count;
	uint64_t tail, reclaim, clean, sequence, dropped, acked, position, redelivered;
	uint32_t claim_owner, take_owner, repairs;
	uint64_t producer_role, evicted, leaving; /* cursors that go with their dead owners */
	struct model_cursor cursor[CURSORS];
};

static uint64_t word_at(uint64_t position)
{
	const struct ring_view *view = view_of();
	uint64_t word;

	memcpy(&word, view->data + (position & (view->capacity - 1)), 8);
	return word;
}

static int is_pad(uint64_t word)
{
	return WORD_STATE(word) == WORD_PAD ||
	       (WORD_STATE(word) == WORD_BUSY && WORD_TYPE(word) == WORD_CLAIM_PAD);
}

static uint64_t total_of(uint64_t word)
{
	return (WORD_LENGTH(word) + (is_pad(word) ? 8 : view_of()->header) + 7) & ~(uint64_t)7;
}

static int all_zero(uint64_t from, uint64_t to)
{
	for (; from != to; from += 8)
		if (word_at(from))
			return 0;
	return 1;
}

static int state_possible(uint64_t word)
{
	uint32_t state = WORD_STATE(word);

	if (WORD_ZERO(word) || !WORD_OWNER(word) || WORD_OWNER(word) > view_of()->members)
		return 0;
	if (view_of()->single && state == WORD_BUSY)
		return 0;
	return state >= WORD_BUSY && state <= (is_queue_ring() ? WORD_LOST : WORD_PAD);
}

/* The records from reclaim to tail; every word must be possible. */
static void model_records(struct model *m)
{
	const struct ring_view *view = view_of();
	uint64_t at = m->reclaim, number = 0;
	int may_drop = view->flags & SHR_RING_DROP_NEWEST || view->mode == SHR_RING_OVERWRITE;

	m->count = 0;
	while (view->single ? at - m->reclaim < view->capacity : at != m->tail) {
		struct model_record *record = &m->record[m->count];
		uint64_t word = word_at(at), total = total_of(word);
		uint8_t *start = view->data + (at & (view->capacity - 1));

		if (view->single && !word)
			break;
		CHECK(m->count < WORDS);
		CHECK(word && state_possible(word));
		CHECK((at & (view->capacity - 1)) + total <= view->capacity);
		if (!view->single)
			CHECK(m->tail - at >= total);
		if (failures)
			return;
		*record = (struct model_record){at, word, 0, 0, {UINT32_MAX, 0, 0}};
		if (view->sequence_at && !is_pad(word)) {
			memcpy(&record->number, start + view->sequence_at, 8);
			/* One more than the one before, but for the dropped. */
			CHECK(record->number && (!number || record->number == number + 1 ||
						 (may_drop && record->number > number)));
			number = record->number;
		}
		if (view->token_at && !is_pad(word)) {
			memcpy(&record->taken, start + view->token_at, 8);
			record->taken = TOKEN_COUNT(record->taken);
		}
		if (!is_pad(word) && WORD_STATE(word) != WORD_BUSY && WORD_STATE(word) != WORD_SKIP) {
			record->head = check_payload(start + view->header, WORD_LENGTH(word));
			CHECK(record->head.producer < PRODUCERS);
			CHECK(record->head.sequence < NUMBERS);
			CHECK(record->head.size == size_of(record->head.producer, (uint32_t)record->head.sequence));
		}
		if (failures)
			return;
		m->count++;
		at += total;
	}
	if (view->single)
		m->tail = at;
}

static void model_cursors(struct model *m)
{
	const struct shm_ring *shm = view_of()->shm;

	for (uint32_t i = 0; i < (is_queue_ring() ? 1 : view_of()->cursors); i++) {
		const struct shm_cursor *cursor = &shm->cursor[i];
		uint64_t mode = cursor->mode;
		int journal = (int64_t)(cursor->journal_position - cursor->position) > 0, known = -1;

		m->evicted += CURSOR_EVICTIONS(mode);
		m->leaving += mode & CURSOR_USED && ROLE_MEMBER(cursor->role) &&
			      (mode & CURSOR_JOINING || !(mode & CURSOR_DURABLE));
		if (!(mode & CURSOR_USED) || (mode & CURSOR_JOINING))
			continue;
		if (mode & CURSOR_GATE && (int64_t)(m->tail - cursor->position) >= 0 &&
		    (m->position == m->tail + 1 || (int64_t)(m->position - cursor->position) > 0))
			m->position = cursor->position;
		for (int j = 0; j < CURSORS; j++)
			if (!strcmp(cursor->name, is_queue_ring() ? "queue" : cursor_names[j])) {
				known = j;
				break;
			}
		if (known < 0)
			continue;
		m->cursor[known] = (struct model_cursor){
			.there = mode & CURSOR_DURABLE ? 1 : 2,
			.position = journal ? cursor->journal_position : cursor->position,
			.delivered = cursor->delivered,
			.skipped = journal ? cursor->journal_skipped : cursor->skipped,
			.lost = journal ? cursor->journal_lost : cursor->lost,
			.sequence = journal ? cursor->journal_sequence : cursor->sequence,
			.redelivered = cursor->redelivered,
			.role = cursor->role,
		};
		if (is_queue_ring() && journal)
			m->acked = shm->journal_acked;
	}
}

/* What is there, and whether the protocol lets it be so after a death at any point. */
static void model_take(struct model *m)
{
	const struct ring_view *view = view_of();
	const struct shm_ring *shm = view->shm;
	/* The only consumer cleans up to two batches more than it must, producers to the end of a record. */
	uint64_t batch = view->ahead ? LARGEST + 32 + view->header : view->capacity / 4, from;

	*m = (struct model){.tail = shm->tail, .reclaim = shm->reclaim, .clean = shm->clean,
			    .sequence = shm->sequence, .dropped = shm->dropped, .acked = shm->acked,
			    .redelivered = shm->redelivered,
			    .claim_owner = shm->lock & 0xffff, .take_owner = shm->take_lock & 0xffff,
			    .repairs = (shm->lock >> 16) + (shm->take_lock >> 16),
			    .producer_role = shm->producer};
	CHECK(!(m->tail & 7) && !(m->reclaim & 7) && !(m->clean & 7));
	CHECK(m->reclaim - (m->clean - view->capacity) <= view->capacity);
	if (failures)
		return;
	model_records(m);
	if (failures)
		return;
	CHECK(m->tail - m->reclaim <= view->capacity);
	/* I2, I1 */
	CHECK(m->clean - m->tail >= 8 && m->clean - m->tail <= view->capacity);
	from = m->tail;
	if (!view->single && m->claim_owner) {
		uint64_t word = word_at(from);

		/* A word that was being claimed, its numbers; the word is last to go. */
		CHECK(!word || (WORD_STATE(word) == WORD_BUSY && WORD_OWNER(word) == m->claim_owner));
		from += m->clean - m->tail < view->header ? m->clean - m->tail : view->header;
	}
	if (!view->single)
		CHECK(all_zero(from, m->clean));
	m->position = m->tail + 1; /* none */
	model_cursors(m);
	if (m->position == m->tail + 1)
		m->position = m->tail;
	/* I4 */
	CHECK((int64_t)(m->position - m->reclaim) >= 0 && (int64_t)(m->tail - m->position) >= 0);
	/* The history is there, once there is so much. A gate that joined last may be further behind. */
	if (view->mode != SHR_RING_OVERWRITE && view->cursors < 2)
		CHECK(m->reclaim == view->first_position || m->position - m->reclaim + batch >= view->history);
	/* A drop that a death cut is done. */
	if (shm->journal_dropped == m->dropped + 1) {
		m->dropped++;
		m->sequence = shm->journal_sequence;
	}
}

/* --- The model against the ledger ---------------------------------------------- */

/* May the record be delivered: is it there for cursor @c, or for a worker? */
static int to_come(const struct model *m, int c, const struct model_record *record)
{
	uint32_t state = WORD_STATE(record->word);

	if (is_queue_ring())
		return state == WORD_READY ||
		       (state == WORD_TAKEN && !(view_of()->flags & SHR_RING_AT_MOST_ONCE));
	return state == WORD_READY && (int64_t)(record->position - m->cursor[c].position) >= 0;
}

static void agree_stream(const struct model *m, int c)
{
	uint32_t next[PRODUCERS], excess = 0;
	uint64_t passed = 0;
	int seen[PRODUCERS] = {0}, lossy = c == C_LOSSY || view_of()->mode == SHR_RING_OVERWRITE;

	for (size_t i = 0; i < m->count; i++) {
		const struct model_record *record = &m->record[i];
		uint32_t p = record->head.producer, number = (uint32_t)record->head.sequence;

		passed += WORD_STATE(record->word) == WORD_SKIP &&
			  (int64_t)(record->position - m->cursor[c].position) < 0;
		if (!to_come(m, c, record))
			continue;
		if (!seen[p] && !lossy && !ledger->cursor[c].unknown) {
			CHECK(number >= ledger->cursor[c].released[p]);
			CHECK(number <= ledger->cursor[c].releasing[p] + sum(ledger->cursor[c].reading));
			if (number > ledger->cursor[c].releasing[p])
				excess += number - ledger->cursor[c].releasing[p];
		}
		if (seen[p])
			CHECK(number == next[p]);
		seen[p] = 1;
		next[p] = number + 1;
	}
	CHECK(excess <= sum(ledger->cursor[c].reading));
	if (!lossy && !ledger->cursor[c].unknown)
		CHECK(passed <= m->cursor[c].skipped);
	for (int p = 0; p < PRODUCERS; p++) {
		if (seen[p]) {
			CHECK(next[p] >= ledger->done[p] && next[p] <= ledger->begun[p]);
		} else if (!lossy && !ledger->cursor[c].unknown) {
			CHECK(ledger->done[p] <= ledger->cursor[c].releasing[p] + sum(ledger->cursor[c].reading));
		}
	}
}

static void agree_queue(const struct model *m)
{
	static uint8_t there[PRODUCERS][NUMBERS];
	int at_most_once = !!(view_of()->flags & SHR_RING_AT_MOST_ONCE);
	uint32_t missing = 0, top[PRODUCERS] = {0};

	memset(there, 0, sizeof(there));
	for (size_t i = 0; i < m->count; i++) {
		const struct head *head = &m->record[i].head;

		if (!to_come(m, 0, &m->record[i]))
			continue;
		CHECK(!there[head->producer][head->sequence]);
		CHECK(head->sequence < ledger->begun[head->producer]);
		there[head->producer][head->sequence] = 1;
		if (head->sequence >= top[head->producer])
			top[head->producer] = (uint32_t)head->sequence + 1;
	}
	for (int p = 0; p < PRODUCERS; p++)
		for (uint32_t n = 0; n < ledger->done[p] || n < top[p]; n++) {
			uint8_t state = ledger->queue[p][n];

			if (there[p][n]) {
				CHECK(!(state & Q_ACKED));
				if (at_most_once)
					CHECK(!(state & Q_GIVEN));
			} else if (!(state & Q_ACKING) && !(at_most_once && state & Q_GIVEN)) {
				missing++;
			}
		}
	CHECK(missing <= (sum(at_most_once ? ledger->taking : ledger->cursor[0].reading)));
}

static void model_agrees(const struct model *m)
{
	if (is_queue_ring()) {
		agree_queue(m);
	} else {
		for (int c = 0; c < CURSORS && !failures; c++)
			if (m->cursor[c].there == 1)
				agree_stream(m, c);
	}
	if (view_of()->flags & SHR_RING_DROP_NEWEST)
		CHECK(m->dropped >= sum(ledger->dropped) &&
		      m->dropped <= sum(ledger->dropped) + sum(ledger->dropping));
}

/* --- Doing, and noting it -------------------------------------------------------- */

enum { WRITE, WRITEV, SHORTER, RESERVE_UNTIL };

static uint8_t bytes_of[PRODUCERS][8][LARGEST]; /* prepared, so that calls are short */
static uint32_t prepared_from[PRODUCERS], prepared[PRODUCERS];

static void prepare(int p)
{
	prepared_from[p] = ledger->begun[p];
	prepared[p] = 8;
	for (uint32_t i = 0; i < 8; i++)
		fill(bytes_of[p][i], (uint32_t)p, prepared_from[p] + i, size_of((uint32_t)p, prepared_from[p] + i));
}

static void *bytes_for(int p, uint32_t number)
{
	if (number - prepared_from[p] >= prepared[p])
		prepare(p);
	return bytes_of[p][number - prepared_from[p]];
}

static int write_shorter(struct shr_producer *producer, const void *bytes, uint32_t size)
{
	void *payload;
	int err = shr_producer_reserve(producer, size + 24, &payload);

	if (err)
		return err;
	memset(payload, 0xff, size + 24);
	memcpy(payload, bytes, size);
	return shr_producer_commit_size(producer, size);
}

/* Write the next record of producer @p. */
static int put(struct shr_producer *producer, int p, int how)
{
	uint32_t number = ledger->begun[p], size = size_of((uint32_t)p, number);
	uint8_t *bytes = bytes_for(p, number);
	struct iovec pieces[2] = {{bytes, 3}, {bytes + 3, size - 3}};
	int err;

	NOTE(ledger->begun[p], number + 1);
	NOTE(ledger->dropping[p], 1);
	if (how == WRITEV)
		err = shr_producer_writev(producer, pieces, 2);
	else if (how == SHORTER)
		err = write_shorter(producer, bytes, size);
	else
		err = shr_producer_write(producer, bytes, size);
	if (!err)
		NOTE(ledger->done[p], number + 1);
	else
		NOTE(ledger->begun[p], number);
	if (err == -ENOBUFS)
		NOTE(ledger->dropped[p], ledger->dropped[p] + 1);
	NOTE(ledger->dropping[p], 0);
	return err;
}

static int put_many(struct shr_producer *producer, int p, uint32_t count)
{
	uint32_t number = ledger->begun[p];
	struct iovec records[8];
	int n;

	if (number + count - prepared_from[p] > prepared[p])
		prepare(p);
	for (uint32_t i = 0; i < count; i++)
		records[i] = (struct iovec){bytes_for(p, number + i), size_of((uint32_t)p, number + i)};
	NOTE(ledger->begun[p], number + count);
	NOTE(ledger->dropping[p], 1);
	n = shr_producer_write_many(producer, records, count);
	NOTE(ledger->done[p], number + (n > 0 ? (uint32_t)n : 0));
	NOTE(ledger->begun[p], number + (n > 0 ? (uint32_t)n : 0));
	if (n == -ENOBUFS)
		NOTE(ledger->dropped[p], ledger->dropped[p] + 1);
	NOTE(ledger->dropping[p], 0);
	return n;
}

static struct head head_of(const struct shr_record *record)
{
	return check_payload(record->payload, record->size);
}

static void note_queue(const struct head *head, uint8_t what_of_it)
{
	if (head->producer < PRODUCERS && head->sequence < NUMBERS)
		__atomic_fetch_or(&ledger->queue[head->producer][head->sequence], what_of_it, __ATOMIC_SEQ_CST);
}

/* Cursor @c was given the record. */
static void note_given(int c, const struct head *head)
{
	if (head->producer >= PRODUCERS || head->sequence >= NUMBERS)
		return;
	if (is_queue_ring())
		note_queue(head, Q_GIVEN);
	else
		NOTE(ledger->cursor[c].given[head->producer], (uint32_t)head->sequence + 1);
}

static int get(struct shr_cursor *cursor, int c, struct shr_record *record)
{
	struct head head;
	int err;

	NOTE(ledger->taking[self], 1);
	err = shr_cursor_next(cursor, record);
	if (!err) {
		head = head_of(record);
		note_given(c, &head);
		NOTE(ledger->cursor[c].count_begun, ledger->cursor[c].count_begun + 1);
	}
	NOTE(ledger->taking[self], 0);
	return err;
}

static void note_releasing(int c)
{
	for (int p = 0; p < PRODUCERS; p++)
		NOTE(ledger->cursor[c].releasing[p], ledger->cursor[c].given[p]);
}

static void note_released(int c)
{
	for (int p = 0; p < PRODUCERS; p++)
		NOTE(ledger->cursor[c].released[p], ledger->cursor[c].given[p]);
	NOTE(ledger->cursor[c].count_done, ledger->cursor[c].count_begun);
}

static int release(struct shr_cursor *cursor, int c)
{
	int err;

	note_releasing(c);
	err = shr_cursor_release(cursor);
	note_released(c);
	return err;
}

/* A queue's record: acknowledge it or give it back. */
static int finish(struct shr_cursor *cursor, const struct shr_record *record, int ack)
{
	struct head head = head_of(record);
	int err;

	note_queue(&head, ack ? Q_ACKING : Q_BACKING);
	err = ack ? shr_cursor_ack(cursor, record) : shr_cursor_nack(cursor, record);
	if (!err && ack)
		note_queue(&head, Q_ACKED);
	return err;
}

/* Copying reads: given and released in one call. */
static int read_some(struct shr_cursor *cursor, int c, uint32_t count)
{
	static uint8_t buffer[1024];
	struct shr_record records[4];
	int n, err;

	NOTE(ledger->cursor[c].count_begun, ledger->cursor[c].count_done + count);
	NOTE(ledger->cursor[c].reading[self], count);
	NOTE(ledger->taking[self], count);
	if (count == 1) {
		err = shr_cursor_read(cursor, buffer, sizeof(buffer), records);
		n = err ? err : 1;
	} else {
		n = shr_cursor_read_many(cursor, buffer, sizeof(buffer), records, count);
	}
	for (int i = 0; i < n; i++) {
		struct head head = head_of(&records[i]);

		note_given(c, &head);
		if (is_queue_ring())
			note_queue(&head, Q_ACKING | Q_ACKED);
	}
	NOTE(ledger->cursor[c].count_begun, ledger->cursor[c].count_done + (n > 0 ? (uint32_t)n : 0));
	note_releasing(c);
	note_released(c);
	NOTE(ledger->cursor[c].reading[self], 0);
	NOTE(ledger->taking[self], 0);
	return n;
}

#endif
