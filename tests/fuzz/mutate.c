/* SPDX-License-Identifier: MIT */
/*
 * A seed, changed in a few places: most often in a field that the library reads, often to
 * a value at some limit. In half of the images the checksum and the hashes of schemas
 * are made good again, as whoever damages one with intent would do it.
 */
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

#include <shmring/shmring.h>

#include "format.h"
#include "layout.h"
#include "table.h"

#include "../reseal.h"

#define CHANGES_MAX 8
#define LONGER_MAX  65536 /* bytes behind the end */

uint64_t dice_roll(struct dice *dice)
{
	uint64_t x = dice->state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t dice_below(struct dice *dice, uint64_t sides)
{
	return sides ? dice_roll(dice) % sides : 0;
}

struct field {
	uint16_t at, size;
};

#define OF(type, field)                                                                            \
	{                                                                                          \
		(uint16_t) offsetof(struct type, field),                                           \
			(uint16_t)sizeof(((struct type *)0)->field)                                \
	}
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct field of_header[] = {
	OF(shm_header, magic),         OF(shm_header, byte_order),    OF(shm_header, major),
	OF(shm_header, minor),         OF(shm_header, crc),           OF(shm_header, header_size),
	OF(shm_header, fingerprint),   OF(shm_header, total_size),    OF(shm_header, epoch),
	OF(shm_header, created_ns),    OF(shm_header, boot_id),       OF(shm_header, creator_pid),
	OF(shm_header, locks),         OF(shm_header, members),       OF(shm_header, objects),
	OF(shm_header, member_offset), OF(shm_header, schema_offset), OF(shm_header, schema_size),
	OF(shm_header, life),          OF(shm_header, reserved_life), OF(shm_header, counters),
	OF(shm_header, counter_kinds), OF(shm_header, obsolete),
};
static const struct field of_object[] = {
	OF(shm_object, kind),          OF(shm_object, flags),    OF(shm_object, name),
	OF(shm_object, offset),        OF(shm_object, size),     OF(shm_object, schema_hash),
	OF(shm_object, schema_offset), OF(shm_object, reserved), OF(shm_object, param[0]),
	OF(shm_object, param[1]),      OF(shm_object, param[2]), OF(shm_object, param[3]),
	OF(shm_object, param[4]),
};
static const struct field of_member[] = {
	OF(shm_member, state),
	OF(shm_member, pid),
	OF(shm_member, start_time),
	OF(shm_member, pid_namespace),
	OF(shm_member, attached_ns),
	OF(shm_member, comm),
	OF(shm_member, role),
	OF(shm_member, attaches),
	OF(shm_member, detaches),
	OF(shm_member, death.deaths),
	OF(shm_member, death.comm),
	OF(shm_member, death.role),
	OF(shm_member, death.by),
	OF(shm_member, death.pid),
	OF(shm_member, death.noticed_ns),
};
static const struct field of_schema[] = {
	OF(shm_schema, size),   OF(shm_schema, record_size), OF(shm_schema, version),
	OF(shm_schema, fields), OF(shm_schema, strings),     OF(shm_schema, name),
	OF(shm_schema, hash),	OF(shm_schema, enum_names),
};
static const struct field of_field[] = {
	OF(shm_field, name), OF(shm_field, offset), OF(shm_field, count),
	OF(shm_field, kind), OF(shm_field, unit),   OF(shm_field, help),
	OF(shm_field, enum_name), OF(shm_field, enum_names), OF(shm_field, since),
};
static const struct field of_mutex[] = {
	OF(shm_mutex, word),   OF(shm_mutex, thread),     OF(shm_mutex, event),
	OF(shm_mutex, waited), OF(shm_mutex, waiting_ns), OF(shm_mutex, last_dead),
};
static const struct field of_ring[] = {
	OF(shm_ring, lock),
	OF(shm_ring, tail),
	OF(shm_ring, sequence),
	OF(shm_ring, dropped),
	OF(shm_ring, journal_sequence),
	OF(shm_ring, reclaim),
	OF(shm_ring, clean),
	OF(shm_ring, producer),
	OF(shm_ring, data),
	OF(shm_ring, take_lock),
	OF(shm_ring, rewind),
	OF(shm_ring, take),
	OF(shm_ring, acked),
	OF(shm_ring, redelivered),
	OF(shm_ring, full),
};
static const struct field of_cursor[] = {
	OF(shm_cursor, role),     OF(shm_cursor, position), OF(shm_cursor, delivered),
	OF(shm_cursor, skipped),  OF(shm_cursor, lost),     OF(shm_cursor, lost_bytes),
	OF(shm_cursor, sequence), OF(shm_cursor, mode),     OF(shm_cursor, name),
};
static const struct field of_table[] = {
	OF(shm_table, lock.word), OF(shm_table, event),  OF(shm_table, version),
	OF(shm_table, used),      OF(shm_table, graves), OF(shm_table, hint),
};
static const struct field of_slot[] = {
	OF(shm_slot, lock.word), OF(shm_slot, sequence), OF(shm_slot, generation),
	OF(shm_slot, hash),      OF(shm_slot, key),
};

/* An image in work. What its seed says of itself is right, and tells where things are. */
struct work {
	unsigned char *image;
	size_t size;
	const struct shm_header *is; /* of the seed */
	struct dice *dice;
};

static uint64_t below(struct work *work, uint64_t sides)
{
	return dice_below(work->dice, sides);
}

static void put(struct work *work, uint64_t at, const void *data, size_t size)
{
	if (at < work->size && size <= work->size - at)
		memcpy(work->image + at, data, size);
}

/* A number at some limit, beside one, or any. */
static uint64_t number(struct work *work)
{
	static const uint64_t limits[] = {
		0,
		1,
		7,
		8,
		64,
		127,
		128,
		255,
		256,
		1022,
		1023,
		1024,
		4095,
		4096,
		4097,
		8192,
		32767,
		32768,
		65535,
		65536,
		1u << 20,
		1u << 24,
		1u << 30,
		INT32_MAX,
		1u << 31,
		UINT32_MAX,
		(uint64_t)1 << 32,
		(uint64_t)1 << 40,
		INT64_MAX,
		(uint64_t)1 << 63,
		UINT64_MAX,
	};
	uint64_t limit = limits[below(work, COUNT(limits))];

	switch (below(work, 4)) {
	case 0:
		return dice_roll(work->dice);
	case 1:
		return limit + below(work, 17) - 8;
	case 2:
		return work->size - below(work, 3) * 4096 + below(work, 3) * 8;
	default:
		return limit;
	}
}

/* Of 4 or 8 bytes it is often the old one that is a little changed. */
static void change_bytes(struct work *work, uint64_t at, size_t size)
{
	uint64_t old = 0, new = number(work);
	unsigned char bytes[64];

	if (at >= work->size || size > work->size - at)
		return;
	if (size > sizeof(new)) { /* a name */
		size = size < sizeof(bytes) ? size : sizeof(bytes);
		memset(bytes, (int)below(work, 256), sizeof(bytes));
		put(work, at + below(work, size), bytes, 1 + below(work, 2) * (size / 4));
		return;
	}
	memcpy(&old, work->image + at, size);
	switch (below(work, 4)) {
	case 0:
		new = old ^ (uint64_t)1 << below(work, 8 * size);
		break;
	case 1:
		new = old + (1 + below(work, 16)) * (below(work, 2) ? 8 : 1) *
				    (below(work, 2) ? 1 : -(uint64_t)1);
		break;
	}
	memcpy(work->image + at, &new, size);
}

static void change_field(struct work *work, uint64_t base, const struct field *fields, size_t count)
{
	const struct field *field = &fields[below(work, count)];

	change_bytes(work, base + field->at, field->size);
}

#define CHANGE(work, base, fields) change_field(work, base, fields, COUNT(fields))

/* The word that a record starts with. */
static void change_word(struct work *work, const struct shm_object *ring)
{
	const uint64_t data = ring->offset + FORMAT_RING_DATA;
	uint64_t at = below(work, 2) ? 0 : 8 * below(work, (ring->size - FORMAT_RING_DATA) / 8);
	uint64_t word;

	/* Often that of a record which is there: the next one from a few on. */
	for (uint64_t i = below(work, 6); i > 0; i--) {
		memcpy(&word, work->image + data + at, sizeof(word));
		if (!word || WORD_LENGTH(word) > 4096)
			break;
		at += RECORD_TOTAL(8, WORD_LENGTH(word));
		at %= ring->size - FORMAT_RING_DATA;
	}
	memcpy(&word, work->image + data + at, sizeof(word));
	switch (below(work, 3)) {
	case 0:
		word = WORD_MAKE(below(work, 9), below(work, 6), below(work, 4),
				 below(work, 2) ? WORD_LENGTH(word) : number(work) & UINT32_MAX);
		put(work, data + at, &word, sizeof(word));
		break;
	case 1:
		change_bytes(work, data + at, sizeof(word));
		break;
	default: /* the number, token or time behind it, or the payload */
		change_bytes(work, data + at + 8 * (1 + below(work, 8)), sizeof(word));
	}
}

static void change_table(struct work *work, const struct shm_object *object)
{
	struct table_geometry is;
	uint64_t slot;

	if (table_geometry(&is, object))
		return;
	slot = object->offset + is.slots_at + below(work, is.slots) * is.slot_size;
	switch (below(work, 4)) {
	case 0:
		CHANGE(work, object->offset, of_table);
		break;
	case 1:
		change_bytes(work,
			     object->offset + FORMAT_TABLE_INDEX + 8 * below(work, is.index_size),
			     8);
		break;
	case 2:
		CHANGE(work, slot, of_slot);
		break;
	default:
		change_bytes(work, slot + below(work, is.slot_size / 8) * 8, 8);
	}
}

static void change_object(struct work *work, const struct shm_object *object)
{
	switch (object->kind) {
	case SHR_OBJECT_RING:
		switch (below(work, 3)) {
		case 0:
			CHANGE(work, object->offset, of_ring);
			break;
		case 1:
			CHANGE(work,
			       object->offset + offsetof(struct shm_ring, cursor) +
				       below(work, below(work, 4) ? 3 : FORMAT_CURSORS) *
					       sizeof(struct shm_cursor),
			       of_cursor);
			break;
		default:
			change_word(work, object);
		}
		break;
	case SHR_OBJECT_TABLE:
		change_table(work, object);
		break;
	case SHR_OBJECT_MUTEX:
		CHANGE(work,
		       object->offset + below(work, object->param[0]) * sizeof(struct shm_mutex),
		       of_mutex);
		break;
	default:
		change_bytes(work, object->offset + below(work, object->size / 8) * 8, 8);
	}
}

/* One of the schemas, or of its fields, or a byte of its strings. */
static void change_schema(struct work *work)
{
	uint64_t at = below(work, 2) ? work->is->counters : 0;
	struct shm_schema schema;

	if (work->size < work->is->schema_offset + work->is->schema_size)
		return;
	for (uint64_t i = below(work, 5);; i--) {
		if (at + sizeof(schema) > work->is->schema_size)
			return;
		memcpy(&schema, work->image + work->is->schema_offset + at, sizeof(schema));
		if (!i || !schema.size || schema.size > work->is->schema_size)
			break;
		at += schema.size;
	}
	at += work->is->schema_offset;
	switch (below(work, 3)) {
	case 0:
		CHANGE(work, at, of_schema);
		break;
	case 1:
		CHANGE(work,
		       at + sizeof(schema) +
			       below(work, (uint64_t)(schema.fields & 63) + 1) *
				       sizeof(struct shm_field),
		       of_field);
		break;
	default:
		change_bytes(work, work->is->schema_offset + below(work, work->is->schema_size), 1);
	}
}

/* A part of some seed, or of itself, in another place. */
static void splice(struct work *work, const struct seed *from)
{
	uint64_t grain = below(work, 2) ? 4096 : 8, size = grain * (1 + below(work, 16));
	uint64_t source = grain * below(work, from->size / grain), at = source;

	if (below(work, 2))
		at = grain * below(work, work->size / grain + 1);
	if (size > from->size - source)
		size = from->size - source;
	if (at > work->size || size > work->size - at)
		return;
	memcpy(work->image + at, from->image + source, size);
}

static void swap(struct work *work)
{
	unsigned char a[64], b[64];
	size_t size = below(work, 2) ? 8 : 64;
	uint64_t one = 8 * below(work, work->size / 8), other = 8 * below(work, work->size / 8);

	if (one + size > work->size || other + size > work->size)
		return;
	memcpy(a, work->image + one, size);
	memcpy(b, work->image + other, size);
	memcpy(work->image + one, b, size);
	memcpy(work->image + other, a, size);
}

/* Shorter, or longer. The size that the header names is often the new one. */
static void resize(struct work *work)
{
	uint64_t size = below(work, work->size + LONGER_MAX);

	if (below(work, 2))
		size &= ~(uint64_t)4095;
	if (size > work->size)
		memset(work->image + work->size, below(work, 4) ? 0 : 0xff, size - work->size);
	work->size = size;
	if (below(work, 2))
		put(work, offsetof(struct shm_header, total_size), &size, sizeof(size));
}

static void change(struct work *work, const struct seed *seeds, size_t count)
{
	const uint32_t objects = work->is->objects;
	const uint64_t object = below(work, objects);

	if (work->size < 8)
		return;
	switch (below(work, 12)) {
	case 0:
		CHANGE(work, 0, of_header);
		break;
	case 1:
	case 2:
		CHANGE(work,
		       offsetof(struct shm_header, directory) + object * sizeof(struct shm_object),
		       of_object);
		break;
	case 3:
		CHANGE(work,
		       work->is->member_offset +
			       below(work, work->is->members) * sizeof(struct shm_member),
		       of_member);
		break;
	case 4:
		change_schema(work);
		break;
	case 5:
		change_bytes(work, below(work, work->size), 1 + below(work, 8));
		break;
	case 6:
		if (!below(work, 3))
			splice(work, &seeds[below(work, count)]);
		else
			swap(work);
		break;
	case 7:
		if (!below(work, 3))
			resize(work);
		break;
	default:
		if (work->size >=
		    work->is->directory[object].offset + work->is->directory[object].size)
			change_object(work, &work->is->directory[object]);
	}
}

/* The hash of each schema that can be read, where objects name it. */
static void mend_hashes(struct work *work)
{
	struct shm_header header;

	if (work->size < sizeof(header))
		return;
	memcpy(&header, work->image, sizeof(header));
	if (header.schema_offset % 8 || header.schema_offset > work->size ||
	    header.schema_size > work->size - header.schema_offset)
		return;
	for (uint32_t i = 0; i < header.objects && i < FORMAT_OBJECTS; i++) {
		const struct shm_object *object = &header.directory[i];
		struct shr_schema *schema = NULL;
		uint64_t hash;

		if (!object->schema_hash || object->schema_offset % 8 ||
		    object->schema_offset > header.schema_size ||
		    schema_decode(&schema,
				  work->image + header.schema_offset + object->schema_offset,
				  header.schema_size - object->schema_offset, 1))
			continue;
		hash = shr_schema_hash(schema);
		free(schema);
		put(work,
		    offsetof(struct shm_header, directory) + i * sizeof(*object) +
			    offsetof(struct shm_object, schema_hash),
		    &hash, sizeof(hash));
	}
}

size_t mutate(unsigned char *image, const struct seed *seeds, size_t count, struct dice *dice)
{
	/* The big ones are the interesting ones, too. */
	const struct seed *seed = &seeds[below(&(struct work){.dice = dice}, 4)
						 ? dice_below(dice, count < 3 ? count : 3)
						 : dice_below(dice, count)];
	struct work work = {.image = image,
			    .size = seed->size,
			    .is = (const struct shm_header *)seed->image,
			    .dice = dice};
	uint64_t changes = 1 + dice_below(dice, dice_below(dice, 2) ? 2 : CHANGES_MAX);

	memcpy(image, seed->image, seed->size);
	while (changes-- > 0)
		change(&work, seeds, count);
	if (dice_below(dice, 2)) {
		mend_hashes(&work);
		if (work.size >= sizeof(struct shm_header))
			reseal_image(image, work.size);
	}
	return work.size;
}
