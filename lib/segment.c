/* SPDX-License-Identifier: MIT */
/*
 * L1: create, attach, unlink.
 *
 * Publish. A segment is built in a file without a name and linked when it is
 * whole. An opener sees nothing or all of it: there is no ready flag.
 *
 * Unlink. Lock the name byte of the file; see that the name is still this file;
 * set obsolete; remove the name; wake. Attach looks at obsolete after winning
 * its slot, so nobody stays in a segment that has lost its name unknowing.
 *
 * Crash
 *	before link                nothing was there (a leftover ".shmring-*" where
 *	                           the filesystem has no O_TMPFILE)
 *	after obsolete, before     the name leads to an obsolete file: the next
 *	the name is gone           opener finishes the job
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <shmring/segment.h>

#include "attached.h"
#include "boot.h"
#include "error.h"
#include "fence.h"
#include "map_file.h"
#include "member.h"
#include "mutex.h"
#include "probe.h"

#define TRIES 1000
#define DEFAULT_MEMBERS 32

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

static int take_options(struct shr_segment_options *own, const struct shr_segment_options *options)
{
	int err;

	*own = (struct shr_segment_options){.struct_size = sizeof(*own)};
	if (!options)
		return 0;
	err = shr_options_check(options, options->struct_size, sizeof(*own));
	if (err)
		return err;
	memcpy(own, options, options->struct_size < sizeof(*own) ? options->struct_size : sizeof(*own));
	if (own->locks > SHR_LOCKS_PTHREAD || own->flags & ~31u || own->perms & ~07777u)
		return shr_fail(EINVAL, "unknown flags, permissions or locks in the options of a segment");
	if (own->members > FORMAT_MEMBERS)
		return shr_fail(EINVAL, "%u members are over %u", own->members, FORMAT_MEMBERS);
	if ((own->flags & SHR_SEGMENT_ATTACH) && (own->flags & SHR_SEGMENT_REPLACE))
		return shr_fail(EINVAL, "a segment is either attached or replaced");
	return 0;
}

static int check_object(const struct shr_object *objects, size_t i)
{
	const struct shr_object *object = &objects[i];
	struct shm_object entry = {0};

	if (!kind_known(object->kind))
		return shr_fail(EINVAL, "object %zu is of kind %u, which is unknown", i, object->kind);
	if (!object->name[0] || !memchr(object->name, '\0', sizeof(object->name)))
		return shr_fail(EINVAL, "object %zu needs a name of 1 to %d bytes", i, SHR_NAME_MAX);
	if (!object->size || object->size > (uint64_t)1 << 46)
		return shr_fail(EINVAL, "object %s has an impossible size", object->name);
	for (size_t j = 0; j < i; j++)
		if (!strcmp(objects[j].name, object->name))
			return shr_fail(EINVAL, "two objects are named %s", object->name);
	entry.kind = object->kind;
	entry.flags = object->flags;
	entry.size = object->size;
	memcpy(entry.name, object->name, sizeof(entry.name));
	memcpy(entry.param, object->param, sizeof(entry.param));
	if (kind_check(&entry))
		return shr_fail(EINVAL, "object %s was not described by its own call", object->name);
	return object->schema ? schema_check(object->schema) : 0;
}

static void fill_identity(struct shm_header *h)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	h->created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	h->creator_pid = (uint32_t)getpid();
	while (!h->epoch)
		if (getrandom(&h->epoch, sizeof(h->epoch), 0) < 0 && errno != EINTR)
			h->epoch = h->created_ns ^ ((uint64_t)getpid() << 40);
	boot_id(h->boot_id);
}

/* Lay out the objects after the member table and the schemas. */
static int lay_out(struct shm_header *h, char **schemas, const struct shr_object *objects,
		   size_t count, const struct shr_segment_options *options)
{
	uint64_t at;

	memcpy(h->magic, FORMAT_MAGIC, sizeof(h->magic));
	h->byte_order = FORMAT_BYTE_ORDER;
	h->major = FORMAT_MAJOR;
	h->minor = FORMAT_MINOR;
	h->header_size = sizeof(*h);
	h->fingerprint = FORMAT_FINGERPRINT;
	h->locks = options->locks == SHR_LOCKS_PTHREAD ? mutex_pthread_abi() : FORMAT_LOCKS_WORD;
	h->members = options->members ? options->members : DEFAULT_MEMBERS;
	h->objects = (uint32_t)count;
	h->member_offset = FORMAT_PAGE;
	h->schema_offset = h->member_offset + (uint64_t)h->members * sizeof(struct shm_member);
	for (size_t i = 0; i < count; i++)
		if (objects[i].schema)
			h->schema_size += schema_encode(objects[i].schema, NULL);
	for (uint32_t i = 0; i < FORMAT_COUNTERS; i++)
		h->schema_size += schema_encode(counters_of(i), NULL);
	if (h->schema_size > FORMAT_SCHEMA_BYTES)
		return shr_fail(E2BIG, "the schemas have %llu bytes, and %u are possible",
				(unsigned long long)h->schema_size, FORMAT_SCHEMA_BYTES);
	*schemas = calloc(1, h->schema_size + 1);
	if (!*schemas)
		return shr_fail(ENOMEM, "out of memory");
	h->schema_size = 0;
	for (size_t i = 0; i < count; i++) {
		if (!objects[i].schema)
			continue;
		h->directory[i].schema_offset = (uint32_t)h->schema_size;
		h->directory[i].schema_hash = shr_schema_hash(objects[i].schema);
		h->schema_size += schema_encode(objects[i].schema, *schemas + h->schema_size);
	}
	h->counters = (uint32_t)h->schema_size;
	h->counter_kinds = FORMAT_COUNTERS;
	for (uint32_t i = 0; i < FORMAT_COUNTERS; i++)
		h->schema_size += schema_encode(counters_of(i), *schemas + h->schema_size);
	at = round_up(h->schema_offset + h->schema_size, FORMAT_PAGE);
	for (size_t i = 0; i < count; i++) {
		struct shm_object *entry = &h->directory[i];

		entry->kind = objects[i].kind;
		entry->flags = objects[i].flags;
		memcpy(entry->name, objects[i].name, sizeof(entry->name));
		entry->offset = at;
		entry->size = objects[i].size;
		memcpy(entry->param, objects[i].param, sizeof(entry->param));
		at = round_up(at + entry->size, FORMAT_PAGE);
	}
	h->total_size = at;
	if (at > SIZE_MAX / 2)
		return shr_fail(E2BIG, "%llu bytes are more than this process can map",
				(unsigned long long)at);
	fill_identity(h);
	return 0;
}

static int build(const struct object *object, struct shm_header *h, const char *schemas)
{
	void *base;
	int err;

	h->crc = layout_crc(h, schemas, h->schema_size);
	err = object_write(object, h, sizeof(*h), 0);
	if (!err)
		err = object_write(object, schemas, h->schema_size, h->schema_offset);
	if (!err)
		err = object_map(object, &base, (size_t)h->total_size, 1);
	if (err)
		return err;
	for (uint32_t i = 0; i < h->objects && !err; i++)
		err = kind_init((char *)base + h->directory[i].offset, &h->directory[i], h->locks);
	object_unmap(object, base, (size_t)h->total_size);
	return err;
}

/* Attach to @object, which the segment takes over on success. */
static int attach_object(struct shr_segment **result, const struct object *object,
			 const struct name *name, const struct shr_segment_options *own)
{
	int observe = !!(own->flags & SHR_SEGMENT_OBSERVE);
	struct shr_segment *segment = handle_alloc(sizeof(*segment));
	const struct shm_header *h;
	struct stat st;
	int err;

	if (!segment)
		return shr_fail(ENOMEM, "out of memory");
	h = &segment->layout.header;
	segment->object = *object;
	err = layout_read(&segment->layout, object);
	if (err)
		goto free_handle;
	err = layout_current(&segment->layout);
	if (err)
		goto free_layout;
	if (h->total_size > SIZE_MAX / 2) {
		err = shr_fail(EOVERFLOW, "the segment is larger than this process can map");
		goto free_layout;
	}
	segment->door = err = object_life_open(object, name, h->life, h->epoch, !observe,
					       segment->door_path);
	if (err < 0)
		goto free_layout;
	if (fstat(segment->door, &st) < 0) {
		err = shr_fail(errno, "cannot stat the segment: %s", strerror(errno));
		goto close_door;
	}
	segment->device = st.st_dev;
	segment->inode = st.st_ino;
	err = observe ? member_observe(segment) : member_attach(segment, own->role);
	if (err)
		goto close_door;
	if (atomic_load_explicit(&segment_header(segment)->obsolete, memory_order_acquire)) {
		member_detach(segment);
		err = shr_fail(ESTALE, "obsolete: it was unlinked or replaced");
		goto close_door;
	}
	segment->membarrier = !(own->flags & SHR_SEGMENT_NO_MEMBARRIER);
	if (!observe && segment->membarrier)
		segment->registered = fence_register();
	segment->tag = SEGMENT_TAG;
	PROBE(attach, segment->door_path, segment->slot + 1, h->epoch);
	*result = segment;
	return 0;
close_door:
	object_life_close(object, segment->door);
free_layout:
	layout_free(&segment->layout);
free_handle:
	handle_free(segment, sizeof(*segment));
	return err;
}

static int attach_name(struct shr_segment **result, const struct name *name,
		       const struct shr_segment_options *own)
{
	struct object object;
	int err = object_open(&object, name,
			      own->flags & SHR_SEGMENT_OBSERVE ? OBJECT_MAP_TO_READ
							       : OBJECT_MAP_TO_WRITE);

	if (err)
		return err;
	err = attach_object(result, &object, name, own);
	if (err)
		object_close(&object);
	return err;
}

/* Wake who sleeps in the obsolete segment. */
static void wake_all(const struct object *object, const struct shm_header *h)
{
	void *base;

	if (h->total_size > SIZE_MAX / 2 || object_map(object, &base, (size_t)h->total_size, 1))
		return;
	for (uint32_t i = 0; i < h->objects; i++)
		kind_wake((char *)base + h->directory[i].offset, &h->directory[i]);
	object_unmap(object, base, (size_t)h->total_size);
}

/* With the lock of the name, and @layout NULL if that cannot be read. */
static int unlink_locked(const struct object *object, const struct name *name,
			 const struct layout *layout)
{
	const uint32_t one = 1;
	int err = 0;

	if (name_is_path(name) && !map_still_named(object->fd, name->path))
		return shr_fail(ENOENT, "%.200s was just removed", name->path);
	if (object->size >= sizeof(struct shm_header))
		err = object_write(object, &one, sizeof(one), offsetof(struct shm_header, obsolete));
	if (!err)
		err = object_unlink(object, name);
	if (!err && layout) {
		object_life_unlink(layout->header.life, layout->header.epoch);
		wake_all(object, &layout->header);
	}
	return err;
}

/* @stale: only an obsolete one, whose unlinker died; another may be there meanwhile, and stays. */
static int unlink_name(const struct name *name, int stale)
{
	struct layout *layout = NULL;
	char path[PATH_MAX];
	struct object object;
	int door = -1, err;

	if (name->backend == SHR_BACKEND_ANON)
		return shr_fail(EOPNOTSUPP, "anonymous memory has no name: unlink \"fd:N\" makes it "
					    "obsolete");
	err = object_open(&object, name, OBJECT_MAP_TO_WRITE);
	if (err)
		return err;
	err = layout_magic(&object);
	if (err)
		goto close_object;
	layout = calloc(1, sizeof(*layout));
	if (!layout) {
		err = shr_fail(ENOMEM, "out of memory");
		goto close_object;
	}
	if (layout_read(layout, &object)) { /* too old, too new, broken: only the name goes */
		free(layout);
		layout = NULL;
		if (stale)
			goto close_object;
	} else if (stale && !layout_current(layout)) {
		goto free_layout;
	} else {
		door = object_life_open(&object, name, layout->header.life, layout->header.epoch, 1, path);
	}
	if (door < 0)
		door = object.fd;
	err = door >= 0 ? map_lock_name(door) : 0;
	if (map_has_no_locks(err))
		err = 0;
	if (!err) {
		err = unlink_locked(&object, name, layout);
		/* The description may be shared: with a child, or with the owner of "fd:N". */
		map_lock_byte(door, F_OFD_SETLK, F_UNLCK, MAP_NAME_BYTE);
	}
	object_life_close(&object, door);
free_layout:
	if (layout)
		layout_free(layout);
	free(layout);
close_object:
	object_close(&object);
	return err;
}

/* A finished object that only needs its name. */
static int make(struct object_new *made, const struct name *name, struct shm_header *header,
		const char *schemas, const struct shr_segment_options *own)
{
	uint32_t perms = own->perms ? own->perms : 0600;
	int exact = !!(own->flags & SHR_SEGMENT_EXACT_PERMS), err;

	err = object_create(made, name, header->total_size, perms, exact);
	if (err)
		return err;
	err = object_life_create(made, header->epoch, perms, exact);
	if (err >= 0) {
		header->life = (uint32_t)err;
		err = build(&made->object, header, schemas);
	}
	if (err)
		object_abandon(made);
	return err;
}

/*
 * Publish what was made, and attach to it. If that fails, it goes again; whoever
 * has attached in between is told as by an unlink.
 */
static int publish(struct shr_segment **result, struct object_new *made, const struct name *name,
		   const struct shm_header *header, const struct shr_segment_options *own)
{
	int err = object_publish(made, name);

	if (err)
		return err;
	err = attach_object(result, &made->object, name, own);
	if (!err) {
		(*result)->created = 1;
		PROBE(create, (*result)->door_path, header->total_size, header->epoch);
		return 0;
	}
	unlink_locked(&made->object, name, NULL);
	object_life_unlink(header->life, header->epoch);
	object_close(&made->object);
	return err;
}

int shr_segment_create(struct shr_segment **result, const char *text,
		       const struct shr_object *objects, size_t count,
		       const struct shr_segment_options *options)
{
	struct shr_segment_options own;
	struct shm_header header = {0};
	struct object_new made;
	struct name name;
	char *schemas = NULL;
	int is_made = 0, err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = take_options(&own, options);
	if (!err && own.flags & SHR_SEGMENT_OBSERVE)
		err = shr_fail(EINVAL, "an observer attaches, and creates nothing");
	if (!err)
		err = name_resolve(text, &name);
	if (!err && count > FORMAT_OBJECTS)
		err = shr_fail(E2BIG, "%zu objects are over %u", count, FORMAT_OBJECTS);
	for (size_t i = 0; i < count && !err; i++)
		err = check_object(objects, i);
	for (int i = 0; i < TRIES && !err; i++) {
		if (own.flags & SHR_SEGMENT_ATTACH) {
			err = attach_name(result, &name, &own);
			if (err == -ESTALE)
				err = unlink_name(&name, 1);
			else if (!err)
				break;
			if (err && err != -ENOENT)
				break;
			err = 0;
		}
		if (!schemas)
			err = lay_out(&header, &schemas, objects, count, &own);
		if (!err && !is_made) {
			err = make(&made, &name, &header, schemas, &own);
			is_made = !err;
		}
		if (is_made) {
			err = publish(result, &made, &name, &header, &own);
			if (err != -EEXIST) {
				is_made = err && made.object.fd >= 0 && made.file.fd >= 0;
				break;
			}
		}
		if (err != -EEXIST)
			break;
		shr_fail(EEXIST, "%.200s exists already", text);
		if (own.flags & SHR_SEGMENT_REPLACE) {
			err = unlink_name(&name, 0);
			if (err == -ENOENT)
				err = 0;
		} else if (own.flags & SHR_SEGMENT_ATTACH) {
			err = 0;
		}
		if (i == TRIES - 1 && !err)
			err = -EEXIST;
	}
	if (is_made)
		object_abandon(&made);
	free(schemas);
	return err;
}

int shr_segment_attach(struct shr_segment **result, const char *text,
		       const struct shr_segment_options *options)
{
	struct shr_segment_options own;
	struct name name;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = take_options(&own, options);
	if (!err)
		err = name_resolve(text, &name);
	if (err)
		return err;
	err = attach_name(result, &name, &own);
	if (err == -ESTALE && !(own.flags & SHR_SEGMENT_OBSERVE) && unlink_name(&name, 1) == 0) /* whoever began this died */
		shr_fail(ESTALE, "obsolete: it was unlinked or replaced");
	return err;
}

int shr_segment_fd(const struct shr_segment *segment)
{
	if (segment->tag != SEGMENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	return segment->object.fd >= 0
		       ? segment->object.fd
		       : shr_fail(EOPNOTSUPP, "a System V segment has no descriptor");
}

int shr_segment_detach(struct shr_segment *segment)
{
	if (!segment)
		return 0;
	if (segment->tag == SEGMENT_TAG) {
		if (atomic_load(&segment->users))
			return shr_fail(EBUSY, "objects of the segment are still open: close them first");
		member_detach(segment);
		object_life_close(&segment->object, segment->door);
		object_close(&segment->object);
		layout_free(&segment->layout);
	}
	handle_free(segment, sizeof(*segment));
	return 0;
}

int shr_segment_unlink(const char *name)
{
	struct name resolved;
	int err = name_resolve(name, &resolved);

	return err ? err : unlink_name(&resolved, 0);
}

int shr_segment_created(const struct shr_segment *segment)
{
	return segment->created;
}

uint64_t shr_segment_epoch(const struct shr_segment *segment)
{
	return segment->layout.header.epoch;
}

int segment_stale(const struct shr_segment *segment, int thorough)
{
	/* A plain rm tells nobody. */
	if (atomic_load_explicit(&segment_header(segment)->obsolete, memory_order_acquire) ||
	    (thorough && object_gone(&segment->object)))
		return shr_fail(ESTALE, "the segment is obsolete: it was unlinked or replaced");
	return 0;
}

int shr_segment_check(const struct shr_segment *segment)
{
	return segment->tag == SEGMENT_TAG ? segment_stale(segment, 1)
					   : shr_fail(ECHILD, HANDLE_CHILD);
}

int shr_segment_member(const struct shr_segment *segment)
{
	if (segment->tag != SEGMENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (segment->slot == SLOT_NONE)
		return shr_fail(EROFS, "an observer is no member");
	return (int)segment->slot + 1;
}

int segment_find(const struct shr_segment *segment, const char *name, uint32_t kind,
		 const char *what)
{
	const struct shm_object *entry;
	int index, err;

	if (!segment || segment->tag != SEGMENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	index = layout_find(&segment->layout, name);
	if (index < 0)
		return index;
	entry = &segment->layout.header.directory[index];
	if (entry->kind != kind)
		return shr_fail(EPROTOTYPE, "object %.47s is not %s", name, what);
	err = kind_check(entry);
	return err ? err : index;
}

int segment_open_one(struct shr_segment **segment, const char *name, const char *mode,
		     const struct shr_object *object, const struct shr_segment_options *options)
{
	struct shr_segment_options own;
	int err;

	if (!mode || (strcmp(mode, "+<") && strcmp(mode, "+>")))
		return shr_fail(EINVAL, "mode %.8s: \"+<\" attaches, \"+>\" also creates",
				mode ? mode : "NULL");
	if (mode[1] == '<')
		return shr_segment_attach(segment, name, options);
	err = take_options(&own, options);
	if (err)
		return err;
	if (!(own.flags & SHR_SEGMENT_REPLACE))
		own.flags |= SHR_SEGMENT_ATTACH;
	return shr_segment_create(segment, name, object, 1, &own);
}

int segment_let_go(struct shr_segment *segment, int detach)
{
	int err = 0;

	atomic_fetch_sub(&segment->users, 1);
	if (detach)
		err = shr_segment_detach(segment);
	if (err)
		atomic_fetch_add(&segment->users, 1);
	return err;
}

int shr_segment_bytes(const struct shr_segment *segment, const char *name, void **address,
		      size_t *size)
{
	int index = segment_find(segment, name, SHR_OBJECT_BYTES, "plain bytes");
	const struct shm_object *entry;

	if (index < 0)
		return index;
	entry = &segment->layout.header.directory[index];
	*address = segment->base + entry->offset;
	*size = (size_t)entry->size;
	return 0;
}
