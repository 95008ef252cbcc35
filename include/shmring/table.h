/* SPDX-License-Identifier: MIT */
/*
 * L4: tables: typed records in numbered slots, updated in place by many processes
 * and read by many more, whole after any kill.
 *
 *	struct service { char name[24]; uint64_t beats; double load; };
 *	SHR_SCHEMA(service, 1, name, beats, load);
 *
 *	struct shr_table_options options = {.struct_size = sizeof(options), .slots = 100,
 *					    .schema = SHR_SCHEMA_OF(service), .key = "name"};
 *	struct shr_table *table = NULL;
 *	struct service *mine, first = {.name = "web"}, copy;
 *	uint32_t slot;
 *
 *	shr_table_open(&table, "/services", "+>", &options, NULL);
 *	shr_table_insert(table, &first, sizeof(first), &slot);
 *
 *	shr_table_begin(table, slot, (void **)&mine);	// an update
 *	mine->beats++;
 *	shr_table_commit(table, slot);
 *
 *	shr_table_read_key(table, "web", 3, &copy, sizeof(copy), NULL);	// anybody, at any time
 *
 * Modes
 *	SHR_TABLE_ATOMIC    Two copies of each record: an update is made in the one
 *	                    that is not current and becomes current with one store.
 *	                    Killed anywhere before it, the update never was.
 *	SHR_TABLE_IN_PLACE  One copy, for large records. Killed inside an update the
 *	                    record is torn: the next one to begin is told -EOWNERDEAD
 *	                    and repairs it; readers get -EAGAIN meanwhile.
 *	SHR_TABLE_COUNTERS  One copy, whose integers of 4 and 8 bytes are changed
 *	                    without a lock, each by itself: statistics.
 *
 * A reader gets a copy of a record as some commit left it, never of two, and
 * disturbs nobody: it locks nothing, writes nothing, and may be an observer
 * (SHR_SEGMENT_OBSERVE). In a table of counters that is true of each number by
 * itself.
 *
 * Key. One field may be the key: an integer, or an array of integers or char, at
 * most SHR_TABLE_KEY_MAX bytes. No two used slots have the same, and it does not
 * change while the slot is used. Text is compared up to its first zero byte.
 *
 * Numbers. Each slot has a version that grows with every change of it, also when
 * it is inserted or removed (in a table of counters: only then).
 *
 * Threads. Handles may be shared by threads, but for opening, closing and
 * shr_table_fd(). An update is its thread's: who began it ends it. In a child made
 * by fork() every call says -ECHILD, close frees its copy.
 *
 * Errors that any call may say and that are not listed again: -ECHILD; -EINVAL no
 * such slot; of those that change something -EROFS an observer's handle, -ESTALE
 * the segment is obsolete, -EBADMSG the segment is corrupt, -ENOTRECOVERABLE a peer
 * has spoilt a lock, -EACCES, -EMFILE and what else open(2) says: the owner of a
 * lock seems dead, and that cannot be proved.
 */
#ifndef SHMRING_TABLE_H
#define SHMRING_TABLE_H

#include <string.h>

#include <shmring/base.h>
#include <shmring/lock.h>
#include <shmring/schema.h>
#include <shmring/segment.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shr_table;

/*
 * What an open table handle begins with, version SHR_TABLE_HOT_VERSION. It is public so
 * that shr_table_read() compiles into its caller; programs do not touch it.
 */
#define SHR_TABLE_HOT_VERSION 1

struct shr_table_hot_ {
	const uint8_t *first; /* slot 0 */
	uint64_t slots;	      /* 0: the long way */
	uint64_t slot_size;
	uint64_t record_size;
	uint64_t record_at; /* in a slot: the copy of an even sequence */
	uint64_t copy_step; /* from it to that of an odd one */
};

#define SHR_TABLE_ATOMIC 0
#define SHR_TABLE_IN_PLACE 1
#define SHR_TABLE_COUNTERS 2

#define SHR_TABLE_SLOTS_MAX (1u << 24)
#define SHR_TABLE_RECORD_MAX (1u << 30) /* bytes */
#define SHR_TABLE_KEY_MAX 256		 /* bytes */
#define SHR_TABLE_TRIES 1000 /* copies that a read makes of a record under change, before -EAGAIN */
#define SHR_TABLE_ANY UINT32_MAX	 /* instead of a slot, in a wait */

struct shr_table_options {
	size_t struct_size; /* sizeof(struct shr_table_options) */
	uint32_t mode;	    /* SHR_TABLE_* */
	uint32_t slots;	    /* 0: 64 */
	const struct shr_schema *schema; /* of a record; NULL: untyped, no key, no counters */
	const char *key;	/* name of the field that is the key; NULL: none */
	uint64_t record_size;	/* untyped: bytes in a record */
};

/*
 * Fill @object for shr_segment_create().
 *
 * Memory: 512 bytes; a slot of an atomic table 128 and two records, of another one
 * 128 and one, each record rounded up to 64 and a slot to 128; with a key 16 to 32 a
 * slot, and room for the key if it is longer than 32.
 *
 * Returns:  0, or -EINVAL options; the key is no field, or not of a type for it
 * Since:    0.1
 */
SHR_API int shr_table_describe(struct shr_object *object, const char *name,
			       const struct shr_table_options *options);

/*
 * The table @object_name of an attached segment. @schema is what the program was
 * compiled with, NULL for untyped records. *@table must be NULL. The segment must
 * stay attached until the table is closed.
 *
 * Returns:  0, or -ENOENT no such object, -EPROTOTYPE no table, or its records are
 *           others (shr_schema_match()), -EBADMSG, -ECHILD, -ENOMEM, -EPROTO the
 *           library is of another SHR_TABLE_HOT_VERSION
 * Since:    0.1
 */
SHR_API int shr_table_attach_version(struct shr_table **table, struct shr_segment *segment,
				     const char *object_name, const struct shr_schema *schema,
				     uint32_t hot_version);
static inline int shr_table_attach(struct shr_table **table, struct shr_segment *segment,
				   const char *object_name, const struct shr_schema *schema)
{
	return shr_table_attach_version(table, segment, object_name, schema,
					SHR_TABLE_HOT_VERSION);
}

/*
 * In one call: the segment @name that holds one table, named "table". @mode "+<"
 * attaches to it (of the options only .schema counts), "+>" creates it if it is
 * absent. *@table must be NULL.
 *
 * Returns:  0, or what shr_segment_create(), shr_segment_attach(),
 *           shr_table_describe() and shr_table_attach() say
 * Since:    0.1
 */
SHR_API int shr_table_open_version(struct shr_table **table, const char *name, const char *mode,
				   const struct shr_table_options *options,
				   const struct shr_segment_options *segment_options,
				   uint32_t hot_version);
static inline int shr_table_open(struct shr_table **table, const char *name, const char *mode,
				 const struct shr_table_options *options,
				 const struct shr_segment_options *segment_options)
{
	return shr_table_open_version(table, name, mode, options, segment_options,
				      SHR_TABLE_HOT_VERSION);
}

/*
 * Close, and end the thread of shr_table_fd(). -EBUSY: a thread of this process is
 * inside an update. NULL is allowed. Since 0.1.
 */
SHR_API int shr_table_close(struct shr_table *table);

/* What it is made of: constants. Since 0.1. */
SHR_API struct shr_segment *shr_table_segment(const struct shr_table *table);
SHR_API uint32_t shr_table_slots(const struct shr_table *table);
SHR_API uint32_t shr_table_mode(const struct shr_table *table);
SHR_API size_t shr_table_record_size(const struct shr_table *table); /* bytes, in the segment */

struct shr_table_status {
	uint32_t slots;
	uint32_t used; /* slots; true as of some insert or remove */
	uint32_t mode; /* SHR_TABLE_* */
	uint32_t key_field; /* number of the field in the schema, from 1; 0: no key */
	uint64_t record_size; /* bytes */
	uint64_t index_size;  /* entries; 0: no key */
	uint64_t graves;      /* of them what removed keys left until the next rebuild */
	uint64_t rebuilds;    /* of the index */
	uint64_t repairs;     /* somebody was killed inside an insert or a remove, and that was mended */
	uint64_t takeovers;   /* somebody was killed inside an update, and the slot's lock taken over */
};

/* Progress: wait-free. Returns: 0, or -ECHILD. Since: 0.1 */
SHR_API int shr_table_stat(const struct shr_table *table, struct shr_table_status *status);

/* --- Slots ------------------------------------------------------------------- */

/*
 * Put a record in a free slot, whose number goes to *@slot (may be NULL). Of a
 * @record shorter than those here the rest is zero, of a longer one the rest is
 * dropped. It can be read, found and iterated from one instant on.
 *
 * Progress: waits for another insert or remove; then a search for a free slot.
 * Crash:    killed inside: it is there as a whole, or it is not there.
 * Returns:  0, or -ENOSPC no slot is free, -EEXIST the key is there, -EINVAL @record
 *           is too short to have the key
 * Since:    0.1
 */
SHR_API int shr_table_insert(struct shr_table *table, const void *record, size_t size,
			     uint32_t *slot);

/*
 * Free a slot. Waits for an update of it that somebody is in. A torn record goes
 * as any other.
 *
 * Crash:    killed inside: it is gone, or it is there.
 * Returns:  0, or -ENOENT the slot is free, or the key is not there, -EDEADLK this
 *           thread is inside an update of it, -EAGAIN (by key) the key moved each time
 * Since:    0.1
 */
SHR_API int shr_table_remove(struct shr_table *table, uint32_t slot);
SHR_API int shr_table_remove_key(struct shr_table *table, const void *key, size_t key_size);

/*
 * The slot that has the key. @key is like the field: an integer of its size, or as
 * many bytes as the array has; text may be shorter and without a zero byte. By the
 * time it is used the slot may be another's: the calls named _key see to that.
 *
 * Threads:  any.  Progress: bounded, lock-free: at worst a look at each entry of the
 *           index, thrice, and at each slot.
 * Returns:  0, or -ENOENT, -EINVAL @key_size, -EOPNOTSUPP the table has no key
 * Since:    0.1
 */
SHR_API int shr_table_find(const struct shr_table *table, const void *key, size_t key_size,
			   uint32_t *slot);

/*
 * The first used slot from *@slot on:
 *	for (slot = 0; !shr_table_next(table, &slot); slot++)
 *
 * Progress: wait-free.  Returns: 0, or -ENOENT no more.  Since: 0.1
 */
SHR_API int shr_table_next(const struct shr_table *table, uint32_t *slot);

/* --- Updates: atomic and in place -------------------------------------------- */

/*
 * Begin an update of a slot: lock it, and *@record points to the record as it is,
 * to be changed, shr_table_record_size() bytes at a multiple of 64, until
 * shr_table_commit() or _abort(). _key: of the slot that has the key, whose number
 * goes to *@slot. _until: not later than @deadline_ns on CLOCK_MONOTONIC
 * (shr_deadline_ns()), in the past: try. Who is inside an update and begins
 * another can deadlock with who does so in another order.
 *
 * Progress: waits while another is in an update of that slot (lock.h).
 * Crash:    atomic: killed before the commit, nothing happened; the next one to
 *           begin takes the lock over, which is counted. In place: see below.
 * Returns:  0, or -EOWNERDEAD  in place: begun, but somebody was killed inside an
 *                              update and the record is torn: repair all of it,
 *                              then commit; or abort, and the next one is told
 *                 -ENOENT      the slot is free, or the key is not there
 *                 -ETIMEDOUT
 *                 -EDEADLK     this thread is inside an update of it
 *                 -EMSGSIZE    the program's struct is longer than the records here,
 *                              which are of an older version: shr_table_write()
 *                 -EOPNOTSUPP  a table of counters; _key: no key
 *                 -EAGAIN      _key: the key moved each time
 * Since:    0.1
 */
SHR_API int shr_table_begin(struct shr_table *table, uint32_t slot, void **record);
SHR_API int shr_table_begin_until(struct shr_table *table, uint32_t slot, void **record,
				  int64_t deadline_ns);
SHR_API int shr_table_begin_key(struct shr_table *table, const void *key, size_t key_size,
				uint32_t *slot, void **record);

/*
 * Make the update what everybody reads.
 *
 * Progress: wait-free but for a wake.
 * Crash:    atomic: before one store nothing happened, after it all did.
 * Returns:  0, or -EPERM this thread did not begin it, -EINVAL the key was changed:
 *           atomic: aborted; in place: committed with the key as it was
 * Since:    0.1
 */
SHR_API int shr_table_commit(struct shr_table *table, uint32_t slot);

/*
 * Give an update up. In place there is nothing to go back to: that is only for who
 * was told -EOWNERDEAD and cannot repair.
 *
 * Returns:  0, or -EPERM this thread did not begin it, -EOPNOTSUPP in place, and the
 *           record was not torn: commit
 * Since:    0.1
 */
SHR_API int shr_table_abort(struct shr_table *table, uint32_t slot);

/*
 * Begin, copy, commit. Members beyond @size stay as they are, bytes beyond the
 * record are dropped.
 *
 * Returns:  0, or as shr_table_begin(), but -EOWNERDEAD only where the record is
 *           torn and @size is less than all of it (nothing was written); -EINVAL the key
 *           is another or cut
 * Since:    0.1
 */
SHR_API int shr_table_write(struct shr_table *table, uint32_t slot, const void *record, size_t size);

/* --- Reading: lock-free, observers too --------------------------------------- */

struct shr_slot_info {
	uint64_t version;    /* of this slot: grows with every change */
	uint64_t generation; /* another one each time the slot is inserted; odd: used */
	uint64_t sequence;   /* of commits; in place two a commit, odd inside one */
};

/* Where in a slot (format.h); and what is not inline. Not for programs. */
#define SHR_SLOT_SEQUENCE_ 64
#define SHR_SLOT_GENERATION_ 72
typedef uint64_t shr_slot_number_ __attribute__((aligned(8))); /* i386: 4 unless told */
SHR_API int shr_table_read_slow(const struct shr_table *table, uint32_t slot, void *buffer,
				size_t size, struct shr_slot_info *info);

/*
 * A copy of the record: of @size bytes those that it has, the rest zero. *@info
 * (may be NULL) is of just this copy. _key: of the slot that has the key. The first
 * is inline (a symbol of the library too): the copy of an atomic table's record
 * costs least where the compiler knows @size.
 *
 * Threads:  any.
 * Progress: lock-free and bounded: at most SHR_TABLE_TRIES copies, each of which
 *           fails only if somebody commits while it is made (in place: is inside).
 * Returns:  0, or -ENOENT the slot is free, or the key is not there
 *                 -EAGAIN changed too fast, or torn (in place)
 *           After any of them @buffer has no meaning.
 * Since:    0.1
 */
SHR_API inline int shr_table_read(const struct shr_table *table, uint32_t slot, void *buffer,
				  size_t size, struct shr_slot_info *info)
{
	const struct shr_table_hot_ *hot = (const struct shr_table_hot_ *)(const void *)table;

	if (__builtin_expect(slot < hot->slots && size <= hot->record_size, 1)) {
		const uint8_t *at = hot->first + slot * hot->slot_size;
		const shr_slot_number_ *to_sequence =
			(const shr_slot_number_ *)(const void *)(at + SHR_SLOT_SEQUENCE_);
		const shr_slot_number_ *to_generation =
			(const shr_slot_number_ *)(const void *)(at + SHR_SLOT_GENERATION_);
		uint64_t generation = __atomic_load_n(to_generation, __ATOMIC_ACQUIRE); /* used:A */
		uint64_t sequence = __atomic_load_n(to_sequence, __ATOMIC_ACQUIRE);	/* read:A */

		memcpy(buffer, at + hot->record_at + (-(sequence & 1) & hot->copy_step), size);
		__atomic_thread_fence(__ATOMIC_ACQUIRE); /* read:B */
		if (__builtin_expect(generation & 1 &&
					     sequence == __atomic_load_n(to_sequence, __ATOMIC_RELAXED) &&
					     generation == __atomic_load_n(to_generation, __ATOMIC_RELAXED),
				     1)) {
			if (info) {
				info->version = generation + sequence;
				info->generation = generation;
				info->sequence = sequence;
			}
			return 0;
		}
	}
	return shr_table_read_slow(table, slot, buffer, size, info);
}
SHR_API int shr_table_read_key(const struct shr_table *table, const void *key, size_t key_size,
			       void *buffer, size_t size, struct shr_slot_info *info);

/*
 * The same, if the slot's version is another than @version.
 *
 * Returns:  1 it is, and was read; 0 it is not; or as shr_table_read()
 * Since:    0.1
 */
SHR_API int shr_table_read_changed(const struct shr_table *table, uint32_t slot, uint64_t version,
				   void *buffer, size_t size, struct shr_slot_info *info);

/*
 * A slot, used or not, as it is at some time during the call. @lock (may be NULL): who
 * is inside an update of it, or was.
 *
 * Returns:  0, or -EBADMSG its lock is spoilt
 * Since:    0.1
 */
SHR_API int shr_table_get(const struct shr_table *table, uint32_t slot, struct shr_slot_info *info,
			  struct shr_mutex_info *lock);

/* --- Counters ---------------------------------------------------------------- */

/*
 * On the integer of 4 or 8 bytes that lies @offset bytes from the start of the
 * record, offsetof(struct, member), an element of an array too. Not on the key.
 * A value is widened to 64 bits by its sign if it has one, and cut to its size.
 * Each is one atomic operation of the order memory_order_relaxed.
 *
 * add: *@before (may be NULL) is the value before; it wraps around.
 * compare_set: to @value if it is *@expected; if not, -EAGAIN and *@expected is
 * what it is.
 *
 * The slot is looked at before: who removes it meanwhile and inserts another has
 * that changed.
 *
 * Threads:  any.  Progress: wait-free.
 * Crash:    done, or not.
 * Returns:  0, or -ENOENT the slot is free, -EINVAL no such integer lies there,
 *           -EOPNOTSUPP no table of counters
 * Since:    0.1
 */
SHR_API int shr_table_add(struct shr_table *table, uint32_t slot, size_t offset, int64_t amount,
			  uint64_t *before);
SHR_API int shr_table_fetch(const struct shr_table *table, uint32_t slot, size_t offset,
			    uint64_t *value);
SHR_API int shr_table_compare_set(struct shr_table *table, uint32_t slot, size_t offset,
				  uint64_t *expected, uint64_t value);

/* --- Watching ---------------------------------------------------------------- */

/*
 * A number for shr_table_wait_until(): "as it is now". To follow each slot's latest
 * state: take it, look at all slots, wait for it, take it again.
 *
 * Nobody is slowed down by who does not watch: the next change after this call moves
 * the number and wakes, those after that one do nothing more until it is called again.
 *
 * Threads:  any.  Progress: a system call (membarrier(2)); of an observer's handle a
 *           look at each slot.
 * Since:    0.1
 */
SHR_API uint64_t shr_table_changes(struct shr_table *table);

/*
 * Sleep until the version of @slot is another than @since; with SHR_TABLE_ANY until
 * something has changed since shr_table_changes() was @since. *@now (may be NULL) is
 * the version then, or shr_table_changes().
 *
 * A writer that is killed just after its commit: who waits for that slot is told
 * within 100 ms; for any slot, when the writer's lock is taken over or swept
 * (shr_member_sweep(), and each attach that gets its place), or at the next change.
 *
 * Threads:  any; observers too, which look again after 1 to 50 ms.
 * Progress: blocks; spins for about 50 us first.
 * Returns:  0, seldom for nothing, or -ETIMEDOUT, -EINTR, -ESTALE
 * Since:    0.1
 */
SHR_API int shr_table_wait_until(struct shr_table *table, uint32_t slot, uint64_t since,
				 int64_t deadline_ns, uint64_t *now);

/*
 * A descriptor for poll(2) of this handle, readable once something has changed since
 * shr_table_changes() was what the last shr_table_arm() was given, which makes it
 * unreadable. It is readable after it was opened. Only to be polled.
 *
 *	fd = shr_table_fd(table);
 *	for (;;) {
 *		changes = shr_table_changes(table);
 *		shr_table_arm(table, changes);
 *		...look at the slots...
 *		poll(...);
 *	}
 *
 * Threads:  one at a time.
 * Returns:  fd: the descriptor, or -ENOMEM, -EMFILE, -EAGAIN no thread
 *           arm: 0, or -EINVAL there is no descriptor
 * Since:    0.1
 */
SHR_API int shr_table_fd(struct shr_table *table);
SHR_API int shr_table_arm(struct shr_table *table, uint64_t since);

#ifdef __cplusplus
}
#endif

#endif
