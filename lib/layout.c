/* SPDX-License-Identifier: MIT */
/*
 * L1: validation of a segment's constant part.
 *
 * Files are read with pread(2), so that one that is truncated meanwhile is a
 * short read and not a SIGBUS. The order of the checks is part of the
 * contract (segment.h): each has its own errno and sentence.
 */
#include "layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "error.h"

uint32_t layout_crc(const struct shm_header *header, const void *schemas, size_t size)
{
	static const uint32_t zero;
	const uint8_t *byte = (const uint8_t *)header;
	uint32_t crc;

	crc = crc32c(0, byte, offsetof(struct shm_header, crc));
	crc = crc32c(crc, &zero, sizeof(zero));
	crc = crc32c(crc, byte + offsetof(struct shm_header, header_size),
		     offsetof(struct shm_header, obsolete) - offsetof(struct shm_header, header_size));
	crc = crc32c(crc, header->directory, sizeof(header->directory));
	return crc32c(crc, schemas, size);
}

int layout_magic(const struct object *object)
{
	uint8_t magic[8];

	if (object->size < sizeof(magic) || object_read(object, magic, sizeof(magic), 0) ||
	    memcmp(magic, FORMAT_MAGIC, sizeof(magic)))
		return shr_fail(EMEDIUMTYPE, "not a shmring segment");
	return 0;
}

/* Is [offset, offset + size) in a segment of @total bytes, aligned to @align? */
static int within(uint64_t offset, uint64_t size, uint64_t total, uint64_t align)
{
	return offset >= FORMAT_PAGE && offset % align == 0 && size <= total &&
	       offset <= total - size;
}

static int check_object(const struct shm_header *h, uint32_t i)
{
	const struct shm_object *object = &h->directory[i];

	if (!memchr(object->name, '\0', sizeof(object->name)) || !object->name[0])
		return shr_fail(EBADMSG, "object %u has no valid name", i);
	if (!object->size || !within(object->offset, object->size, h->total_size, FORMAT_PAGE) ||
	    object->offset < h->schema_offset + h->schema_size)
		return shr_fail(EBADMSG, "object %.47s lies outside the segment", object->name);
	if (object->schema_hash &&
	    (object->schema_offset % 8 || object->schema_offset >= h->schema_size))
		return shr_fail(EBADMSG, "the schema of object %.47s lies outside the segment",
				object->name);
	for (uint32_t j = 0; j < i; j++) {
		const struct shm_object *other = &h->directory[j];

		if (object->offset < other->offset + other->size &&
		    other->offset < object->offset + object->size)
			return shr_fail(EBADMSG, "objects %.47s and %.47s overlap", other->name,
					object->name);
		if (!strcmp(object->name, other->name))
			return shr_fail(EBADMSG, "two objects are named %.47s", object->name);
	}
	return 0;
}

static int check_bounds(const struct shm_header *h)
{
	uint64_t members_end;

	if (h->header_size != sizeof(*h) || FORMAT_LOCKS_BACKEND(h->locks) > FORMAT_LOCKS_PTHREAD || h->epoch == 0 ||
	    h->life > FORMAT_LIFE_COMPANION || h->reserved_life || h->counter_kinds > FORMAT_COUNTERS)
		return shr_fail(EBADMSG, "the header has an impossible value");
	if (!h->members || h->members > FORMAT_MEMBERS)
		return shr_fail(EBADMSG, "%u member slots are not possible", h->members);
	if (h->objects > FORMAT_OBJECTS)
		return shr_fail(EBADMSG, "%u objects are not possible", h->objects);
	members_end = h->member_offset + (uint64_t)h->members * sizeof(struct shm_member);
	if (!within(h->member_offset, members_end - h->member_offset, h->total_size, FORMAT_LINE))
		return shr_fail(EBADMSG, "the member table lies outside the segment");
	if (h->schema_size > FORMAT_SCHEMA_BYTES || h->schema_offset < members_end ||
	    !within(h->schema_offset, h->schema_size, h->total_size, 8))
		return shr_fail(EBADMSG, "the schemas lie outside the segment");
	for (uint32_t i = 0; i < h->objects; i++) {
		int err = check_object(h, i);

		if (err)
			return err;
	}
	return 0;
}

/* What can be said of the header before anything in it is trusted. */
static int check_identity(const struct shm_header *h)
{
	if (memcmp(h->magic, FORMAT_MAGIC, sizeof(h->magic)))
		return shr_fail(EMEDIUMTYPE, "not a shmring segment");
	if (h->byte_order == __builtin_bswap32(FORMAT_BYTE_ORDER))
		return shr_fail(EILSEQ, "made on a machine of the other byte order");
	if (h->byte_order != FORMAT_BYTE_ORDER)
		return shr_fail(EBADMSG, "the byte order mark is damaged");
	if (h->major != FORMAT_MAJOR)
		return shr_fail(EPROTONOSUPPORT, "made by format %u.%u, this library reads %u.x",
				h->major, h->minor, FORMAT_MAJOR);
	return 0;
}

static int decode_schemas(struct layout *layout, const char *schemas)
{
	const struct shm_header *h = &layout->header;

	for (uint32_t i = 0; i < h->objects; i++) {
		const struct shm_object *object = &h->directory[i];
		int err;

		if (!object->schema_hash)
			continue;
		err = schema_decode(&layout->schema[i], schemas + object->schema_offset,
				    h->schema_size - object->schema_offset, 1);
		if (err)
			return err;
		if (shr_schema_hash(layout->schema[i]) != object->schema_hash)
			return shr_fail(EBADMSG, "the schema of object %.47s is not the one it names",
					object->name);
	}
	return 0;
}

static int decode_counters(struct layout *layout, const char *schemas)
{
	const struct shm_header *h = &layout->header;
	uint64_t at = h->counters;

	for (uint32_t i = 0; i < h->counter_kinds; i++) {
		const struct shm_schema *in = (const void *)(schemas + at);
		int err;

		if (at % 8 || at + sizeof(*in) > h->schema_size)
			return shr_fail(EBADMSG, "the description of the counters lies outside the segment");
		err = schema_decode(&layout->counters[i], in, h->schema_size - at, 0);
		if (err)
			return err;
		at += in->size;
	}
	return 0;
}

int layout_read(struct layout *layout, const struct object *object)
{
	struct shm_header *h = &layout->header;
	char *schemas = NULL;
	uint64_t have = object->size;
	int err;

	memset(layout, 0, sizeof(*layout));
	if (have < sizeof(*h)) {
		if (have >= 8 && layout_magic(object))
			return -EMEDIUMTYPE;
		return shr_fail(ENODATA, "truncated: %llu bytes are too short for a segment",
				(unsigned long long)have);
	}
	err = object_read(object, h, sizeof(*h), 0);
	if (!err)
		err = check_identity(h);
	if (err)
		return err;
	if (h->total_size > have && h->schema_offset > have)
		return shr_fail(ENODATA, "truncated: %llu bytes of %llu", (unsigned long long)have,
				(unsigned long long)h->total_size);
	if (h->schema_size > FORMAT_SCHEMA_BYTES || h->schema_offset > have)
		return shr_fail(EBADMSG, "the schemas lie outside the segment");
	schemas = calloc(1, h->schema_size + 8);
	if (!schemas)
		return shr_fail(ENOMEM, "out of memory");
	err = object_read(object, schemas, h->schema_size, h->schema_offset);
	if (err)
		goto free_schemas;
	err = -EUCLEAN;
	if (layout_crc(h, schemas, h->schema_size) != h->crc) {
		shr_fail(EUCLEAN, "the checksum of the header is wrong: it is damaged");
		goto free_schemas;
	}
	if (h->total_size > have) {
		err = shr_fail(ENODATA, "truncated: %llu bytes of %llu", (unsigned long long)have,
			       (unsigned long long)h->total_size);
		goto free_schemas;
	}
	err = check_bounds(h);
	if (!err && h->fingerprint != FORMAT_FINGERPRINT)
		err = shr_fail(EPROTO, "same format, but laid out otherwise: made by a library that "
				       "was changed");
	if (!err)
		err = decode_schemas(layout, schemas);
	if (!err)
		err = decode_counters(layout, schemas);
free_schemas:
	free(schemas);
	if (err)
		layout_free(layout);
	return err;
}

int layout_current(const struct layout *layout)
{
	return atomic_load_explicit(&layout->header.obsolete, memory_order_relaxed)
		       ? shr_fail(ESTALE, "obsolete: it was unlinked or replaced")
		       : 0;
}

void layout_free(struct layout *layout)
{
	for (uint32_t i = 0; i < FORMAT_OBJECTS; i++) {
		free(layout->schema[i]);
		layout->schema[i] = NULL;
	}
	for (uint32_t i = 0; i < FORMAT_COUNTERS; i++) {
		free(layout->counters[i]);
		layout->counters[i] = NULL;
	}
}

int layout_find(const struct layout *layout, const char *name)
{
	for (uint32_t i = 0; i < layout->header.objects; i++)
		if (!strcmp(layout->header.directory[i].name, name))
			return (int)i;
	return shr_fail(ENOENT, "the segment has no object named %.47s", name);
}
