/* SPDX-License-Identifier: MIT */
/*
 * L0, the mapping: one call that opens or creates a piece of shared memory,
 * reserves its memory, and maps it; and what can be done with it then. Usable
 * alone: nothing else of shmring is needed.
 *
 * The form of the name picks the backend. All take the same options and give
 * the same errors:
 *
 *	/name            POSIX shared memory, as shm_open(3) names it; "name" and
 *	                 "//name" mean the same
 *	file:PATH        a file on any filesystem
 *	sysv:KEY         the System V segment of a key, decimal or 0x hexadecimal
 *	sysv:PATH[#PROJ] that of the key of ftok(3); PATH has a slash, PROJ is 1 to
 *	                 255 and 1 if it is not given
 *	sysv:#ID         that of an identifier, 0 is one too
 *	sysv:private     a new one that only its identifier finds (IPC_PRIVATE)
 *	anon:LABEL       new memory without a name (memfd_create(2)), shared by
 *	                 passing its descriptor; the label is for people
 *	fd:N             what descriptor N of this process refers to, of any of the
 *	                 above but System V; N itself stays the caller's
 *
 * A prefix wins over a POSIX name; "/file:x" is POSIX.
 *
 *	mode  opens      map         absent    size 0         size > object
 *	"<"   O_RDONLY   read        -ENOENT   to its end     -ERANGE
 *	"+<"  O_RDWR     read-write  -ENOENT   to its end     grows it
 *	">"   O_RDWR     read-write  creates   -EINVAL        grows it
 *	"+>"  O_RDWR     read-write  creates   -EINVAL        grows it
 *
 * A NULL mode means "<". "To its end" is from offset to the end of the
 * object, -ENODATA if nothing is there. No mode truncates. The descriptor is
 * close-on-exec, and a symbolic link at the end of the name is not followed
 * (-ELOOP).
 *
 * What a backend cannot do is -EOPNOTSUPP, with a sentence:
 *
 *	                    /name  file:  sysv:       anon:  fd:
 *	shr_map_fd            x      x    no descriptor x     x
 *	grow                  x      x    -ERANGE       x     x
 *	O_TRUNC, PRIVATE      x      x    no            x     x
 *	unlink                x      x     x            no    no
 *	seals                 no     no    no           x     of a memfd
 *	HUGETLB               no     no    x            x     as it is
 *	NUMA                  x    no (1)  x            x     as it is
 *	umask counts          x      x     no           -     -
 *
 * (1) but on tmpfs and hugetlbfs: a policy has no effect on a page cache.
 *
 * A new object gets its name only when all its memory is there (built unnamed
 * and linked), so that another opener never sees a shorter one, and a failed
 * or killed create leaves nothing behind. Where the filesystem has no
 * O_TMPFILE, a killed create may leave a file named ".shmring-*". System V has
 * no unnamed objects with a key: there a create that has work to do before
 * others may see the object (shr_map_options.init) holds a lock file in
 * /dev/shm meanwhile, openers wait for that, and finding its owner dead remove
 * the half-made object.
 *
 * Memory is reserved (fallocate(2)) for every writable map: a full filesystem
 * is -ENOSPC here and not SIGBUS at some later store. A filesystem that
 * cannot reserve is only grown. What a private map copies is not reserved.
 *
 * Fork. The child shares the map and has a copy of the handle.
 *
 * Threads. Calls that take a const map may run at the same time; the others
 * need the handle alone. A NULL map is -EINVAL, and NULL or 0 where no error
 * can be returned.
 */
#ifndef SHMRING_MAP_H
#define SHMRING_MAP_H

#include <shmring/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shr_map;

/* For shr_map_options.flags, above all O_* flags. */
#define SHR_MAP_EXACT_PERMS 0x40000000 /* fchmod a new object: no umask */
#define SHR_MAP_PRIVATE 0x20000000     /* copy on write: stores stay here; with "<" too */
#define SHR_MAP_POPULATE 0x10000000    /* have every page present before returning */
#define SHR_MAP_MLOCK 0x08000000       /* and keep it so: mlock(2) */
#define SHR_MAP_HUGETLB 0x04000000     /* a new object of huge pages */
#define SHR_MAP_HUGEPAGE 0x02000000    /* advise transparent huge pages */

/* For shr_map_options.numa_policy: set_mempolicy(2) has what they mean. */
#define SHR_NUMA_PREFERRED 1
#define SHR_NUMA_BIND 2
#define SHR_NUMA_INTERLEAVE 3

struct shr_map_options {
	size_t struct_size; /* sizeof(struct shr_map_options) */
	uint64_t size;	    /* bytes to map; 0: see the table */
	int64_t offset;	    /* bytes into the object; need not be aligned */
	uint32_t perms;	    /* of a new object; 0: 0600. Obeys the umask */
	int flags;	    /* O_EXCL, O_TRUNC, SHR_MAP_* */
	uint64_t huge_page_size; /* with HUGETLB: bytes; 0: the system's default */
	uint64_t numa_nodes;	 /* bit n: node n; 0: wherever */
	uint32_t numa_policy;	 /* SHR_NUMA_* */
	/*
	 * F_SEAL_* (fcntl(2)): a new "anon:" gets them, and an "fd:" that has not
	 * all of them is refused. A receiver that asks for F_SEAL_SHRINK cannot
	 * be given a SIGBUS by the sender.
	 */
	uint32_t seals;
	/*
	 * Called when this call creates the object, with the map, before any
	 * other process can see the object: each object is initialised exactly
	 * once. Not 0 fails the open with that value, and there is no object. A
	 * creator that loses a race has initialised an object that nobody sees.
	 */
	int (*init)(void *address, size_t size, void *argument);
	void *init_argument;
};

/*
 * Open or create the object @name and map it. *@map must be NULL.
 *
 * Growing an object never shrinks it, whoever else grows it at the same time.
 * A failed call removes what it made, and only that. Each option is done or
 * the call fails: none is ignored.
 *
 * Threads:  any.
 * Progress: blocks in the kernel for the reservation, and for "sysv:" while
 *           another process initialises the segment.
 * Returns:  0, or -EBUSY        *@map is in use already
 *                 -EINVAL       unknown mode or flag, bad name, negative
 *                               offset, size 0 with ">", "+>" or O_TRUNC,
 *                               O_TRUNC with "<", O_EXCL without ">" or "+>"
 *                 -ENAMETOOLONG
 *                 -ENOENT       no such object, and the mode creates none
 *                 -EEXIST       O_EXCL, and there is one
 *                 -EACCES       no permission, or "fd:" of a descriptor that is
 *                               not open for it
 *                 -EBADF        "fd:" of none
 *                 -EPERM        a seal is missing, or forbids this
 *                 -ENODATA      nothing between offset and the object's end
 *                 -ERANGE       "<", and the object ends before offset + size;
 *                               "sysv:" in any mode
 *                 -EOVERFLOW    offset + size is not representable
 *                 -EFBIG        over RLIMIT_FSIZE or kernel.shmmax; no SIGXFSZ
 *                 -ENOSPC       no memory to reserve
 *                 -EMEDIUMTYPE  not a regular file
 *                 -EOPNOTSUPP   the backend cannot do that
 *                 or what open(2), fallocate(2), mmap(2), shmget(2), mbind(2),
 *                 mlock(2) say
 * Since:    0.1
 */
SHR_API int shr_map_open(struct shr_map **map, const char *name, const char *mode,
			 const struct shr_map_options *options);

/* Unmap and close. The object and its name stay. NULL is allowed. Since 0.1. */
SHR_API void shr_map_close(struct shr_map *map);

/* First byte of the map (the object's byte at offset). Since 0.1. */
SHR_API void *shr_map_address(const struct shr_map *map);

/* Bytes from shr_map_address() on. Since 0.1. */
SHR_API size_t shr_map_size(const struct shr_map *map);

/*
 * The descriptor, which stays the map's: do not close it.
 *
 * Returns:  a descriptor, or -EINVAL, -EOPNOTSUPP "sysv:"
 * Since:    0.1
 */
SHR_API int shr_map_fd(const struct shr_map *map);

/* 1 if this open created the object, 0 if it was there. Since 0.1. */
SHR_API int shr_map_created(const struct shr_map *map);

/* --- The object ------------------------------------------------------------- */

#define SHR_BACKEND_POSIX 1
#define SHR_BACKEND_FILE 2
#define SHR_BACKEND_SYSV 3
#define SHR_BACKEND_ANON 4
#define SHR_BACKEND_FD 5

struct shr_map_status {
	uint32_t backend; /* SHR_BACKEND_* */
	uint32_t perms;	  /* 07777 */
	uint32_t uid, gid;
	uint32_t creator_uid, creator_gid; /* System V; else the owner's */
	uint32_t creator_pid, last_pid;	   /* System V; else 0 */
	int32_t key, id;		   /* System V; else -1 */
	uint64_t size;			   /* bytes of the object, its generation too: see remap */
	uint64_t allocated;		   /* bytes that have memory or disk; System V: 0 */
	uint64_t links;			   /* names; System V: maps */
	/* CLOCK_REALTIME. System V: last attach, last detach, last change; 0: never */
	int64_t accessed_ns, modified_ns, changed_ns;
	uint64_t device, inode; /* System V: 0 */
	uint64_t reserved[4];
};

/*
 * Threads:  any.
 * Returns:  0, or what fstat(2) or shmctl(2) say
 * Since:    0.1
 */
SHR_API int shr_map_stat(const struct shr_map *map, struct shr_map_status *status);

/* Set the permissions. 0, -EINVAL over 07777, or as fchmod(2). Since 0.1. */
SHR_API int shr_map_chmod(const struct shr_map *map, uint32_t perms);

/* Set owner and group; UINT32_MAX leaves one. 0, or as fchown(2). Since 0.1. */
SHR_API int shr_map_chown(const struct shr_map *map, uint32_t uid, uint32_t gid);

/*
 * Remove the name of an object. Maps of it stay usable, System V identifiers
 * too while it is attached. For a segment use shr_segment_unlink(), which tells
 * the attached processes.
 *
 * Threads:  any.
 * Returns:  0, or -ENOENT, -EOPNOTSUPP "anon:", "fd:", or what unlink(2) says
 * Since:    0.1
 */
SHR_API int shr_map_unlink(const char *name);

/*
 * Remove the name that @map was opened by, if it is still the name of this
 * object, and leave a successor of that name alone. Processes that use this
 * call or shr_segment_unlink() cannot come between the look and the removal.
 *
 * Returns:  0, or -ESTALE the name is another object's now
 *                 -ENOENT, -EOPNOTSUPP, -EBUSY another process is just at it,
 *                 or what unlink(2) says
 * Since:    0.1
 */
SHR_API int shr_map_unlink_own(const struct shr_map *map);

/* For shr_map_list(). */
#define SHR_LIST_SEGMENTS 1 /* only what starts as a segment of shmring does */

/*
 * Call @each with the name of every object of a backend, as shr_map_open()
 * takes it, until it returns something else than 0. @where is "/" for POSIX
 * shared memory, "sysv:", or "file:DIR". Hidden files and what is not a
 * regular file are left out. With SHR_LIST_SEGMENTS those that cannot be read
 * are given with @err, otherwise 0.
 *
 * Returns:  what @each last returned, or -EINVAL, -EOPNOTSUPP "anon:" and "fd:",
 *           or what opendir(3) says
 * Since:    0.1
 */
SHR_API int shr_map_list(const char *where, uint32_t flags,
			 int (*each)(const char *name, int err, void *argument), void *argument);

/* --- The map ---------------------------------------------------------------- */

/*
 * In all of these @offset and @size are bytes of the map, need not be aligned
 * (whole pages are done), and size 0 means to the end. -ERANGE outside the map.
 */

/* Write @size bytes back to a file's disk, and wait: msync(2). Since 0.1. */
SHR_API int shr_map_sync(const struct shr_map *map, size_t offset, size_t size);

/*
 * Advise the kernel, by the words of madvise(2): "normal", "random",
 * "sequential", "willneed", "dontneed", "cold", "pageout", "hugepage",
 * "nohugepage", "dontdump", "dodump", "dontfork", "dofork", "mergeable",
 * "unmergeable", "remove". In a private map "dontneed" loses what was stored.
 * "remove" zeroes the range in the object and gives up its reservation.
 *
 * Returns:  0, or -EINVAL unknown word, or what madvise(2) says
 * Since:    0.1
 */
SHR_API int shr_map_advise(const struct shr_map *map, size_t offset, size_t size, const char *word);

/*
 * Set the protection to @prot, PROT_* of mprotect(2), of whole pages: an
 * unaligned end takes its neighbours along.
 *
 * Returns:  0, or -EACCES  PROT_WRITE on a shared map that was opened "<"
 *                 or what mprotect(2) says
 * Since:    0.1
 */
SHR_API int shr_map_protect(const struct shr_map *map, size_t offset, size_t size, int prot);

/* Keep pages in memory, or not: mlock(2), with its errors and limits. Since 0.1. */
SHR_API int shr_map_mlock(const struct shr_map *map, size_t offset, size_t size);
SHR_API int shr_map_munlock(const struct shr_map *map, size_t offset, size_t size);

/* Have every page present: no page fault at the first use. Since 0.1. */
SHR_API int shr_map_populate(const struct shr_map *map, size_t offset, size_t size);

/*
 * Map @size bytes from the same offset on; 0: to the end of the object. Where
 * the object ends before, it grows, as shr_map_open() does it. The address may
 * change; the contents stay.
 *
 * An object only grows (O_TRUNC aside), so its size is its generation: when
 * another process has grown it, shr_map_generation() gives a larger number
 * here, and a remap to size 0 brings the rest.
 *
 * Threads:  the handle alone, and nobody in the map.
 * Returns:  0, or -ERANGE  "<" or "sysv:", and the object ends before
 *                 -ENODATA, -EOVERFLOW, -EFBIG, -ENOSPC, -EPERM sealed; the old
 *                 map stays then
 * Since:    0.1
 */
SHR_API int shr_map_remap(struct shr_map *map, uint64_t size);

/* Bytes that the object has now, into *@generation. One system call. Since 0.1. */
SHR_API int shr_map_generation(const struct shr_map *map, uint64_t *generation);

/* What the kernel granted, as far as it can be asked. */
struct shr_map_granted {
	uint64_t page_size;  /* bytes of the pages that map it; above 4096: HUGETLB */
	uint64_t resident;   /* bytes in memory and mapped here */
	uint64_t huge;	     /* bytes of that in huge pages */
	uint64_t locked;     /* bytes mlocked */
	uint64_t numa_nodes; /* bit n: pages mapped here lie on node n */
	uint64_t elsewhere;  /* pages that lie outside options.numa_nodes; 0 if not asked */
	uint64_t reserved[4];
};

/*
 * Threads:  any.  Progress: time in proportion to the pages.
 * Returns:  0, or -EOPNOTSUPP without /proc
 * Since:    0.1
 */
SHR_API int shr_map_report(const struct shr_map *map, struct shr_map_granted *granted);

/* --- Waiting on a word of a map --------------------------------------------- */

/*
 * Sleep while the 32-bit word at @offset, a multiple of 4, is @value, until a
 * notify or @deadline_ns, shr_deadline_ns() or SHR_FOREVER. Returns for no
 * reason too: load the word again and decide anew. Works across processes,
 * on maps opened "<" too. Nothing is known about the life of who should notify:
 * a process that must outlive its peers waits with a deadline, or uses a
 * segment.
 *
 * Returns:  0 notified, or the word was another, or for no reason
 *           -ETIMEDOUT, -EINTR a signal, -EINVAL, -ERANGE
 *           -EOPNOTSUPP a private map
 * Since:    0.1
 */
SHR_API int shr_map_wait(const struct shr_map *map, size_t offset, uint32_t value,
			 int64_t deadline_ns);

/* Wake at most @count who sleep there. Their number, or as above. Since 0.1. */
SHR_API int shr_map_notify(const struct shr_map *map, size_t offset, int count);

/* --- Sealing and passing ---------------------------------------------------- */

/*
 * Add F_SEAL_* to a memfd, for ever; F_SEAL_WRITE needs that nobody maps it
 * writable.
 *
 * Returns:  0, or -EOPNOTSUPP not a memfd, -EPERM sealed against it, -EBUSY
 * Since:    0.1
 */
SHR_API int shr_map_seal(const struct shr_map *map, uint32_t seals);

/* The seals into *@seals; 0 seals where there are none. Since 0.1. */
SHR_API int shr_map_seals(const struct shr_map *map, uint32_t *seals);

/*
 * Send descriptor @fd over the connected UNIX socket @socket, with one byte.
 * The receiver opens "fd:N" and closes N.
 *
 * Threads:  any; one a socket.  Progress: blocks as the socket does.
 * Returns:  0, or what sendmsg(2) says; no SIGPIPE
 * Since:    0.1
 */
SHR_API int shr_fd_send(int socket, int fd);

/*
 * Receive one descriptor, close-on-exec. It is not known what it is: open it
 * as "fd:N" with the seals that are needed.
 *
 * Returns:  a descriptor, or -ENODATA  the peer has closed
 *                            -EPROTO   something else than one descriptor came
 *                            or what recvmsg(2) says
 * Since:    0.1
 */
SHR_API int shr_fd_receive(int socket);

#ifdef __cplusplus
}
#endif

#endif
