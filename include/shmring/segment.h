/* SPDX-License-Identifier: MIT */
/*
 * L1, the segment: one named piece of memory that holds several named objects
 * (rings, tables, mutexes, events, plain bytes), a table of the processes attached to it, and the
 * schemas of the records in it.
 *
 * Nobody ever sees a half-made segment: it is built without a name and then
 * linked. Everything that does not change (sizes, offsets, capacities,
 * schemas) is copied and checked once at attach and never read from the
 * shared memory again.
 *
 * An attached process is a *member* and holds one slot of the member table,
 * and with it a lock of the kernel that ends exactly when the process can no
 * longer write here: detach, exit, exec or SIGKILL. That, and no time-out, is
 * how others know that it is gone.
 */
#ifndef SHMRING_SEGMENT_H
#define SHMRING_SEGMENT_H

#include <shmring/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shr_segment;
struct shr_schema;

#define SHR_NAME_MAX 47	     /* bytes in the name of an object */
#define SHR_ROLE_MAX 15	     /* bytes in the role of a member */
#define SHR_OBJECTS_MAX 30   /* objects in a segment */
#define SHR_MEMBERS_MAX 1022 /* attached processes at a time */

/* What an object is. */
#define SHR_OBJECT_BYTES 1 /* plain zeroed memory, no rules */
#define SHR_OBJECT_RING 2  /* see ring.h */
#define SHR_OBJECT_MUTEX 3 /* see lock.h */
#define SHR_OBJECT_EVENT 4 /* see lock.h */
#define SHR_OBJECT_TABLE 5 /* see table.h */

/*
 * An object of a segment to be created. Zero it, then fill in kind, name and
 * size for plain bytes, or let shr_ring_describe(), shr_mutex_describe(),
 * shr_event_describe() or shr_table_describe() fill it.
 */
struct shr_object {
	uint32_t kind;		       /* SHR_OBJECT_* */
	uint32_t flags;		       /* by kind */
	char name[SHR_NAME_MAX + 1];   /* unique in the segment */
	uint64_t size;		       /* bytes */
	const struct shr_schema *schema; /* of its records, or NULL */
	uint64_t param[5];	       /* by kind */
};

/* For shr_segment_options.flags. */
#define SHR_SEGMENT_ATTACH 1	  /* create: attach if there is one */
#define SHR_SEGMENT_REPLACE 2	  /* create: make obsolete one that is there */
#define SHR_SEGMENT_EXACT_PERMS 4 /* create: perms regardless of the umask */
#define SHR_SEGMENT_OBSERVE 8	  /* attach: look only, see below */
/*
 * Do not register this process for membarrier(2), MEMBARRIER_CMD_GLOBAL_EXPEDITED.
 * For sandboxes that end a process that asks; where it is merely refused this is
 * found out. Costs a fence (3 to 12 ns) a record, unlock or notify.
 */
#define SHR_SEGMENT_NO_MEMBARRIER 16

/* For shr_segment_options.locks. */
#define SHR_LOCKS_WORD 0    /* a word of our own: any word size, any number held */
#define SHR_LOCKS_PTHREAD 1 /* robust pthread mutexes: for peers that trust each other, see lock.h */

struct shr_segment_options {
	size_t struct_size; /* sizeof(struct shr_segment_options) */
	uint32_t flags;	    /* SHR_SEGMENT_* */
	uint32_t perms;	    /* create: 0: 0600. Obeys the umask */
	uint32_t members;   /* create: slots for processes; 0: 32 */
	uint32_t locks;	    /* create: SHR_LOCKS_*, what mutexes are made of */
	const char *role; /* what this process is here, for people; cut to SHR_ROLE_MAX bytes */
};

/*
 * Create the segment @name with @count @objects, and attach to it.
 * *@segment must be NULL. With SHR_SEGMENT_ATTACH an existing segment is
 * attached instead, whatever is in it: shr_segment_created() tells, and the
 * objects' own calls check what they find.
 *
 * Threads:  any.
 * Progress: blocks in the kernel for the reservation.
 * Returns:  0, or -EEXIST  there is one, and neither ATTACH nor REPLACE
 *                 -EINVAL  bad options or objects
 *                 -E2BIG   too many objects, or they do not fit a size
 *                 -EBUSY   another process is just removing the obsolete one of
 *                          that name, and has not done so for a second
 *                 or what shr_map_open() and shr_segment_attach() say
 * Since:    0.1
 */
SHR_API int shr_segment_create(struct shr_segment **segment, const char *name,
			       const struct shr_object *objects, size_t count,
			       const struct shr_segment_options *options);

/*
 * Attach to the segment @name as a member. *@segment must be NULL.
 *
 * Mends what a dead member left in the slot that this process gets.
 *
 * With SHR_SEGMENT_OBSERVE it attaches without becoming a member: it needs only
 * permission to read, holds no slot, and maps the memory read-only, so that it
 * can disturb nobody. It can look at members, mutexes and plain bytes, and sleep
 * on events; what would change something says -EROFS. Writing to its plain bytes
 * is SIGSEGV.
 *
 * Threads:  any; a segment handle may be shared by threads.
 * Progress: bounded, but for a live member that holds a ring's claim lock.
 * Returns:  0, or in this order
 *                 -ENOENT           no such name
 *                 -EACCES           no permission to read and write
 *                 -ENODATA          truncated: shorter than a segment is, or
 *                                   than this one says it is
 *                 -EMEDIUMTYPE      not a segment
 *                 -EILSEQ           made on a machine of the other byte order
 *                 -EPROTONOSUPPORT  another major format
 *                 -EUCLEAN          the checksum of the header is wrong
 *                 -EBADMSG          an offset, size or count is impossible
 *                 -EPROTO           same format, another layout
 *                 -ESTALE           obsolete: unlinked or replaced
 *                 -EUSERS           every member slot is taken
 *                 -EOPNOTSUPP       no lock to prove life with on this
 *                                   filesystem
 * Since:    0.1
 */
SHR_API int shr_segment_attach(struct shr_segment **segment, const char *name,
			       const struct shr_segment_options *options);

/*
 * Detach and free the handle. Rings, producers and cursors of it must be
 * closed first, else -EBUSY and nothing happens. NULL is allowed. In a child
 * of the process that attached it frees the child's copy and returns 0.
 *
 * Since:    0.1
 */
SHR_API int shr_segment_detach(struct shr_segment *segment);

/*
 * Make the segment @name obsolete, remove its name, and wake everybody who
 * sleeps in it. Attached processes get -ESTALE: a producer at its next full
 * or waiting call, a consumer when it has read all that is left.
 *
 * Works on what does not attach as a segment too old, too new or broken only
 * in so far as the name is removed; a file that is no segment is refused.
 *
 * Threads:  any.
 * Returns:  0, or -ENOENT, -EACCES, -EMEDIUMTYPE (not a segment; use rm)
 *                 -EBUSY  another process is just doing this
 * Since:    0.1
 */
SHR_API int shr_segment_unlink(const char *name);

/* 1 if this handle's call created the segment, 0 if it attached. Since 0.1. */
SHR_API int shr_segment_created(const struct shr_segment *segment);

/*
 * The descriptor of the segment's memory, which stays the segment's: pass it on
 * with shr_fd_send(), or dup() it, and attach to it as "fd:N". For "anon:" that
 * is the only way in. Closed in a child: dup() it before fork().
 *
 * Returns:  a descriptor, or -EOPNOTSUPP "sysv:", -ECHILD
 * Since:    0.1
 */
SHR_API int shr_segment_fd(const struct shr_segment *segment);

/* Random number of this creation; another one after a re-create. Since 0.1. */
SHR_API uint64_t shr_segment_epoch(const struct shr_segment *segment);

/*
 * 0 while the segment is current, -ESTALE once it is obsolete or its file was
 * removed. One system call.
 *
 * Threads:  any.  Since: 0.1
 */
SHR_API int shr_segment_check(const struct shr_segment *segment);

/*
 * Number of this member, 1 to SHR_MEMBERS_MAX, as in shr_record.member.
 * -ECHILD in a child, -EROFS an observer's handle.
 *
 * Threads:  any.  Since: 0.1
 */
SHR_API int shr_segment_member(const struct shr_segment *segment);

/*
 * The memory of the plain bytes object @name. *@address and *@size are
 * written on success. Nothing is known about the contents: they are another
 * process's.
 *
 * Returns:  0, or -ENOENT no such object, -EPROTOTYPE not plain bytes
 * Since:    0.1
 */
SHR_API int shr_segment_bytes(const struct shr_segment *segment, const char *name,
			      void **address, size_t *size);

#ifdef __cplusplus
}
#endif

#endif
