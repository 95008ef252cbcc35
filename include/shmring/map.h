/* SPDX-License-Identifier: MIT */
/*
 * L0, the mapping: one call that opens or creates a named piece of shared
 * memory, reserves its memory, and maps it.
 *
 * The form of the name picks the backend:
 *
 *	/name       POSIX shared memory, as shm_open(3) names it; "name" and
 *	            "//name" mean the same
 *	file:PATH   a file on any filesystem
 *
 * "sysv:", "anon:" and "fd:" are taken for later backends: -EOPNOTSUPP now.
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
 * A new object gets its name only when all its memory is there (built unnamed
 * and linked), so that another opener never sees a shorter one, and a failed
 * or killed create leaves nothing behind. Where the filesystem has no
 * O_TMPFILE, a killed create may leave a file named ".shmring-*".
 *
 * Memory is reserved (fallocate(2)) for every writable map: a full filesystem
 * is -ENOSPC here and not SIGBUS at some later store. A filesystem that
 * cannot reserve is only grown.
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

struct shr_map_options {
	size_t struct_size; /* sizeof(struct shr_map_options) */
	uint64_t size;	    /* bytes to map; 0: see the table */
	int64_t offset;	    /* bytes into the object; need not be aligned */
	uint32_t perms;	    /* of a new object; 0: 0600. Obeys the umask */
	int flags;	    /* O_EXCL, O_TRUNC, SHR_MAP_EXACT_PERMS */
};

/*
 * Open or create the object @name and map it. *@map must be NULL.
 *
 * Growing an object never shrinks it, whoever else grows it at the same time.
 * A failed call removes what it made, and only that.
 *
 * Threads:  any.
 * Progress: blocks in the kernel for the reservation only.
 * Returns:  0, or -EBUSY        *@map is in use already
 *                 -EINVAL       unknown mode or flag, bad name, negative
 *                               offset, size 0 with ">" or "+>", O_TRUNC
 *                               with "<", O_EXCL without ">" or "+>"
 *                 -ENAMETOOLONG
 *                 -ENOENT       no such object, and the mode creates none
 *                 -EEXIST       O_EXCL, and there is one
 *                 -ENODATA      nothing between offset and the object's end
 *                 -ERANGE       "<", and the object ends before offset + size
 *                 -EOVERFLOW    offset + size is not representable
 *                 -EFBIG        over RLIMIT_FSIZE; no SIGXFSZ is raised
 *                 -ENOSPC       no memory to reserve
 *                 -EMEDIUMTYPE  the name is not a regular file
 *                 -EOPNOTSUPP   a backend that this version has not got
 *                 or what open(2), fallocate(2) or mmap(2) say
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

/* The descriptor, which stays the map's: do not close it. Since 0.1. */
SHR_API int shr_map_fd(const struct shr_map *map);

/* 1 if this open created the object, 0 if it was there. Since 0.1. */
SHR_API int shr_map_created(const struct shr_map *map);

/*
 * Remove the name of an object. Maps of it stay usable. For a segment use
 * shr_segment_unlink(), which tells the attached processes.
 *
 * Threads:  any.
 * Returns:  0, or -ENOENT, or what unlink(2) says
 * Since:    0.1
 */
SHR_API int shr_map_unlink(const char *name);

#ifdef __cplusplus
}
#endif

#endif
