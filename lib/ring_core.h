/* SPDX-License-Identifier: MIT */
/* L4: what the files of the ring share. The protocol is at the top of ring.c. */
#ifndef LIB_RING_CORE_H
#define LIB_RING_CORE_H

#include <errno.h>

#include <shmring/ring.h>

#include "attached.h"
#include "event.h"
#include "format.h"
#include "handle.h"

#define RING_TAG 0x52494e47u
#define PRODUCER_TAG 0x50524f44u
#define CURSOR_TAG 0x43555253u

/* Where the ring lies and its geometry, from the checked directory entry. */
struct ring_view {
	struct shm_ring *shm;
	uint8_t *data;
	uint64_t capacity;
	uint64_t max_record;
	uint64_t history;
	uint64_t first_position;
	uint32_t flags; /* SHR_RING_* */
	uint32_t mode;	/* SHR_RING_STREAM ... */
	uint32_t cursors;
	uint32_t members;
	int single;
	int ahead; /* producers clean ahead of the tail; else the one consumer behind it */
	/* What a record starts with: bytes, and where in them; 0: it has none. */
	uint32_t header, sequence_at, token_at, time_at;
};

struct shr_ring {
	uint32_t tag; /* 0 in a child */
	int own_segment;
	struct shr_segment *segment;
	struct ring_view view;
	uint64_t min_record;
	const struct shr_schema *schema; /* the segment's */
	uint32_t me; /* member number; 0: observes */
	_Atomic uint32_t users;
	_Atomic int64_t looked_ns; /* when a wait last looked whether the file has a name */
};

/* ring.c, for kinds.c */
void ring_init(void *object, const struct shm_object *entry);
int ring_sweep(void *object, const struct shm_object *entry, const struct shr_segment *segment,
	       uint32_t slot);
void ring_wake(void *object);

/* ring.c */
int ring_entry_check(const struct shm_object *entry);
void ring_view_make(struct ring_view *view, void *object, const struct shm_object *entry,
		    uint32_t members);

/* Geometry of a checked directory entry, as options. */
void ring_entry_options(struct shr_ring_options *options, const struct shm_object *entry);

/* The word of the record at @position. */
static inline shm_atomic_u64 *ring_word(const struct ring_view *view, uint64_t position)
{
	return (shm_atomic_u64 *)(void *)(view->data + (position & (view->capacity - 1) & ~(uint64_t)7));
}

/* A number behind the word at @position, which was checked to begin a record there. */
static inline shm_atomic_u64 *ring_extra(const struct ring_view *view, uint64_t position, uint32_t at)
{
	return (shm_atomic_u64 *)(void *)((uint8_t *)ring_word(view, position) + at);
}

/* No record, and nothing but the word: a PAD, or the claim of one. */
static inline int ring_is_pad(uint64_t word)
{
	return WORD_STATE(word) == WORD_PAD ||
	       (WORD_STATE(word) == WORD_BUSY && WORD_TYPE(word) == WORD_CLAIM_PAD);
}

static inline uint64_t ring_total(const struct ring_view *view, uint64_t length)
{
	return RECORD_TOTAL(view->header, length);
}

/*
 * Bytes the record of @word takes at @position, or 0: no record has that word
 * there. Not for the word zero.
 */
uint64_t ring_record_total(const struct ring_view *view, uint64_t position, uint64_t word);

/*
 * Zero the ring's bytes from position @from up to @to, at most a capacity apart.
 * @far: lines are asked for many at a time, as stores alone wait for nearly each of those
 * that another core has. Seen, far: where producers clean 1.4 times as many records, to a
 * consumer of several twice as many, to that of a single one a tenth fewer.
 */
void ring_zero(const struct ring_view *view, uint64_t from, uint64_t to, int far);

/*
 * The first word that is zero: a single producer's tail, when no producer is in the
 * ring; else a place that was the tail during the call. *@sequence, if not NULL:
 * one more than that of the last record on the way, or 0.
 */
int ring_walk(const struct ring_view *view, uint64_t *tail, uint64_t *sequence);

/* No record at or above it is cleaned before it moves: where a walk may start. */
static inline shm_atomic_u64 *ring_floor(const struct ring_view *view)
{
	return view->ahead ? &view->shm->reclaim : &view->shm->cursor[0].position;
}

/* Drop newest: do again what the journal says. The claim lock, or the producer's role. */
void ring_drop_redo(const struct ring_view *view);

/* Is @clean possible for @tail? */
static inline int ring_clean_possible(const struct ring_view *view, uint64_t tail, uint64_t clean)
{
	return !(tail & 7) && clean - tail >= 8 && clean - tail <= view->capacity;
}

/* Places in shm_ring.cursor[] to look at; a queue has its gate in the first. */
static inline uint32_t ring_cursor_places(const struct ring_view *view)
{
	return view->mode == SHR_RING_QUEUE ? 1 : view->cursors;
}

/*
 * Take @role for member @me. A living owner is -EBUSY; a dead one is replaced
 * and counted.
 */
int ring_role_take(const struct shr_ring *ring, shm_atomic_u64 *role);
int ring_role_try(const struct shr_ring *ring, shm_atomic_u64 *role); /* looks once */
void ring_role_leave(const struct shr_ring *ring, shm_atomic_u64 *role);

/* claim.c: the micro-locks, claim and take. */
#define CLAIM_LIVE_NS 10000000 /* then a non-blocking call gives up on a live owner */
int claim_lock(const struct shr_ring *ring, int64_t patience_ns);
void claim_unlock(const struct shr_ring *ring);
/* The same where nobody else is at it: 0 and *@seen for claim_free(), or -EAGAIN. */
static inline int claim_try(const struct shr_ring *ring, uint32_t *seen)
{
	shm_atomic_u32 *lock = &ring->view.shm->lock;

	*seen = atomic_load_explicit(lock, memory_order_relaxed);
	/* claim:B. Acquire: what the last owner stored. Pairs with claim:A. */
	return !(*seen & 0xffff) && atomic_compare_exchange_strong_explicit(
					    lock, seen, *seen | ring->me, memory_order_acquire,
					    memory_order_relaxed)
		       ? 0
		       : -EAGAIN;
}
static inline void claim_free(const struct shr_ring *ring, uint32_t seen)
{
	/* claim:A. Release: BUSY and tail. Pairs with claim:B. */
	atomic_store_explicit(&ring->view.shm->lock, seen, memory_order_release);
}
int take_lock(const struct shr_ring *ring, int64_t patience_ns);
int take_lock_try(const struct shr_ring *ring);
void take_unlock(const struct shr_ring *ring);
/* Mend the locks that member @dead, whose byte is held, owns. */
int claim_mend(const struct ring_view *view, uint32_t dead);
int take_mend(const struct ring_view *view, uint32_t dead);
/*
 * The dead member's record at @position, whose word was @word while it was in place,
 * becomes no record. Its byte is held, the lock mended.
 */
void claim_mend_record(const struct ring_view *view, uint64_t position, uint64_t word,
		       uint32_t dead);
/* All records of member @dead. */
int claim_sweep(const struct ring_view *view, uint32_t dead);
/*
 * If the owner of the BUSY record at @position, whose word is @word, is dead, mend it:
 * 0, -EAGAIN it lives or was looked at just now (*@looked_ns, 0 at first), -errno.
 */
int claim_look(const struct shr_ring *ring, uint64_t position, uint64_t word, int64_t *looked_ns);

/* Boundaries between records that a handle has passed; a ring of the latest. */
#define MARKS 64
struct marks {
	uint64_t at[MARKS];
	unsigned first, count;
};
void marks_add(struct marks *marks, uint64_t position);
/* The oldest mark at or beyond @low: 1 if it is not beyond @high; older ones are forgotten. */
int marks_find(struct marks *marks, uint64_t low, uint64_t high, uint64_t *position);
/* Bytes to clean at a time. */
uint64_t ring_batch(const struct ring_view *view);

/* clean.c: producers make room. */
struct cleaner {
	const struct shr_ring *ring;
	struct marks marks;
	uint64_t clean;	   /* as last read */
	uint64_t batch;
	uint64_t sequence; /* single producer: number of the next record */
	int64_t looked_ns; /* at a BUSY record that is in the way */
	int64_t evict_looked_ns;
};
void cleaner_open(struct cleaner *cleaner, const struct shr_ring *ring);
/* A record begins at @tail. */
void cleaner_mark(struct cleaner *cleaner, uint64_t tail);
/*
 * Have @need bytes and a word of zeroes from @tail on. The caller may claim. 0;
 * -EAGAIN no; -EBADMSG; or why an owner's life cannot be told.
 */
int cleaner_room(struct cleaner *cleaner, uint64_t tail, uint64_t need);
/*
 * After -EAGAIN, the claim lock not held: remove the gates whose owners are proven
 * dead and that do not stay. 1: one went, try again; 0; -errno.
 */
int cleaner_evict(struct cleaner *cleaner);

/* cursors.c: the table of cursors. */
/*
 * The gate that is furthest behind @tail, and its position; -1 there is none. What
 * is below @floor, where all is cleaned, is about to join elsewhere.
 */
int cursors_lowest(const struct ring_view *view, uint64_t floor, uint64_t tail, uint64_t *position);
/* A dead owner's cursor that does not stay goes. Its byte is held. */
void cursors_sweep(const struct ring_view *view, uint32_t dead);
/*
 * Remove those cursors of the mode @among whose owners are proven dead and that do
 * not stay. 1: one went; 0; -errno.
 */
int cursors_evict(const struct shr_ring *ring, uint32_t among);
void cursors_view(struct shr_cursor_info *info, const struct shm_cursor *cursor, uint64_t mode,
		  uint64_t role);
/*
 * The place of cursor @name, its role taken; made if @options want it and it is
 * absent (*@made).
 */
int cursors_take(const struct shr_ring *ring, const char *name,
		 const struct shr_cursor_options *options, uint32_t *place, int *made);
/*
 * Where @options say to begin: *@position, and the number its record should have.
 * @place: of a new cursor's, to be put there so that nobody cleans it; NULL for observers.
 */
int cursors_join(const struct shr_ring *ring, const struct shr_cursor_options *options,
		 struct shm_cursor *place, uint64_t *position, uint64_t *sequence);
/* Its place is free: by who has the role. */
void cursors_free(struct shm_cursor *place);

/* cursor.c, for wait_any.c */
int cursor_look(struct shr_cursor *cursor); /* 0: next has something; -EAGAIN; or what it says */
int cursor_is_busy(struct shr_cursor *cursor); /* before a record in work, after -EAGAIN */
struct shr_ring *cursor_ring(struct shr_cursor *cursor);

/* queue.c: competing consumers. */
struct queue_record {
	uint64_t position;
	uint64_t word; /* TAKEN */
};
struct queue {
	const struct shr_ring *ring;
	struct queue_record *held;
	size_t count, room;
	int64_t looked_ns;	/* at a BUSY record */
	int64_t scanned_ns;	/* when it looked for dead workers */
	int64_t gap_ns;		/* until the next time */
	unsigned takes;
};
void queue_open(struct queue *queue, const struct shr_ring *ring);
/* Give back what is held, and free. */
void queue_close(struct queue *queue);
/*
 * 0 and *@record; @record NULL: only look. -EMSGSIZE: it has over @limit bytes,
 * record->size, and is not taken.
 */
int queue_take(struct queue *queue, size_t limit, struct shr_record *record);
int queue_ack_all(struct queue *queue);
/* @state WORD_DONE or WORD_READY */
int queue_put(struct queue *queue, uint64_t position, uint32_t state);
/* Records that the dead member, whose byte is held, has taken. */
int queue_sweep(const struct ring_view *view, uint32_t dead);
/* Move the gate over what is done; the take lock is held. */
int queue_advance(const struct shr_ring *ring);
/* For a producer that found no room. 1: the gate has moved, or may; 0; -errno. */
int queue_unblock(const struct shr_ring *ring, int64_t *looked_ns);
/* Finish what a dead owner of the take lock was at. */
void queue_redo(const struct ring_view *view);

#endif
