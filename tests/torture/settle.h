/* SPDX-License-Identifier: MIT */
/*
 * After a death: the library mends, delivers what the model says, goes on for two
 * laps, and leaves nothing behind. For tests/torture/ring.c.
 */
#ifndef TESTS_SETTLE_H
#define TESTS_SETTLE_H

#include "account.h"

#define GO_ON 45 /* records */

struct settle {
	const struct model *model;
	struct shr_cursor *cursor[CURSORS]; /* a queue has one */
	struct shr_producer *producer;
	int hasty; /* goes on while a lossy cursor waits before what is in work, so that it is overtaken */
	uint32_t next[CURSORS]; /* of what is written here */
	uint64_t got[CURSORS];	/* records */
};

static uint64_t count_between(const struct model *m, uint64_t position, uint32_t a, uint32_t b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->count; i++)
		if ((int64_t)(m->record[i].position - position) >= 0 && !is_pad(m->record[i].word))
			n += WORD_STATE(m->record[i].word) == a || WORD_STATE(m->record[i].word) == b;
	return n;
}

/* What is delivered must be this. */
static void compare(const struct model_record *wanted, const struct shr_record *record)
{
	struct head head = head_of(record);

	CHECK(record->position == wanted->position);
	CHECK(head.producer == wanted->head.producer && head.sequence == wanted->head.sequence &&
	      head.size == wanted->head.size);
	CHECK(record->sequence == wanted->number);
	CHECK(record->member == WORD_OWNER(wanted->word));
}

/* --- Streams and overwrite -------------------------------------------------------- */

static int lossy(int c)
{
	return c == C_LOSSY || view_of()->mode == SHR_RING_OVERWRITE;
}

/* Cursor @c has all the records it should have, as far as the ring counts them. */
static void check_count(const struct settle *s, int c, uint64_t least, uint64_t most)
{
	struct shr_cursor_info info = {0};

	CHECK(!shr_cursor_get(s->cursor[c], &info));
	if (!view_of()->sequence_at || ledger->cursor[c].unknown)
		return;
	CHECK(info.sequence - 1 - info.skipped - info.lost >= least &&
	      info.sequence - 1 - info.skipped - info.lost <= most);
}

static void open_stream(struct settle *s, int c)
{
	struct shr_cursor_info info = {0};

	CHECK(!shr_cursor_open(&s->cursor[c], ring, cursor_names[c]));
	if (failures)
		return;
	CHECK(!shr_cursor_get(s->cursor[c], &info));
	CHECK(info.position == s->model->cursor[c].position);
	check_count(s, c, ledger->cursor[c].count_done, ledger->cursor[c].count_begun);
	s->got[c] = info.sequence - 1 - info.skipped - info.lost;
}

static void drain_stream(struct settle *s, int c)
{
	const struct model_cursor *was = &s->model->cursor[c];
	struct shr_record record;

	for (size_t i = 0; i < s->model->count && !failures; i++) {
		const struct model_record *wanted = &s->model->record[i];
		uint32_t p = wanted->head.producer;
		int again = (int64_t)(wanted->position - was->delivered) < 0, err;

		if (!to_come(s->model, c, wanted))
			continue;
		err = shr_cursor_next_until(s->cursor[c], &record, shr_deadline_ns(PATIENCE_NS));
		if (err) {
			fail("cursor %s says %d instead of record %u of %u: %s", cursor_names[c], err,
			     (uint32_t)wanted->head.sequence, p, shr_last_error());
			return;
		}
		compare(wanted, &record);
		CHECK(!(record.flags & SHR_RECORD_REDELIVERED) == !again);
		/* What it knows it was given and did not release comes again, and is told so. */
		if (wanted->head.sequence < ledger->cursor[c].given[p] && !sum(ledger->cursor[c].reading))
			CHECK(again);
		s->got[c]++;
		if (i % 3)
			CHECK(!shr_cursor_release(s->cursor[c]));
	}
	CHECK(!shr_cursor_release(s->cursor[c]));
	CHECK(shr_cursor_next(s->cursor[c], &record) == -EAGAIN);
}

static void end_stream(struct settle *s, int c)
{
	const struct model_cursor *was = &s->model->cursor[c];
	struct shr_cursor_info info = {0};
	struct shr_ring_status status = {0};
	uint64_t start = was->position, skipped;

	CHECK(!shr_cursor_get(s->cursor[c], &info) && !shr_ring_stat(ring, &status));
	check_count(s, c, s->got[c], s->got[c]);
	if ((int64_t)(s->model->reclaim - start) > 0)
		start = s->model->reclaim;
	skipped = count_between(s->model, start, WORD_SKIP, WORD_BUSY);
	CHECK(info.skipped - was->skipped == skipped ||
	      (s->hasty && lossy(c) && info.skipped - was->skipped < skipped));
	CHECK(info.takeovers == ROLE_TAKEOVERS(was->role) + !!ROLE_MEMBER(was->role));
	/* What is no record, after the last one, is released and never given. */
	CHECK(info.position == status.tail && (int64_t)(status.tail - info.delivered) >= 0);
	if (view_of()->flags & SHR_RING_DROP_NEWEST && !ledger->cursor[c].unknown)
		CHECK(info.lost == status.dropped);
	if (!lossy(c))
		CHECK(info.lost_bytes == 0);
	if (!lossy(c) && !(view_of()->flags & SHR_RING_DROP_NEWEST))
		CHECK(info.lost == 0);
	CHECK(!shr_cursor_close(s->cursor[c]));
	s->cursor[c] = NULL;
}

/* --- Queues ------------------------------------------------------------------------ */

static void drain_queue(struct settle *s)
{
	const struct model *m = s->model;
	static uint8_t got[WORDS];
	size_t left = 0, i;
	struct shr_record record;

	memset(got, 0, sizeof(got));
	for (i = 0; i < m->count; i++)
		left += (size_t)to_come(m, 0, &m->record[i]);
	for (; left && !failures; left--) {
		const struct model_record *wanted;
		int err = shr_cursor_next_until(s->cursor[0], &record, shr_deadline_ns(PATIENCE_NS));

		if (err) {
			fail("a worker gets %d with %zu to come: %s", err, left, shr_last_error());
			return;
		}
		for (i = 0; i < m->count && m->record[i].position != record.position; i++)
			;
		CHECK(i < m->count && to_come(m, 0, &m->record[i]) && !got[i]);
		if (failures)
			return;
		wanted = &m->record[i];
		got[i] = 1;
		compare(wanted, &record);
		CHECK(record.deliveries == wanted->taken + 1);
		CHECK(!(record.flags & SHR_RECORD_REDELIVERED) == (record.deliveries == 1));
		if (ledger->queue[wanted->head.producer][wanted->head.sequence] & Q_GIVEN)
			CHECK(record.deliveries > 1);
		s->got[0]++;
		CHECK(!(left % 2 ? shr_cursor_ack(s->cursor[0], &record) : shr_cursor_release(s->cursor[0])));
	}
	CHECK(shr_cursor_next(s->cursor[0], &record) == -EAGAIN);
}

/* The gate comes to the tail, and everything is counted once. */
static void end_queue(struct settle *s)
{
	const struct model *m = s->model;
	const struct model_cursor *was = &m->cursor[0];
	struct shr_ring_status status = {0};
	struct shr_record record;
	int64_t end = clock_ns() + PATIENCE_NS;

	do {
		CHECK(shr_cursor_next(s->cursor[0], &record) == -EAGAIN);
		CHECK(!shr_ring_stat(ring, &status));
	} while (!failures && status.position != status.tail && clock_ns() < end);
	CHECK(status.position == status.tail);
	CHECK(status.acked - m->acked == count_between(m, was->position, WORD_DONE, WORD_DONE) + s->got[0]);
	CHECK(status.skipped - was->skipped == count_between(m, was->position, WORD_SKIP, WORD_BUSY));
	CHECK(status.lost - was->lost ==
	      (view_of()->flags & SHR_RING_AT_MOST_ONCE
		       ? count_between(m, was->position, WORD_LOST, WORD_TAKEN)
		       : 0));
	CHECK(!shr_cursor_close(s->cursor[0]));
	s->cursor[0] = NULL;
}

/* --- Both --------------------------------------------------------------------------- */

/* All that is there for the open cursors: only what is written here. */
static void take_own(struct settle *s)
{
	for (int c = 0; c < CURSORS; c++) {
		struct shr_record record;
		int err = -EAGAIN;

		while (s->cursor[c] && !failures && !(err = shr_cursor_next(s->cursor[c], &record))) {
			struct head head = head_of(&record);

			CHECK(head.producer == P_CHECK);
			if (s->hasty && lossy(c)) /* what is missing is told */
				CHECK(head.sequence >= s->next[c] &&
				      head.sequence - s->next[c] <= record.lost);
			else
				CHECK(head.sequence == s->next[c]);
			CHECK(!(record.flags & SHR_RECORD_REDELIVERED));
			s->next[c] = (uint32_t)head.sequence + 1;
			s->got[c]++;
			if (s->got[c] % 2)
				CHECK(!shr_cursor_release(s->cursor[c]));
		}
		CHECK(err == -EAGAIN);
		CHECK(!s->cursor[c] || !shr_cursor_release(s->cursor[c]));
	}
}

/* Have all cursors come to record @number? */
static int all_have(const struct settle *s, uint32_t number)
{
	for (int c = 0; c < CURSORS; c++)
		if (s->cursor[c] && s->next[c] != number)
			return 0;
	return 1;
}

/* Two laps more: the ring is as good as new. */
static void go_on(struct settle *s)
{
	int64_t end = clock_ns() + PATIENCE_NS;

	for (uint32_t i = 0; i < GO_ON && !failures; i++) {
		int err;

		while ((err = put(s->producer, P_CHECK, (int)(i % 3))) == -EAGAIN || err == -ENOBUFS) {
			take_own(s);
			if (failures || clock_ns() > end)
				break;
		}
		if (err && !failures)
			fail("write says %d: %s", err, shr_last_error());
		do
			take_own(s);
		while (!s->hasty && !all_have(s, i + 1) && !failures && clock_ns() < end);
	}
	while (!failures && !all_have(s, GO_ON) && clock_ns() < end)
		take_own(s);
	if (!failures && !all_have(s, GO_ON))
		fail("what was written does not come");
}

static void settle_open(struct settle *s, int sweep_first)
{
	if (sweep_first)
		CHECK(shr_member_sweep(segment, NULL, NULL) >= 0);
	if (is_queue_ring()) {
		CHECK(!shr_cursor_open(&s->cursor[0], ring, NULL));
		if (!failures)
			drain_queue(s);
	} else {
		for (int c = 0; c < CURSORS && !failures; c++)
			if (s->model->cursor[c].there == 1) {
				open_stream(s, c);
				if (!failures)
					drain_stream(s, c);
			}
	}
	if (failures)
		return;
	CHECK(!shr_producer_open(&s->producer, ring));
	prepare(P_CHECK);
}

/* Nothing of the dead is left. */
static void check_rest(const struct model *m)
{
	static struct model now;
	struct shr_ring_status status = {0};
	struct shr_member_info member;
	const struct shm_ring *shm = view_of()->shm;

	CHECK(shr_member_sweep(segment, NULL, NULL) >= 0);
	CHECK(!shr_ring_stat(ring, &status));
	model_take(&now);
	if (failures)
		return;
	CHECK(!now.claim_owner && !now.take_owner && !ROLE_MEMBER(now.producer_role));
	CHECK(status.lock_repairs == m->repairs + !!m->claim_owner + !!m->take_owner);
	CHECK(status.producer_takeovers ==
	      ROLE_TAKEOVERS(m->producer_role) + !!ROLE_MEMBER(m->producer_role));
	CHECK(status.evicted == m->evicted + m->leaving);
	CHECK(status.tail == now.tail && status.reclaim == now.reclaim && status.dropped >= m->dropped);
	CHECK(now.clean == now.reclaim + view_of()->capacity);
	CHECK(all_zero(now.tail, now.clean));
	CHECK(!count_between(&now, now.reclaim, WORD_BUSY, WORD_TAKEN));
	if (!view_of()->ahead)
		CHECK(now.position - now.reclaim <= view_of()->history);
	for (uint32_t i = 0; i < view_of()->cursors; i++) {
		uint64_t mode = shm->cursor[i].mode;

		CHECK(!ROLE_MEMBER(shm->cursor[i].role));
		CHECK(!(mode & CURSOR_JOINING) && (!(mode & CURSOR_USED) || mode & CURSOR_DURABLE));
	}
	for (uint32_t i = 1; !shr_member_get(segment, i, &member); i++)
		CHECK(i == 1 || (int)i == shr_segment_member(segment) || member.state == SHR_MEMBER_FREE);
}

static void settle(const struct model *m, int sweep_first, int hasty)
{
	struct settle s = {.model = m, .hasty = hasty};

	settle_open(&s, sweep_first);
	if (failures)
		return;
	go_on(&s);
	if (failures)
		return;
	CHECK(!shr_producer_close(s.producer));
	if (is_queue_ring())
		end_queue(&s);
	else
		for (int c = 0; c < CURSORS; c++)
			if (s.cursor[c])
				end_stream(&s, c);
	if (!failures)
		check_rest(m);
}

#endif
