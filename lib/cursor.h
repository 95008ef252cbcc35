/* SPDX-License-Identifier: MIT */
/* L4: a consumer's handle, and what the files of it share. The protocol is at the top of cursor.c. */
#ifndef LIB_CURSOR_H
#define LIB_CURSOR_H

#include "ring_core.h"

#define SLICE_BUSY_NS 4000000 /* longest sleep before a BUSY record */

struct cursor {
	struct shr_cursor hot;
	uint32_t tag; /* 0 in a child */
	int copies;   /* lossy, or observes: nobody waits for it */
	int plain;    /* records of a word and a payload, read in place: there is a short way */
	int named;    /* has a place, shm */
	struct shr_ring *ring;
	struct shm_cursor *shm; /* NULL: observes, or a worker of a queue */
	struct queue queue;
	uint64_t clean;
	uint64_t batch;
	struct marks marks;
	uint64_t position; /* released */
	uint64_t again;	   /* records below were delivered before */
	uint64_t reclaim;  /* oldest position kept */
	uint64_t skips;	   /* passed over since the last release */
	uint64_t skipped;  /* all, those of skips not among them */
	uint64_t redelivered;
	uint64_t sequence;   /* number that the record at hot.next should have */
	uint64_t lost;	     /* all, with the records up to hot.next */
	uint64_t lost_bytes;
	uint64_t untold; /* records lost since the last that was given */
	void *copy;	 /* of a record; room bytes */
	size_t room;
	int64_t looked_ns; /* when the BUSY record that is next was looked at last; 0: not */
	uint64_t empty_at;    /* where it found nothing the last time */
	uint64_t first_total; /* bytes of the first record after it lingered there; 0: not seen */
	uint32_t empties;
	uint16_t lingered, crowded; /* the last time; and that paid */
	shr_word_ own_delivered; /* where there is no place */
	struct event_fd *fd; /* or NULL */
	_Atomic uint64_t fd_position; /* what its thread looks at */
	_Atomic uint64_t fd_delivered; /* and whether the consumer has moved since */
	_Atomic int64_t fd_looked_ns; /* when it looked whether the file is there */
	_Atomic int gone; /* it is not */
	int64_t fd_busy_ns; /* the thread's: since when that is BUSY; 0: is not */
};

static inline struct cursor *cursor_of(const struct shr_cursor *hot)
{
	return (struct cursor *)(uintptr_t)hot;
}

static inline int cursor_is_queue(const struct cursor *c)
{
	return c->ring && c->ring->view.mode == SHR_RING_QUEUE && !c->copies; /* none in a child */
}

/* cursor.c */
int cursor_corrupt(uint64_t position); /* -EBADMSG */
/* Whether calls may go the short way: nothing is to be counted or told. */
void cursor_set_short_way(struct cursor *c);
/* From what the last cleaning left to reclaim. */
void cursor_zero_to_reclaim(struct cursor *c);
/* Keep at most history bytes behind @position, which lies between records. */
int cursor_clean_behind(struct cursor *c, uint64_t position);

/* cursor_fd.c: nothing for next; the descriptor is to tell when there is. */
void cursor_arm(struct cursor *c);

#endif
