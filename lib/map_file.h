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

/* A file without a name yet, or with a temporary one. */
struct map_unnamed {
	int fd;
	char temporary[PATH_MAX]; /* "" for O_TMPFILE */
};

/* Open the object of @path, no symbolic link, a regular file. fd or -errno. */
int map_open_file(const char *path, int flags, struct stat *st);

/* Make a file without a name in the directory of @path. */
int map_unnamed_open(struct map_unnamed *file, const struct shr_path *path, uint32_t perms,
		     int exact);

/* Give it its name. -EEXIST if that is taken. The descriptor stays open. */
int map_unnamed_publish(struct map_unnamed *file, const struct shr_path *path);

/* Forget it: close, and remove a temporary name. */
void map_unnamed_close(struct map_unnamed *file);

/* Have memory for bytes @from to @end; the file is at least @end long then. */
int map_reserve(int fd, uint64_t from, uint64_t end);

#endif
