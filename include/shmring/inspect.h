/* SPDX-License-Identifier: MIT */
/*
 * Looking at a segment from outside, for tools: who is attached, how far the
 * rings are, what the records say.
 *
 * An inspector can disturb nobody: it opens the file read-only, reads it with
 * pread(2) and never maps it, holds no slot and no lock, and asks who is alive
 * with F_OFD_GETLK. (A System V segment is no file: it is attached read-only and
 * cannot be truncated.) So it needs only permission to read, a file that is
 * truncated meanwhile is an error and no SIGBUS, and any file whatever may be
 * opened: what is not possible is an errno and a sentence.
 *
 * What it sees may be gone the next moment. Numbers are each true at some time
 * during the call; a record is given only if it was whole and in place.
 *
 * Threads. A handle and its walks are one thread's at a time.
 */
#ifndef SHMRING_INSPECT_H
#define SHMRING_INSPECT_H

#include <shmring/base.h>
#include <shmring/lock.h>
#include <shmring/map.h>
#include <shmring/ring.h>
#include <shmring/schema.h>
#include <shmring/segment.h>
#include <shmring/table.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shr_inspect;
struct shr_walk;

/*
 * Call @each for every segment in /dev/shm and in System V shared memory, and for
 * files that may not be read (@err is -EACCES then, otherwise 0), until it
 * returns something else than 0. The order is the directory's.
 *
 * Returns:  what @each last returned, or -errno of opendir(3)
 * Since:    0.1
 */
SHR_API int shr_inspect_list(int (*each)(const char *name, int err, void *argument),
			     void *argument);

/*
 * Open the segment @name to look at. *@inspect must be NULL.
 *
 * Returns:  0, or -ENOENT, -EACCES (to read), -ENODATA, -EMEDIUMTYPE, -EILSEQ,
 *           -EPROTONOSUPPORT, -EUCLEAN, -EBADMSG, -EPROTO, as
 *           shr_segment_attach() has them. An obsolete segment opens.
 * Since:    0.1
 */
SHR_API int shr_inspect_open(struct shr_inspect **inspect, const char *name);

/*
 * The same for an image of a segment: what shr_inspect_save() has written, a plain copy of
 * a segment's file, or its bytes out of a core dump, in the file @fd, which stays the
 * caller's. Of an image nobody knows who lives: the state of each member is unknown.
 *
 * Since:    0.1
 */
SHR_API int shr_inspect_open_image(struct shr_inspect **inspect, int fd);

/*
 * Write an image of the segment, as it is just now, to the file @fd, which is made as
 * long as the segment; what was never written to stays a hole. The records of its rings
 * and tables are whole, also while it is in use: of a ring all that were committed before
 * the call and not used again before its end; of a table each used slot as some commit left
 * it, or torn as it is. A slot that changes faster than it can be copied is left out, and
 * counted in *@left_out (may be NULL). Bytes, counters and locks are as they are found, and
 * so is a ring or table that is corrupt. On failure the file is the caller's to remove.
 *
 * Progress: never waits; reads the segment once, rings twice to nine times, tables up to four
 *           times; and of slots that change meanwhile as much as the segment has and 64 MiB
 *           more, all together, and none more than SHR_INSPECT_TRIES times.
 * Returns:  0, or -ENODATA truncated, -ECANCELED see shr_inspect_on_progress(), -ENOSPC and
 *           what else pwrite(2) says
 * Since:    0.1
 */
SHR_API int shr_inspect_save(const struct shr_inspect *inspect, int fd, uint64_t *left_out);

/*
 * Have shr_inspect_save() and shr_inspect_check() say how far they are: they call @progress,
 * in their own thread, for each block, slot or record, with the bytes that are done and how
 * many there are in all. Neither is ever less than before; what has to be read again, as it
 * changed meanwhile, is added to both. The last call has all done. If @progress returns
 * something else than 0, the work ends with -ECANCELED. It may look at the segment, also by
 * this handle. NULL: nobody is called, as at first.
 *
 * Since:    0.1
 */
SHR_API void shr_inspect_on_progress(struct shr_inspect *inspect,
				     int (*progress)(uint64_t done, uint64_t total, void *argument),
				     void *argument);

/* Close; its walks must be closed before. NULL is allowed. Since 0.1. */
SHR_API void shr_inspect_close(struct shr_inspect *inspect);

#define SHR_LIFE_FILE 1	     /* locks on the segment's own file */
#define SHR_LIFE_COMPANION 2 /* locks on a companion file, /dev/shm/.shmring-life-EPOCH */
#define SHR_LIFE_NONE 3	     /* that is gone or may not be read: nobody can attach or know */
#define SHR_LIFE_IMAGE 4     /* it is an image */

struct shr_segment_info {
	uint32_t format_major, format_minor;
	uint64_t size; /* bytes */
	uint64_t epoch;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint32_t creator_pid;
	uint32_t members;   /* slots of the member table */
	uint32_t objects;
	uint32_t obsolete;  /* 1: unlinked, replaced or removed */
	uint32_t this_boot; /* 1: made since this machine was started */
	uint32_t backend;   /* SHR_BACKEND_* of map.h, by which it was opened */
	uint32_t life;	    /* SHR_LIFE_*: how members prove that they live */
	uint32_t locks;	    /* SHR_LOCKS_* */
	uint32_t uid;	    /* the user who owns it; UINT32_MAX: cannot be told */
	uint32_t reserved;
};

/* Returns: 0, or -ENODATA truncated since. Since: 0.1 */
SHR_API int shr_inspect_segment(const struct shr_inspect *inspect, struct shr_segment_info *info);

struct shr_object_info {
	uint32_t kind;	/* SHR_OBJECT_*, or another of a later version */
	uint32_t flags; /* by kind */
	char name[SHR_NAME_MAX + 1];
	uint64_t offset; /* bytes from the start of the segment */
	uint64_t size;	 /* bytes */
	uint64_t schema_hash;
	const struct shr_schema *schema; /* NULL: untyped. Valid until the inspector is closed */
	struct shr_ring_options ring;	 /* of a ring: its geometry */
	uint32_t count;			 /* of mutexes, events or slots of a table: how many */
	uint32_t reserved;
};

/*
 * Object @index, from 0.
 *
 * Returns:  0, or -ENOENT no object of that index, -EBADMSG its entry is not
 *                 possible
 * Since:    0.1
 */
SHR_API int shr_inspect_object(const struct shr_inspect *inspect, uint32_t index,
			       struct shr_object_info *info);

/* Index of the object @name, or -ENOENT. Since 0.1. */
SHR_API int shr_inspect_find(const struct shr_inspect *inspect, const char *name);

/*
 * Member @number, from 1 to shr_segment_info.members.
 *
 * Returns:  0, or -ENOENT, -ENODATA
 * Since:    0.1
 */
SHR_API int shr_inspect_member(const struct shr_inspect *inspect, uint32_t number,
			       struct shr_member_info *info);

/*
 * Mutex @number, from 0, of object @index.
 *
 * Returns:  0, or -ENOENT, -EPROTOTYPE no mutexes, -ENODATA, -EBADMSG
 * Since:    0.1
 */
SHR_API int shr_inspect_mutex(const struct shr_inspect *inspect, uint32_t index, uint32_t number,
			      struct shr_mutex_info *info);

/*
 * The state of the ring that is object @index. With a single producer its
 * records that are not released are walked to find the tail.
 *
 * Returns:  0, or -ENOENT, -EPROTOTYPE not a ring, -EBADMSG, -ENODATA
 * Since:    0.1
 */
SHR_API int shr_inspect_ring(const struct shr_inspect *inspect, uint32_t index,
			     struct shr_ring_status *status);

/*
 * Cursor @number, from 0 to SHR_RING_CURSORS_MAX - 1, of the ring that is object @index.
 *
 * Returns:  0, or -ENOENT that place is free, -ERANGE no such place, -EPROTOTYPE not
 *           a ring, -ENODATA
 * Since:    0.1
 */
SHR_API int shr_inspect_cursor(const struct shr_inspect *inspect, uint32_t index, uint32_t number,
			       struct shr_cursor_info *info);

/*
 * Geometry and numbers of the table that is object @index.
 *
 * Returns:  0, or -ENOENT, -EPROTOTYPE not a table, -EBADMSG, -ENODATA
 * Since:    0.1
 */
SHR_API int shr_inspect_table(const struct shr_inspect *inspect, uint32_t index,
			      struct shr_table_status *status);

/*
 * The lock that its inserts and removes take: who has it.
 *
 * Returns:  0, or as shr_inspect_table(); -EBADMSG: it is spoilt, too
 * Since:    0.1
 */
SHR_API int shr_inspect_table_lock(const struct shr_inspect *inspect, uint32_t index,
				   struct shr_mutex_info *lock);

/*
 * The numbers of its slots from @first on, used or not, to at most @most of @info: a
 * few system calls for many slots. A generation and a sequence may be of different
 * times.
 *
 * Returns:  how many: 0 behind the last; or as shr_inspect_table()
 * Since:    0.1
 */
SHR_API int shr_inspect_slots(const struct shr_inspect *inspect, uint32_t index, uint32_t first,
			      uint32_t most, struct shr_slot_info *info);

/*
 * Slot @number, from 0, of the table that is object @index: of @size bytes at @buffer
 * those that the record has, as some commit left them, and zeroes; *@info of that copy;
 * *@lock, who is inside an update. @buffer may be NULL: only those, of a slot that is
 * free, torn, or changed all the time, too, and each true at some time. @info and
 * @lock may be NULL.
 *
 * Progress: never waits; at most SHR_INSPECT_TRIES times three system calls.
 * Returns:  0, or -ENOENT no such object, or the slot is free, -ERANGE no such slot,
 *           -EAGAIN changed too fast, or torn (in place), -EPROTOTYPE not a table,
 *           -EBADMSG, -ENODATA
 * Since:    0.1
 */
#define SHR_INSPECT_TRIES 64
SHR_API int shr_inspect_slot(const struct shr_inspect *inspect, uint32_t index, uint32_t number,
			     void *buffer, size_t size, struct shr_slot_info *info,
			     struct shr_mutex_info *lock);

/*
 * The next slot from *@number on, of the table that is object @index, that somebody may have
 * to see to: its lock is held, or an owner of it has died, or (in place) its record is torn
 * or being changed. *@number is it, and *@info and *@lock (may be NULL) are as
 * shr_inspect_slot() has them. Many slots are looked at with few system calls, and none of
 * those that lie in a hole of the file.
 *
 * Progress: never waits.
 * Returns:  1, or 0 there is no more, or as shr_inspect_table(), or of slot *@number:
 *           -EBADMSG its lock is spoilt, -ENODATA
 * Since:    0.1
 */
SHR_API int shr_inspect_next_lock(const struct shr_inspect *inspect, uint32_t index,
				  uint32_t *number, struct shr_slot_info *info,
				  struct shr_mutex_info *lock);

/* What has counters. */
#define SHR_COUNTERS_RING 0
#define SHR_COUNTERS_CURSOR 1
#define SHR_COUNTERS_MEMBER 2
#define SHR_COUNTERS_MUTEX 3
#define SHR_COUNTERS_TABLE 4

/*
 * The counters that each ring, cursor, member, mutex or table (@of) of this segment has, as
 * the segment itself describes them: names, units and help. NULL: none. Valid until the
 * inspector is closed. Since 0.1.
 */
SHR_API const struct shr_schema *shr_inspect_counters(const struct shr_inspect *inspect,
						      uint32_t of);

/*
 * Counter @field of these: of the ring or table that is object @index; of the ring's
 * cursor @number; of member @number; or of mutex @number of object @index.
 *
 * Returns:  0, or -ENOENT, -EPROTOTYPE the object is of another kind, -ENODATA, -EBADMSG
 * Since:    0.1
 */
SHR_API int shr_inspect_counter(const struct shr_inspect *inspect, uint32_t of, uint32_t index,
				uint32_t number, uint32_t field, uint64_t *value);

/*
 * Copy @size bytes of object @index from its byte @offset on.
 *
 * Returns:  0, or -ENOENT, -ERANGE outside the object, -ENODATA
 * Since:    0.1
 */
SHR_API int shr_inspect_bytes(const struct shr_inspect *inspect, uint32_t index, uint64_t offset,
			      void *buffer, size_t size);

/* What holds a ring up. */
#define SHR_BLAME_CONSUMER 1 /* no room for a largest record: until the slowest gate releases */
#define SHR_BLAME_RECORD 2   /* the consumer's next record is reserved, and not committed */
#define SHR_BLAME_CLAIM 3    /* the claim lock of the producers is held */

struct shr_blame {
	uint32_t what;	   /* SHR_BLAME_* */
	uint32_t member;   /* number of who it is, 0: nobody consumes. See shr_inspect_member() */
	uint64_t position; /* released to; of the record; of the tail */
	uint64_t unread;   /* bytes that are not released */
};

/*
 * Who holds up the ring that is object @index, just now: up to @most of @blame. A
 * healthy ring has such moments, too: what stays the same for some time is stuck.
 *
 * Returns:  how many, or -ENOENT, -EPROTOTYPE not a ring, -EBADMSG, -ENODATA
 * Since:    0.1
 */
SHR_API int shr_inspect_blame(const struct shr_inspect *inspect, uint32_t index,
			      struct shr_blame *blame, size_t most);

/* --- Damage ------------------------------------------------------------------- */

#define SHR_DAMAGE_OBJECT 1   /* what the directory says of an object is impossible */
#define SHR_DAMAGE_POSITION 2 /* positions of a ring that exclude each other */
#define SHR_DAMAGE_RECORD 3   /* a record that is impossible, or missing below the tail */
#define SHR_DAMAGE_ZERO 4     /* bytes of a ring that should be zero */
#define SHR_DAMAGE_OWNER 5    /* a lock or place whose words are impossible */
#define SHR_DAMAGE_LOST 6     /* a mutex that is given up: who uses it makes it anew */
#define SHR_DAMAGE_INDEX 7    /* a slot that its key does not lead to */
/* What a death has left: no damage, and the next one to come mends it. */
#define SHR_DAMAGE_TORN 8 /* a record: repaired by who begins its next update */
#define SHR_DAMAGE_LEFT 9 /* a lock, a place, a record not committed */

struct shr_damage {
	uint32_t code;	   /* SHR_DAMAGE_*, or another of a later version: damage */
	uint32_t object;   /* its index */
	uint32_t number;   /* of the slot, mutex or cursor */
	uint32_t reserved;
	uint64_t position; /* in a ring */
	const char *text;  /* a sentence, until @each returns; untrusted names are in it */
};

/*
 * Look at all that a segment or an image is made of, and call @each for each damage, until
 * it returns something else than 0. A segment may be in use: what is told is not the work of
 * processes that keep to the protocol. (A ring's content between two records, a single
 * producer's beyond its tail, and what is in records cannot be checked.)
 *
 * Progress: never waits; reads each word, each slot and its key.
 * Returns:  0, what @each last returned, or -ENODATA truncated, -ENOMEM, -ECANCELED see
 *           shr_inspect_on_progress()
 * Since:    0.1
 */
SHR_API int shr_inspect_check(const struct shr_inspect *inspect,
			      int (*each)(const struct shr_damage *damage, void *argument),
			      void *argument);

/* --- Walking over the records of a ring ------------------------------------- */

/* Where a walk starts. */
#define SHR_WALK_OLDEST 0 /* what is still there, read by the consumer or not */
#define SHR_WALK_UNREAD 1 /* what the slowest gate has not released */
#define SHR_WALK_NEW 2	  /* what is committed from now on */

/* Or'ed to that: what else than committed records is given. */
#define SHR_WALK_BUSY 16    /* records in work; they are not given again when committed */
#define SHR_WALK_SKIPPED 32 /* skipped ones */

#define SHR_STATE_READY 0   /* committed */
#define SHR_STATE_BUSY 1    /* reserved, not committed yet; no payload */
#define SHR_STATE_SKIPPED 2 /* reserved, and given up or its owner died; no payload */
#define SHR_STATE_TAKEN 3   /* queue: a worker has it */
#define SHR_STATE_DONE 4    /* queue: acknowledged */
#define SHR_STATE_LOST 5    /* queue: taken and not acknowledged, at most once */

struct shr_walk_record {
	const void *payload; /* a copy, 8-byte aligned; until the next call */
	uint64_t size;	     /* bytes that the record has */
	size_t copied;	     /* of them at payload */
	uint64_t position;
	uint32_t state; /* SHR_STATE_READY ... */
	uint16_t type;	/* shr_producer_set_type() */
	uint16_t member;
	uint64_t sequence;   /* 0: the ring has none */
	uint64_t time_ns;    /* CLOCK_REALTIME; 0: the ring has none */
	uint64_t lost;	     /* records between the one before and this that it has not seen, by sequence */
	uint64_t deliveries; /* queue: how many times it was taken */
	uint32_t worker;     /* queue: member that has it, or had it last; 0: nobody */
	uint32_t reserved;
};

/*
 * Start a walk over the ring that is object @index. @flags is one of
 * SHR_WALK_*; at most @max_payload bytes of a record are copied. *@walk must
 * be NULL.
 *
 * Returns:  0, or what shr_inspect_ring() says, -EINVAL flags, -ENOMEM
 * Since:    0.1
 */
SHR_API int shr_walk_open(struct shr_walk **walk, const struct shr_inspect *inspect, uint32_t index,
			  uint32_t flags, size_t max_payload);

/* NULL is allowed. Since 0.1. */
SHR_API void shr_walk_close(struct shr_walk *walk);

/*
 * The next record. Producers do not wait for a walk: where they have used the
 * room again, the walk goes on at the oldest record that is left and counts
 * the bytes between as lost. Without SHR_WALK_BUSY it stops before a
 * record in work, until that is committed.
 *
 * Progress: never waits; a few system calls for each record or gap.
 * Returns:  0, or -EAGAIN  no more now
 *                 -EBADMSG the ring is corrupt
 *                 -ENODATA truncated, -ENOMEM
 * Since:    0.1
 */
SHR_API int shr_walk_next(struct shr_walk *walk, struct shr_walk_record *record);

/* Bytes of the ring that were used again before this walk came there. Since 0.1. */
SHR_API uint64_t shr_walk_lost(const struct shr_walk *walk);

/* Position of what the next call looks at. Since 0.1. */
SHR_API uint64_t shr_walk_position(const struct shr_walk *walk);

#ifdef __cplusplus
}
#endif

#endif
