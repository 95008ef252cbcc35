/* SPDX-License-Identifier: MIT */
/* L4: what the files of the ring share. The protocol is at the top of ring.c. */
#ifndef LIB_RING_CORE_H
#define LIB_RING_CORE_H

#include <shmring/ring.h>

#include "attached.h"
#include "event.h"
#include "format.h"

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
	int single;
	uint32_t members;
};

struct shr_ring {
	uint32_t tag; /* 0 in a child */
	int own_segment;
	struct shr_segment *segment;
	struct ring_view view;
	uint64_t min_record;
	uint32_t me; /* member number */
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

/* The word of the record at @position. */
static inline shm_atomic_u64 *ring_word(const struct ring_view *view, uint64_t position)
{
	return (shm_atomic_u64 *)(void *)(view->data + (position & (view->capacity - 1) & ~(uint64_t)7));
}

/*
 * Bytes the record of @word takes at @position, or 0: no record has that word
 * there. Not for the word zero.
 */
uint64_t ring_record_total(const struct ring_view *view, uint64_t position, uint64_t word);

/* Zero the ring's bytes from position @from up to @to, at most a capacity apart. */
void ring_zero(const struct ring_view *view, uint64_t from, uint64_t to);

/*
 * The first word that is zero, from the cursor's position on: a single
 * producer's tail, when no producer is in the ring.
 */
int ring_walk(const struct ring_view *view, uint64_t *tail);

/* Is @clean possible for @tail? */
static inline int ring_clean_possible(const struct ring_view *view, uint64_t tail, uint64_t clean)
{
	return !(tail & 7) && clean - tail >= 8 && clean - tail <= view->capacity;
}

/*
 * Take @role for member @me. A living owner is -EBUSY; a dead one is replaced
 * and counted.
 */
int ring_role_take(const struct shr_ring *ring, shm_atomic_u64 *role);
void ring_role_leave(const struct shr_ring *ring, shm_atomic_u64 *role);

/* cursor.c, for wait_any.c */
int cursor_look(struct shr_cursor *cursor); /* 0: next has something; -EAGAIN; or what it says */
int cursor_is_busy(struct shr_cursor *cursor); /* before a record in work, after -EAGAIN */
struct shr_ring *cursor_ring(struct shr_cursor *cursor);

/* claim.c: the claim lock. */
#define CLAIM_LIVE_NS 10000000 /* then a non-blocking call gives up on a live owner */
int claim_lock(const struct shr_ring *ring, int64_t patience_ns);
void claim_unlock(const struct shr_ring *ring);
/* Mend the lock if member @dead, whose byte is held, owns it. */
int claim_mend(const struct ring_view *view, uint32_t dead);
/* The dead member's record at @position becomes no record. Its byte is held, the lock mended. */
void claim_mend_record(const struct ring_view *view, uint64_t position, uint32_t dead);
/* All records of member @dead. */
int claim_sweep(const struct ring_view *view, uint32_t dead);

#endif
