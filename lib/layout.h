/* SPDX-License-Identifier: MIT */
/*
 * The private copy of a segment's constant part: read once, checked, and the
 * only thing that offsets and sizes are ever taken from.
 */
#ifndef LIB_LAYOUT_H
#define LIB_LAYOUT_H

#include <shmring/schema.h>
#include <shmring/segment.h>

#include "format.h"
#include "object.h"

struct layout {
	struct shm_header header; /* as it is in the segment */
	struct shr_schema *schema[FORMAT_OBJECTS]; /* decoded; NULL: untyped */
	struct shr_schema *counters[FORMAT_COUNTERS]; /* by SHR_COUNTERS_*; NULL: none */
};

/*
 * Read and check the segment in @object. On success layout_free() it.
 * -ENODATA, -EMEDIUMTYPE, -EILSEQ, -EPROTONOSUPPORT, -EUCLEAN, -EBADMSG,
 * -EPROTO: see shr_segment_attach(). An obsolete one reads like any other.
 */
int layout_read(struct layout *layout, const struct object *object);

/* 0, or -ESTALE if the segment was obsolete when it was read. */
int layout_current(const struct layout *layout);

/* Only: is it one of ours, of whatever version? 0 or -EMEDIUMTYPE. */
int layout_magic(const struct object *object);

void layout_free(struct layout *layout);

/* The checksum of a header and its schemas, the crc field counted as zero. */
uint32_t layout_crc(const struct shm_header *header, const void *schemas, size_t size);

/* Index of the object @name, or -ENOENT. */
int layout_find(const struct layout *layout, const char *name);

/* schema.c: can it be the name of a member, a type or a value? */
int schema_is_name(const char *name);

/* schema.c: is name @number of a value of @field one, and not that of one before? 0 or -EINVAL. */
int schema_enum_name_check(const struct shr_field *field, uint32_t number);

/* schema.c: encode into @buffer (NULL: only count) the bytes of @schema. */
size_t schema_encode(const struct shr_schema *schema, void *buffer);

/*
 * schema.c: a checked copy on the heap, one block, of @size bytes at @data. @whole: every
 * byte of the record is described.
 */
int schema_decode(struct shr_schema **schema, const void *data, size_t size, int whole);

/* counters.c: what this library counts in a ring and so on, by SHR_COUNTERS_*. */
const struct shr_schema *counters_of(uint32_t kind);

/* schema.c: is a program's own schema well-formed? 0 or -EINVAL. */
int schema_check(const struct shr_schema *schema);

#endif
