/* SPDX-License-Identifier: MIT */
/*
 * L4, rings: records of any length from producers to consumers, in order,
 * through shared memory.
 *
 *	producer: reserve -> write into the payload -> commit (or abort)
 *	consumer: next -> read the payload in place -> release
 *
 * A record is published where it lies: commit is one store, and next looks at
 * one word. A ring is made in one of three modes:
 *
 *	stream	    every cursor sees every record. A cursor is a place in the ring
 *		    with a name. Gates are waited for, lossy cursors are overtaken
 *		    and told how many records they lost; durable cursors keep their
 *		    place when their process is gone. Made for one cursor (the
 *		    default), it is the durable gate "default".
 *	queue	    every record goes to one of any number of workers: next takes
 *		    it, shr_cursor_ack() says that it is done.
 *	overwrite   a flight recorder: producers never wait, the oldest records go.
 *
 * Any ring can be watched by observers, which change nothing, need only
 * permission to read, and are told what they missed.
 *
 * After a SIGKILL of anybody at any instruction:
 *   - every committed record is delivered, whole and in order;
 *   - with several producers a record that was reserved and not committed is
 *     skipped, and counted (skipped); with a single producer it never existed,
 *     and the takeover is counted (producer_takeovers);
 *   - records that the dead consumer was given and had not released are
 *     delivered again, marked SHR_RECORD_REDELIVERED and counted: to the next
 *     owner of a durable cursor, or to another worker of a queue (which made
 *     SHR_RING_AT_MOST_ONCE counts them lost instead);
 *   - a gate that is not durable goes with its owner, and is counted (evicted).
 * Others go on at once; nobody is declared dead by time.
 *
 * Order: the records of a ring have one order, by position, which all cursors
 * see, and in which each producer's are in the order of their reservation. (What a
 * queue delivers again, it delivers late.) Positions count bytes, free-running,
 * and wrap at 2^64. Together with shr_segment_epoch() a position names a record
 * for ever: a program that stores shr_cursor_position() and the epoch with its
 * results can come back there (SHR_JOIN_POSITION).
 *
 * Threads. A ring handle may be shared by threads; a producer or a cursor is
 * one thread's at a time.
 *
 * Trust. Peers can write the memory. What they spoil is answered by -EBADMSG,
 * never by an access outside the ring; but a payload that next hands out in
 * place can change while it is read: copy it with shr_cursor_read() from peers
 * that are not trusted. Lossy cursors and observers always give copies.
 */
#ifndef SHMRING_RING_H
#define SHMRING_RING_H

#include <shmring/base.h>
#include <shmring/schema.h>
#include <shmring/segment.h>

#include <string.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shr_ring;
struct shr_producer;
struct shr_cursor;

/* For shr_ring_options.flags. */
#define SHR_RING_SINGLE_PRODUCER 1 /* one at a time: no claim lock, faster */
/*
 * Each record has a number, from 1 on, the next one's is one more (dropped and
 * skipped ones have theirs, too): shr_record.sequence. Needed for lossy cursors to tell
 * how many records they lost. 8 bytes a record.
 */
#define SHR_RING_SEQUENCE 2
/* Each record has the time of its reservation: shr_record.time_ns. 8 bytes a record. */
#define SHR_RING_TIME 4
/*
 * A record that finds the ring full is given up: reserve says -ENOBUFS and waits
 * for nobody, it is counted (dropped), and consumers are told of it before the next
 * record. Has a sequence, too.
 */
#define SHR_RING_DROP_NEWEST 8
/* A queue whose records are never delivered twice. */
#define SHR_RING_AT_MOST_ONCE 16
/* A stream of several cursors without the one named "default", which would be waited for. */
#define SHR_RING_NO_DEFAULT 32

/* For shr_ring_options.mode. */
#define SHR_RING_STREAM 0
#define SHR_RING_QUEUE 1
#define SHR_RING_OVERWRITE 2 /* has a sequence, too */

#define SHR_CAPACITY_MIN 256		   /* bytes */
#define SHR_CAPACITY_MAX ((uint64_t)1 << 40) /* bytes */
#define SHR_RING_CURSORS_MAX 28

struct shr_ring_options {
	size_t struct_size; /* sizeof(struct shr_ring_options) */
	uint32_t flags;	    /* SHR_RING_SINGLE_PRODUCER ... */
	uint32_t mode;	    /* SHR_RING_STREAM ... */
	uint64_t capacity; /* bytes, a power of two; 0: 1 MiB */
	/*
	 * Largest payload in bytes, at most capacity / 2 less the 8 to 32 bytes a
	 * record starts with; 0: what history leaves, about capacity / 4.
	 */
	uint64_t max_record;
	/*
	 * Bytes behind the slowest gate, less one record at most, that stay readable for
	 * tools and observers, not available to producers; 0: half the capacity, or less where max_record
	 * needs it. In the first lap, where nothing lies behind, it is available. Of no
	 * meaning in overwrite mode: all is history.
	 */
	uint64_t history;
	const struct shr_schema *schema; /* of the records; NULL: untyped */
	uint64_t first_position;	 /* multiple of 8; for tests of wrap */
	/*
	 * Places for cursors, at most SHR_RING_CURSORS_MAX, "default" among them. 0 or 1 in
	 * a stream: only that one, and the fastest ring; in overwrite mode 0 is 4. A queue
	 * has none.
	 */
	uint32_t cursors;
	uint32_t reserved;
};

/*
 * Fill @object for shr_segment_create() with a ring @name of @options.
 *
 * Returns:  0, or -EINVAL capacity, max_record or history not possible
 * Since:    0.1
 */
SHR_API int shr_ring_describe(struct shr_object *object, const char *name,
			      const struct shr_ring_options *options);

/*
 * The ring @object_name of an attached segment. @schema is the program's own
 * (SHR_SCHEMA_OF), NULL for a ring of untyped bytes. *@ring must be NULL. The
 * segment must stay attached until the ring is closed.
 *
 * On an observer's segment (SHR_SEGMENT_OBSERVE) only observers' cursors open.
 *
 * Returns:  0, or -ENOENT no such object, -EPROTOTYPE not a ring, or records
 *                 of another type (the sentence names the member), -EBADMSG
 * Since:    0.1
 */
SHR_API int shr_ring_attach(struct shr_ring **ring, struct shr_segment *segment,
			    const char *object_name, const struct shr_schema *schema);

/*
 * In one call: the segment @name that holds one ring, named "ring". @mode
 * "+<" attaches to it; "+>" creates it if it is absent. With an existing one
 * capacity and the like of @options are not looked at; the schema and the mode are.
 * @segment_options may be NULL. *@ring must be NULL.
 *
 * Returns:  0, or what shr_segment_create(), shr_segment_attach() and
 *           shr_ring_attach() say; -EPROTOTYPE if it is of another mode, and
 *           @options are not NULL
 * Since:    0.1
 */
SHR_API int shr_ring_open(struct shr_ring **ring, const char *name, const char *mode,
			  const struct shr_ring_options *options,
			  const struct shr_segment_options *segment_options);

/*
 * Close; of a ring from shr_ring_open() detach the segment too. Its producers
 * and cursors must be closed, else -EBUSY. NULL is allowed. Since 0.1.
 */
SHR_API int shr_ring_close(struct shr_ring *ring);

/* The segment that the ring lies in. Since 0.1. */
SHR_API struct shr_segment *shr_ring_segment(const struct shr_ring *ring);

/* How the ring was made: defaults filled in, the schema its own. -ECHILD. Since 0.1. */
SHR_API int shr_ring_get(const struct shr_ring *ring, struct shr_ring_options *options);

/* Largest payload in bytes. Since 0.1. */
SHR_API uint64_t shr_ring_max_record(const struct shr_ring *ring);

/* Bytes of the record area. Since 0.1. */
SHR_API uint64_t shr_ring_capacity(const struct shr_ring *ring);

struct shr_ring_status {
	uint64_t tail;	    /* the next record will be here, or after the wrap */
	uint64_t position;  /* the slowest gate (or the queue) has released all below */
	uint64_t delivered; /* it has been given all below */
	uint64_t reclaim;   /* oldest position still readable */
	uint64_t skipped;   /* records reserved and never committed, that it passed over */
	uint64_t redelivered; /* deliveries to it of a record that was delivered before */
	uint32_t producer;  /* single producer: its member number, 0 if none */
	uint32_t consumer;  /* the member number of that gate's owner, 0 if none */
	uint64_t producer_takeovers; /* single producers that died and were replaced */
	uint64_t consumer_takeovers; /* of that gate's owners, likewise */
	uint64_t lock_repairs;	     /* micro-locks taken over from the dead (mod 65,536 each) */
	uint64_t sequence;  /* that the next record will have; 0: the ring has none */
	uint64_t dropped;   /* records given up because the ring was full */
	uint64_t lost;	    /* queue: records that were taken and never acknowledged, at most once */
	uint64_t acked;	    /* queue: records done, counted when all before them are */
	uint64_t evicted;   /* cursors that went with their owner */
	uint64_t full;	    /* times that a producer found no room, and did not drop the record */
};

/*
 * A look at the ring, each number true at some time during the call. With a
 * single producer it walks over records to find the tail.
 *
 * Threads:  any.  Returns: 0, or -EBADMSG, -ECHILD.  Since: 0.1
 */
SHR_API int shr_ring_stat(const struct shr_ring *ring, struct shr_ring_status *stat);

#define SHR_CURSOR_NAME_MAX 31 /* bytes */

struct shr_cursor_info {
	char name[SHR_CURSOR_NAME_MAX + 1];
	uint32_t flags;	     /* SHR_CURSOR_LOSSY, SHR_CURSOR_DURABLE */
	/* Number of its owner, 0: none. A dead one's stays until its death is proven. */
	uint32_t member;
	uint64_t position;   /* released all below */
	uint64_t delivered;  /* been given all below */
	uint64_t skipped;    /* records reserved and never committed, passed over */
	uint64_t redelivered; /* deliveries of a record that was delivered before */
	uint64_t lost;	     /* records it was told that it lost */
	uint64_t lost_bytes; /* of the ring, overwritten before it came there */
	uint64_t takeovers;  /* owners that died and were replaced */
	uint64_t sequence;   /* number that its next record should have */
};

/*
 * Cursor @index, from 0 to SHR_RING_CURSORS_MAX - 1.
 *
 * Threads:  any.
 * Returns:  0, or -ENOENT that place is free, -ERANGE no such place, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_ring_cursor(const struct shr_ring *ring, uint32_t index,
			    struct shr_cursor_info *info);

/*
 * Remove the cursor @name, durable or not, with its claim on what it has not read.
 *
 * Returns:  0, or -ENOENT, -EBUSY it is open in a living process, -EPERM the ring
 *           was made for one cursor, -EROFS, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_ring_remove_cursor(struct shr_ring *ring, const char *name);

/* --- Producers ------------------------------------------------------------ */

/*
 * The hot prefix of a producer handle, version SHR_HOT_VERSION. It is public
 * so that reserve and commit compile into their caller; programs do not touch
 * it. A library with another version refuses the handle's open.
 */
#define SHR_HOT_VERSION 5

typedef uint64_t shr_word_ __attribute__((aligned(8))); /* i386: 4 unless told */

struct shr_producer {
	uint8_t *at;	     /* the reserved record, or the next one */
	uint8_t *end;	     /* how far it may reach, at most to the end of the lap */
	uint64_t min_record; /* of the schema */
	uint64_t span;	     /* max_record - min_record */
	uint64_t total;	     /* bytes that the reserved record takes */
	uint64_t ready;	     /* what commit stores there; 0: none is reserved */
	uint64_t ready_bits; /* state, owner and type */
	const uint32_t *sleepers; /* the ring's; or a 1, where the look needs a fence of the machine's */
};

/*
 * Open a producer of @ring. *@producer must be NULL.
 *
 * Single producer: takes over from a dead one at once, and counts that.
 *
 * Returns:  0, or -EBUSY  a single producer, and another lives
 *                 -EPROTO the library is of another SHR_HOT_VERSION
 *                 -EBADMSG
 * Since:    0.1
 */
SHR_API int shr_producer_open_version(struct shr_producer **producer, struct shr_ring *ring,
				      uint32_t hot_version);
static inline int shr_producer_open(struct shr_producer **producer, struct shr_ring *ring)
{
	return shr_producer_open_version(producer, ring, SHR_HOT_VERSION);
}

/* Close, aborting what is reserved. NULL is allowed. Since 0.1. */
SHR_API int shr_producer_close(struct shr_producer *producer);

/*
 * A tag of 16 bits that the records reserved from now on carry, 0 at first:
 * shr_record.type. Its meaning is the program's. Since 0.1.
 */
SHR_API int shr_producer_set_type(struct shr_producer *producer, uint16_t type);

/* Publish only the first @size bytes of what was reserved. Since 0.1. */
SHR_API int shr_producer_commit_size(struct shr_producer *producer, size_t size);

/* Give the reservation up. With several producers it is counted as skipped. Since 0.1. */
SHR_API int shr_producer_abort(struct shr_producer *producer);

/*
 * Reserve, waiting for space until @deadline_ns (CLOCK_MONOTONIC, see
 * shr_deadline_ns()). Spins briefly, then sleeps.
 *
 * Returns:  as reserve, but for -EAGAIN: -ETIMEDOUT, -EINTR a signal came
 *           while it slept. One that comes just before is not seen: who waits
 *           for signals waits in slices. A plain rm of the segment's file is
 *           -ESTALE after about a second of waits; who never waits calls
 *           shr_segment_check() now and then.
 * Since:    0.1
 */
SHR_API int shr_producer_reserve_until(struct shr_producer *producer, size_t size, void **payload,
				       int64_t deadline_ns);

/* As shr_producer_write(), waiting for space until @deadline_ns. Since 0.1. */
SHR_API int shr_producer_write_until(struct shr_producer *producer, const void *data, size_t size,
				     int64_t deadline_ns);

/* As write, of the @count pieces one after another. -EINVAL: over IOV_MAX of them. Since 0.1. */
SHR_API int shr_producer_writev(struct shr_producer *producer, const struct iovec *pieces,
				size_t count);

/*
 * Write up to @count records at once, each of one of @records. With several
 * producers they are claimed under one lock, so that they lie side by side (up to
 * SHR_BATCH_MAX; more are more batches), and the consumer is woken once.
 *
 * Progress: as reserve.
 * Crash:    killed in it, a first part of them is committed. With several
 *           producers those that were claimed and not committed are skipped, each
 *           of them counted.
 * Returns:  how many were committed, from the first on: less than @count where the
 *           ring is full or the next one cannot be written; or, if none was,
 *           what reserve says of the first
 * Since:    0.1
 */
#define SHR_BATCH_MAX 64
SHR_API int shr_producer_write_many(struct shr_producer *producer, const struct iovec *records,
				    size_t count);

/* --- The consumer --------------------------------------------------------- */

#define SHR_RECORD_REDELIVERED 1 /* it was delivered before, and not released or acknowledged */
#define SHR_RECORD_LOST 2	 /* records before it were lost: shr_record.lost */

struct shr_record {
	const void *payload; /* 8-byte aligned; valid until released */
	size_t size;	     /* bytes of it */
	uint64_t position;   /* of the record in the ring */
	uint16_t type;	     /* shr_producer_set_type() */
	uint16_t flags;	     /* SHR_RECORD_* */
	uint16_t member;     /* number of the producer's member */
	uint16_t deliveries; /* queue: times it was taken, this one too (65,535: or more); else 0 */
	uint64_t sequence;   /* 0: the ring has none */
	uint64_t time_ns;    /* CLOCK_REALTIME of its reservation; 0: the ring has none */
	/*
	 * Records between the one that this cursor was given before and this one which
	 * it does not get: dropped, or overwritten (skipped ones among these). Exact in
	 * rings with a sequence; in others an observer gets 1 for "some", and the bytes
	 * from shr_cursor_get(). 0 in the first one of a new cursor: what was before it
	 * joined is not its loss (sequence - 1 tells how many).
	 */
	uint64_t lost;
};

struct shr_cursor {
	const uint8_t *data; /* NULL: nothing goes the short way, at present or ever */
	uint64_t mask;
	uint64_t max_record;
	uint64_t next; /* position to be looked at */
	uint64_t keep; /* to release up to here is one store */
	shr_word_ *shared_position; /* what is released, for everybody */
	shr_word_ *shared_delivered;
};

/* For shr_cursor_options.flags. */
#define SHR_CURSOR_LOSSY 1   /* producers do not wait for it: it is overtaken, and told */
#define SHR_CURSOR_DURABLE 2 /* stays with its place when it is closed or its owner dies */
#define SHR_CURSOR_CREATE 4  /* if it is absent */
#define SHR_CURSOR_OBSERVE 8 /* without a name or a trace: like lossy, changes nothing */

/* Where a new cursor or an observer begins. */
#define SHR_JOIN_OLDEST 0   /* record that is still there */
#define SHR_JOIN_NEWEST 1   /* with what comes from now on */
#define SHR_JOIN_POSITION 2 /* at @position, between two records: shr_cursor_position() */
#define SHR_JOIN_TIME 3	    /* first record of @time_ns or later, or newest: SHR_RING_TIME */

struct shr_cursor_options {
	size_t struct_size; /* sizeof(struct shr_cursor_options) */
	uint32_t flags;	    /* SHR_CURSOR_* */
	uint32_t join;	    /* SHR_JOIN_*: of no meaning if it exists */
	uint64_t position;
	uint64_t epoch; /* shr_segment_epoch() that @position is of; 0: not checked */
	uint64_t time_ns;
};

/*
 * Open a consumer of the ring. *@cursor must be NULL.
 *
 * stream, overwrite: the cursor @name (NULL: "default", which a ring in overwrite mode
 * does not have; there all are lossy), of which one process at a time is the owner. It goes on at the first record that was not released. With
 * SHR_CURSOR_CREATE one that is absent is made, where @options say.
 * queue: @name must be NULL; any number of handles.
 * SHR_CURSOR_OBSERVE: @name must be NULL.
 *
 * Returns:  0, or -EBUSY   a living process has it
 *                 -ENOENT  no cursor of that name
 *                 -EEXIST  SHR_CURSOR_CREATE, and it is there with other flags
 *                 -ENOSPC  no place for another (shr_ring_options.cursors)
 *                 -EOPNOTSUPP  the ring has no sequence (lossy) or no time
 *                 -ERANGE  @position is not in the ring any more
 *                 -ESTALE  @epoch is another one
 *                 -EINVAL  @position is not between two records, or beyond the
 *                          newest; options; name
 *                 -EROFS   an observer's ring opens only observers
 *                 -EAGAIN  producers clean faster than one can join: again
 *                 -EPROTO, -EBADMSG
 * Since:    0.1
 */
SHR_API int shr_cursor_open_version(struct shr_cursor **cursor, struct shr_ring *ring,
				    const char *name, const struct shr_cursor_options *options,
				    uint32_t hot_version);
static inline int shr_cursor_open(struct shr_cursor **cursor, struct shr_ring *ring,
				  const char *name)
{
	return shr_cursor_open_version(cursor, ring, name, NULL, SHR_HOT_VERSION);
}
static inline int shr_cursor_open_with(struct shr_cursor **cursor, struct shr_ring *ring,
				       const char *name, const struct shr_cursor_options *options)
{
	return shr_cursor_open_version(cursor, ring, name, options, SHR_HOT_VERSION);
}

/* What is known of an open cursor, an observer too (its name is "" then). Since 0.1. */
SHR_API int shr_cursor_get(const struct shr_cursor *cursor, struct shr_cursor_info *info);

/* Where it goes on: behind all that next has returned so far. Since 0.1. */
SHR_API uint64_t shr_cursor_position(const struct shr_cursor *cursor);

/*
 * Queue: @record of this cursor's is done; or give it back, to be taken again, by
 * anybody (at most once: it is lost, and counted). Its payload must not be used any
 * more. shr_cursor_release() acknowledges all that this cursor has.
 *
 * Progress: ack is one store; when it is the oldest record of the queue, the gate
 *           moves too, if nobody else is at it.
 * Returns:  0, or -ENOENT this cursor does not have it, -EOPNOTSUPP no queue,
 *           -EBADMSG, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_cursor_ack(struct shr_cursor *cursor, const struct shr_record *record);
SHR_API int shr_cursor_nack(struct shr_cursor *cursor, const struct shr_record *record);

/*
 * Close. What was delivered and not released is delivered again to the next
 * owner of a durable cursor; what a worker has not acknowledged is given back. A
 * cursor that is not durable is gone. NULL is allowed. Since 0.1.
 */
SHR_API int shr_cursor_close(struct shr_cursor *cursor);

/* Next, waiting until @deadline_ns: as shr_producer_reserve_until(). Since 0.1. */
SHR_API int shr_cursor_next_until(struct shr_cursor *cursor, struct shr_record *record,
				  int64_t deadline_ns);

/*
 * Up to @count next records, in place; all of them are held until release. A
 * lossy cursor or an observer gives one at a time.
 *
 * Returns:  how many, or, if none, what next says
 * Since:    0.1
 */
SHR_API int shr_cursor_next_many(struct shr_cursor *cursor, struct shr_record *records,
				 size_t count);

/*
 * Copy up to @count next records to @buffer of @size bytes, each 8-byte aligned
 * there, and release them. records[i].payload points into @buffer.
 *
 * Returns:  how many, or, if none, what read says
 * Since:    0.1
 */
SHR_API int shr_cursor_read_many(struct shr_cursor *cursor, void *buffer, size_t size,
				 struct shr_record *records, size_t count);

#define SHR_CURSORS_MAX 128

/*
 * Wait until any of @count cursors, of any rings and segments, has something for
 * next (or something is wrong with it, which next tells). *@which is the one that
 * was served last (any number at first), and then the one to be served now: they
 * are looked at from the one after it on, so that none starves beside a busy one.
 *
 *	size_t which = 0;
 *
 *	while (!shr_cursor_wait_any_until(cursors, n, &which, SHR_FOREVER))
 *		while (!shr_cursor_next(cursors[which], &record) && quota--)
 *			...
 *
 * Threads:  those cursors are this thread's meanwhile.
 * Progress: spins briefly, then sleeps on all of them with one system call where
 *           there is futex_waitv(2) (Linux 5.16); else it looks 1,000 times a second.
 * Returns:  0, or -ETIMEDOUT, -EINTR, -EINVAL none, -E2BIG over SHR_CURSORS_MAX,
 *           -ECHILD
 * Since:    0.1
 */
SHR_API int shr_cursor_wait_any_until(struct shr_cursor *const *cursors, size_t count,
				      size_t *which, int64_t deadline_ns);

/*
 * A descriptor for poll(2), epoll(7) and the like: readable until next says
 * -EAGAIN, and again once there is something, or the segment is obsolete (a
 * plain rm: after about a second). It may be readable with nothing there:
 *
 *	for (;;) {
 *		while (shr_cursor_next(cursor, &record) == 0) {
 *			...
 *			shr_cursor_release(cursor);
 *		}
 *		epoll_wait(...);
 *	}
 *
 * Never read or close it: it is the cursor's. A thread of this process (all
 * signals blocked) sleeps on the ring for it and is started by the first call;
 * producers pay nothing for it, and no descriptor is passed between processes.
 *
 * Returns:  a descriptor, or -EMFILE, -ENOMEM, -EAGAIN no thread, -ECHILD
 * Since:    0.1
 */
SHR_API int shr_cursor_fd(struct shr_cursor *cursor);

/* As shr_cursor_read(), waiting until @deadline_ns: as shr_cursor_next_until(). Since 0.1. */
SHR_API int shr_cursor_read_until(struct shr_cursor *cursor, void *buffer, size_t size,
				  struct shr_record *record, int64_t deadline_ns);

/* --- The hot calls, inline; each is a symbol of the library too ------------ */

#define SHR_LIKELY_(condition) __builtin_expect(!!(condition), 1)

/* Bits of a record's word: length 32, type 16, state 4, owner 10, 0 2. */
#define SHR_WORD_READY_ ((uint64_t)2 << 48)
#define SHR_WORD_STATE_ ((uint64_t)15 << 48)

/* Their parts that are not inline. Not for programs. */
SHR_API int shr_producer_reserve_slow(struct shr_producer *producer, size_t size, void **payload);
SHR_API int shr_producer_commit_slow(struct shr_producer *producer);
SHR_API int shr_producer_wake_slow(struct shr_producer *producer);
SHR_API int shr_producer_write_slow(struct shr_producer *producer, const void *data, size_t size);
SHR_API int shr_cursor_next_slow(struct shr_cursor *cursor, struct shr_record *record);
SHR_API int shr_cursor_release_slow(struct shr_cursor *cursor);
SHR_API int shr_cursor_read_slow(struct shr_cursor *cursor, void *buffer, size_t size,
				 struct shr_record *record);

/* Bytes that a record of @size takes where it starts with a word only. */
#define SHR_TOTAL_(size) (((uint64_t)(size) + 15) & ~(uint64_t)7)

/*
 * Reserve @size bytes at the tail. On success *@payload points into the
 * mapping, 8-byte aligned, until commit or abort. What is in it is not
 * specified: write every byte. One reservation a producer at a time.
 *
 * In a ring with a schema @size is at least the record's; more is a tail of
 * bytes without a type.
 *
 * Progress: bounded; waits only for a claim in progress (a few stores), or for
 *           proof that who claims is dead; -EAGAIN if it is alive and stopped.
 *           Full, where records are consumed fast, it may look again after 2 us (not
 *           where the record would be dropped instead).
 * Returns:  0, or -EAGAIN   full
 *                 -EMSGSIZE @size is over shr_ring_max_record()
 *                 -EINVAL   @size is under the schema's
 *                 -EBUSY    a reservation is open
 *                 -ENOBUFS  full, and the record is dropped and counted: drop newest;
 *                           in overwrite mode, if a record in work of a living producer
 *                           is in the way
 *                 -ESTALE   the segment is obsolete
 *                 -EBADMSG  the ring is corrupt
 *                 -EACCES, -EMFILE (and what else open(2) says) who claims seems
 *                           dead, and this process may not prove it
 *                 -ECHILD
 * Since:    0.1
 */
SHR_API inline int shr_producer_reserve(struct shr_producer *producer, size_t size, void **payload)
{
	uint64_t total = SHR_TOTAL_(size);
	uint8_t *at = producer->at;
	void *slow_payload; /* so that *payload can live in a register */
	int err;

	if (SHR_LIKELY_(size - producer->min_record <= producer->span &&
			total <= (uint64_t)(producer->end - at) && !producer->ready)) {
		producer->ready = producer->ready_bits | size;
		producer->total = total;
		*payload = at + 8;
		return 0;
	}
	err = shr_producer_reserve_slow(producer, size, &slow_payload);
	if (!err)
		*payload = slow_payload;
	return err;
}

/*
 * Publish what was reserved. Wait-free, but for a system call if the consumer
 * sleeps.
 *
 * Returns:  0, or -EINVAL nothing is reserved, -ECHILD
 * Since:    0.1
 */
SHR_API inline int shr_producer_commit(struct shr_producer *producer)
{
	uint64_t ready = producer->ready;
	uint8_t *at = producer->at;

	if (SHR_LIKELY_(ready != 0)) {
		/*
		 * commit:A. Release: payload before READY. Pairs with next:A.
		 * Light fence: READY before the look at sleepers. Pairs with
		 * sleep:A, whose process makes this one's a fence if it must.
		 */
		__atomic_store_n((shr_word_ *)(void *)at, ready, __ATOMIC_RELEASE);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		producer->at = at + producer->total;
		producer->ready = 0;
		if (SHR_LIKELY_(!__atomic_load_n(producer->sleepers, __ATOMIC_RELAXED)))
			return 0;
		return shr_producer_wake_slow(producer);
	}
	return shr_producer_commit_slow(producer);
}

/*
 * Reserve, copy @size bytes from @data, commit.
 *
 * Returns:  as reserve
 * Since:    0.1
 */
SHR_API inline int shr_producer_write(struct shr_producer *producer, const void *data, size_t size)
{
	uint64_t total = SHR_TOTAL_(size);
	uint8_t *at = producer->at;

	if (SHR_LIKELY_(size - producer->min_record <= producer->span &&
			total <= (uint64_t)(producer->end - at) && !producer->ready)) {
		uint64_t ready = producer->ready_bits | size;

		memcpy(at + 8, data, size);
		/* commit:A, and its fence */
		__atomic_store_n((shr_word_ *)(void *)at, ready, __ATOMIC_RELEASE);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		producer->at = at + total;
		if (SHR_LIKELY_(!__atomic_load_n(producer->sleepers, __ATOMIC_RELAXED)))
			return 0;
		return shr_producer_wake_slow(producer);
	}
	return shr_producer_write_slow(producer, data, size);
}

/* A record in the short way. Not for programs. */
SHR_API inline void shr_record_make_(struct shr_record *record, const void *payload, uint64_t word,
				    uint64_t position)
{
	record->payload = payload;
	record->size = (size_t)(word & 0xffffffffu);
	record->position = position;
	record->type = (uint16_t)(word >> 32);
	record->flags = 0;
	record->member = (uint16_t)(word >> 52 & 1023);
	record->deliveries = 0;
	record->sequence = record->time_ns = record->lost = 0;
}

/*
 * The next record, in place. May be called again before release: several
 * records can be held (not by lossy cursors and observers: the next call ends the
 * copy that the last one gave).
 *
 * Progress: bounded. At a record whose producer has died it mends the ring. At the
 *           tail of a ring that is written fast it may wait for 2 us, if several
 *           records come meanwhile: that leaves producers their lines.
 * Returns:  0, or -EAGAIN  nothing committed is there; in a queue also if a living
 *                          worker that was stopped holds the take lock
 *                 -ESTALE  the same, and the segment is obsolete
 *                 -EBADMSG the ring is corrupt; this cursor stays where it is
 *                 -EACCES, -EMFILE (and what else open(2) says) the record's
 *                          producer seems dead, and this process may not prove it
 *                 -ECHILD
 * Since:    0.1
 */
SHR_API inline int shr_cursor_next(struct shr_cursor *cursor, struct shr_record *record)
{
	const uint8_t *data = cursor->data;
	struct shr_record slow; /* so that *record can live in registers */
	int err;

	if (SHR_LIKELY_(data != NULL)) {
		uint64_t next = cursor->next, index = next & cursor->mask;
		/* next:A. Acquire: READY before payload. Pairs with commit:A. */
		uint64_t word = __atomic_load_n((const shr_word_ *)(const void *)(data + index),
						__ATOMIC_ACQUIRE);
		uint64_t size = word & 0xffffffffu, total = SHR_TOTAL_(size);

		if (SHR_LIKELY_((word & SHR_WORD_STATE_) == SHR_WORD_READY_ &&
				size <= cursor->max_record && index + total <= cursor->mask + 1)) {
			shr_record_make_(record, data + index + 8, word, next);
			cursor->next = next + total;
			/* Relaxed: for who comes after this process, or only looks. */
			__atomic_store_n(cursor->shared_delivered, next + total, __ATOMIC_RELAXED);
			return 0;
		}
	}
	err = shr_cursor_next_slow(cursor, &slow);
	if (!err)
		*record = slow;
	return err;
}

/*
 * Release every record that next has returned so far (in a queue: acknowledge all
 * that this handle has, as read does, too). Their payloads must not be used any more.
 * One call for many records costs what one call for one does.
 *
 * Returns:  0, or -EBADMSG, -ECHILD
 * Since:    0.1
 */
SHR_API inline int shr_cursor_release(struct shr_cursor *cursor)
{
	if (SHR_LIKELY_(cursor->data != NULL)) {
		uint64_t next = cursor->next;

		/* release:A. Release: payload read before it is given back. */
		__atomic_store_n(cursor->shared_position, next, __ATOMIC_RELEASE);
		if (SHR_LIKELY_((int64_t)(next - cursor->keep) <= 0))
			return 0;
	}
	return shr_cursor_release_slow(cursor);
}

/*
 * Copy the next record to @buffer of @size bytes, and release it (and all that
 * is held). record->payload is @buffer then, record->size the record's bytes.
 *
 * Returns:  as next, or -EMSGSIZE: record->size bytes are needed, and the
 *           record is still the next one
 * Since:    0.1
 */
SHR_API inline int shr_cursor_read(struct shr_cursor *cursor, void *buffer, size_t size,
				   struct shr_record *record)
{
	const uint8_t *data = cursor->data;
	struct shr_record slow; /* as in next */
	int err;

	if (SHR_LIKELY_(data != NULL)) {
		uint64_t next = cursor->next, index = next & cursor->mask;
		uint64_t word = __atomic_load_n((const shr_word_ *)(const void *)(data + index),
						__ATOMIC_ACQUIRE); /* next:A */
		uint64_t bytes = word & 0xffffffffu, total = SHR_TOTAL_(bytes);

		if (SHR_LIKELY_((word & SHR_WORD_STATE_) == SHR_WORD_READY_ && bytes <= size &&
				bytes <= cursor->max_record && index + total <= cursor->mask + 1)) {
			memcpy(buffer, data + index + 8, (size_t)bytes);
			shr_record_make_(record, buffer, word, next);
			next += total;
			cursor->next = next;
			__atomic_store_n(cursor->shared_delivered, next, __ATOMIC_RELAXED);
			__atomic_store_n(cursor->shared_position, next, __ATOMIC_RELEASE); /* release:A */
			if (SHR_LIKELY_((int64_t)(next - cursor->keep) <= 0))
				return 0;
			return shr_cursor_release_slow(cursor);
		}
	}
	slow.size = 0;
	err = shr_cursor_read_slow(cursor, buffer, size, &slow);
	if (!err)
		*record = slow;
	else if (slow.size)
		record->size = slow.size;
	return err;
}

#ifdef __cplusplus
}
#endif

#endif
