/* SPDX-License-Identifier: MIT */
/*
 * Files as shared memory needs them: reserved, and published whole. Used by
 * the plain map (L0) and by the segment (L1).
 */
#ifndef LIB_MAP_FILE_H
#define LIB_MAP_FILE_H

#include <stdint.h>
#include <sys/stat.h>

#include "name.h"

/* Who removes a name locks this byte of the file first; where growing needs a lock, that one. */
#define MAP_NAME_BYTE (((int64_t)1 << 40) - 1)
#define MAP_GROW_BYTE (((int64_t)1 << 40) - 2)

/* A file without a name yet, or with a temporary one. */
struct map_unnamed {
	int fd;
	char temporary[PATH_MAX]; /* "" for O_TMPFILE */
};

/* Open the object of @path, no symbolic link, a regular file. fd or -errno. */
int map_open_file(const char *path, int flags, struct stat *st);

/* A descriptor of one's own for what @fd refers to, which must be a regular file. */
int map_open_fd(int fd, int flags, struct stat *st);

/* A new memfd; @huge_page_size 0: of small pages. */
int map_open_memory(const char *label, uint32_t perms, int huge, uint64_t huge_page_size);

/* The flags of memfd_create() and shmget() for huge pages of a size, or -EINVAL. */
int map_huge_flags(int base, uint64_t huge_page_size);

/* Make a file without a name in the directory of @path. */
int map_unnamed_open(struct map_unnamed *file, const struct name *name, uint32_t perms, int exact);

/* Give it its name. -EEXIST if that is taken. The descriptor stays open. */
int map_unnamed_publish(struct map_unnamed *file, const struct name *name);

/* Forget it: close, and remove a temporary name. */
void map_unnamed_close(struct map_unnamed *file);

/* Would growing to @end be over RLIMIT_FSIZE? 0, or -EFBIG, -EOVERFLOW. */
int map_limit(int fd, uint64_t end);

/* Have memory for bytes @from to @end; the file is at least @end long then. */
int map_reserve(int fd, uint64_t from, uint64_t end);

/* Lock or unlock (F_WRLCK, F_UNLCK) a byte: 0, -EAGAIN another has it, -errno. */
int map_lock_byte(int fd, int command, short type, int64_t byte);

/* Lock the name byte, waiting for up to a second: 0, -EBUSY, -errno, with a sentence. */
int map_lock_name(int fd);

/* Is @path still the file behind @fd? */
int map_still_named(int fd, const char *path);

/* The errno with which a filesystem says that it has no locks. */
int map_has_no_locks(int err);

#endif
