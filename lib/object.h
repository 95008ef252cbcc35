/* SPDX-License-Identifier: MIT */
/*
 * The object behind a segment, whatever its backend: read, write, map, make,
 * remove; and the file whose byte locks prove who is alive. The protocol is at
 * the top of object.c.
 */
#ifndef LIB_OBJECT_H
#define LIB_OBJECT_H

#include <stddef.h>
#include <stdint.h>

#include "map_file.h"
#include "map_sysv.h"
#include "name.h"

struct object {
	uint32_t backend; /* SHR_BACKEND_* */
	int fd;		  /* -1: System V */
	int32_t id;	  /* System V */
	char *base;	  /* System V: attached to read and write; not in a child */
	uint64_t size;	  /* when it was opened */
	int named;	  /* it had a name then */
};

/* An object in the making. */
struct object_new {
	struct object object;
	struct map_unnamed file;
	struct sysv_gate gate;
	struct name companion; /* path "": none */
};

enum object_use { OBJECT_READ, OBJECT_MAP_TO_READ, OBJECT_MAP_TO_WRITE };

/* Open what is there. 0, or -ENOENT, -EACCES, -EMEDIUMTYPE, -EPERM not sealed, -errno. */
int object_open(struct object *object, const struct name *name, enum object_use use);
void object_close(struct object *object);

/* 0, -ENODATA beyond the end, -errno. */
int object_read(const struct object *object, void *buffer, size_t size, uint64_t offset);
int object_write(const struct object *object, const void *data, size_t size, uint64_t offset);

/* The first @size bytes, to read or to write too, and not in a child: 0 or -errno. */
int object_map(const struct object *object, void **base, size_t size, int writes);
void object_unmap(const struct object *object, void *base, size_t size);

/* The user who owns it, or UINT32_MAX. */
uint32_t object_owner(const struct object *object);

/* Was it removed since it was opened? One system call. */
int object_gone(const struct object *object);

/*
 * Make an object of @size bytes that nobody sees. -EEXIST if the name is taken,
 * which may also come from object_publish() only.
 */
int object_create(struct object_new *made, const struct name *name, uint64_t size, uint32_t perms,
		  int exact);
/* How its members prove their life: FORMAT_LIFE_*, or -EOPNOTSUPP. */
int object_life_create(struct object_new *made, uint64_t epoch, uint32_t perms, int exact);
/* Let others see it. On success made->object is the caller's and nothing else is left. */
int object_publish(struct object_new *made, const struct name *name);
void object_abandon(struct object_new *made);

/*
 * The file with the bytes of life of a segment: a descriptor, which may be that
 * of @object, or -EOPNOTSUPP if its companion is gone. @path gets its path, "" if it has none.
 */
int object_life_open(const struct object *object, const struct name *name, uint32_t life,
		     uint64_t epoch, int writes, char path[PATH_MAX]);
void object_life_close(const struct object *object, int life);

/* Remove the name, if it is still that of @object: -ENOENT if not. */
int object_unlink(const struct object *object, const struct name *name);
void object_life_unlink(uint32_t life, uint64_t epoch);

/* The companions of System V segments in /dev/shm: identifier, or @err and a path. */
int object_life_list(int (*each)(int32_t id, const char *path, int err, void *argument),
		     void *argument);

#endif
