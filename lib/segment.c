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
#include "map_file.h"
#include "member.h"

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
	if (own->reserved || own->flags & ~7u || own->perms & ~07777u)
		return shr_fail(EINVAL, "unknown flags or permissions in the options of a segment");
	if (own->members > FORMAT_MEMBERS)
		return shr_fail(EINVAL, "%u members are over %u", own->members, FORMAT_MEMBERS);
	if ((own->flags & SHR_SEGMENT_ATTACH) && (own->flags & SHR_SEGMENT_REPLACE))
		return shr_fail(EINVAL, "a segment is either attached or replaced");
	return 0;
}

static int check_object(const struct shr_object *objects, size_t i)
{
	const struct shr_object *object = &objects[i];

	if (!kind_known(object->kind))
		return shr_fail(EINVAL, "object %zu is of kind %u, which is unknown", i, object->kind);
	if (!object->name[0] || !memchr(object->name, '\0', sizeof(object->name)))
		return shr_fail(EINVAL, "object %zu needs a name of 1 to %d bytes", i, SHR_NAME_MAX);
	if (!object->size || object->size > (uint64_t)1 << 46)
		return shr_fail(EINVAL, "object %s has an impossible size", object->name);
	for (size_t j = 0; j < i; j++)
		if (!strcmp(objects[j].name, object->name))
			return shr_fail(EINVAL, "two objects are named %s", object->name);
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
	h->members = options->members ? options->members : DEFAULT_MEMBERS;
	h->objects = (uint32_t)count;
	h->member_offset = FORMAT_PAGE;
	h->schema_offset = h->member_offset + (uint64_t)h->members * sizeof(struct shm_member);
	for (size_t i = 0; i < count; i++)
		if (objects[i].schema)
			h->schema_size += schema_encode(objects[i].schema, NULL);
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
	h->crc = layout_crc(h, *schemas, h->schema_size);
	return 0;
}

static int write_all(int fd, const void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(fd, (const char *)data + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return shr_fail(n ? errno : EIO, "cannot write the segment: %s",
					strerror(n ? errno : EIO));
		done += (size_t)n;
	}
	return 0;
}

static int build(int fd, const struct shm_header *h, const char *schemas)
{
	char page[FORMAT_PAGE] __attribute__((aligned(FORMAT_LINE)));
	int err;

	err = map_reserve(fd, 0, h->total_size);
	if (!err)
		err = write_all(fd, h, sizeof(*h), 0);
	if (!err)
		err = write_all(fd, schemas, h->schema_size, h->schema_offset);
	for (uint32_t i = 0; i < h->objects && !err; i++) {
		memset(page, 0, sizeof(page));
		kind_init(page, &h->directory[i]);
		if (h->directory[i].size >= sizeof(page))
			err = write_all(fd, page, sizeof(page), h->directory[i].offset);
	}
	return err;
}

/* Attach to the file behind @door, which the segment takes over on success. */
static int attach_door(struct shr_segment **result, int door, const struct shr_path *path,
		       const char *role)
{
	struct shr_segment *segment = handle_alloc(sizeof(*segment));
	struct stat st;
	int err;

	if (!segment)
		return shr_fail(ENOMEM, "out of memory");
	err = layout_read(&segment->layout, door);
	if (err)
		goto free_handle;
	err = layout_current(&segment->layout);
	if (err)
		goto free_layout;
	if (segment->layout.header.total_size > SIZE_MAX / 2) {
		err = shr_fail(EOVERFLOW, "the segment is larger than this process can map");
		goto free_layout;
	}
	if (fstat(door, &st) < 0) {
		err = shr_fail(errno, "cannot stat the segment: %s", strerror(errno));
		goto free_layout;
	}
	segment->device = st.st_dev;
	segment->inode = st.st_ino;
	segment->door = door;
	segment->path = *path;
	err = member_attach(segment, role);
	if (err)
		goto free_layout;
	if (atomic_load_explicit(&segment_header(segment)->obsolete, memory_order_acquire)) {
		member_detach(segment);
		err = shr_fail(ESTALE, "obsolete: it was unlinked or replaced");
		goto free_layout;
	}
	segment->tag = SEGMENT_TAG;
	*result = segment;
	return 0;
free_layout:
	layout_free(&segment->layout);
free_handle:
	handle_free(segment, sizeof(*segment));
	return err;
}

static int attach_path(struct shr_segment **result, const struct shr_path *path, const char *role)
{
	struct stat st;
	int door, err;

	door = map_open_file(path->path, O_RDWR, &st);
	if (door < 0)
		return door;
	err = attach_door(result, door, path, role);
	if (err)
		close(door);
	return err;
}

/* Is @path still the file behind @fd? */
static int still_named(int fd, const char *path)
{
	struct stat own, named;

	return !fstat(fd, &own) && !lstat(path, &named) && own.st_dev == named.st_dev &&
	       own.st_ino == named.st_ino;
}

/* Wake who sleeps in the obsolete segment behind @fd, as far as it can be read. */
static void wake_all(int fd)
{
	struct layout *layout = calloc(1, sizeof(*layout));
	const struct shm_header *h;
	char *base;

	if (!layout)
		return;
	h = &layout->header;
	if (!layout_read(layout, fd) && h->total_size <= SIZE_MAX / 2) {
		base = mmap(NULL, (size_t)h->total_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (base != MAP_FAILED) {
			for (uint32_t i = 0; i < h->objects; i++)
				if (h->directory[i].size >= FORMAT_PAGE)
					kind_wake(base + h->directory[i].offset, &h->directory[i]);
			munmap(base, (size_t)h->total_size);
		}
	}
	layout_free(layout);
	free(layout);
}

static int unlink_path(const struct shr_path *path)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = FORMAT_NAME_BYTE, .l_len = 1};
	const uint32_t one = 1;
	struct stat st;
	int fd, err;

	fd = map_open_file(path->path, O_RDWR, &st);
	if (fd < 0)
		return fd;
	err = layout_magic(fd);
	if (err)
		goto close_fd;
	for (int i = 0; fcntl(fd, F_OFD_SETLK, &lock) < 0; i++) {
		if ((errno != EAGAIN && errno != EACCES) || i == TRIES) {
			err = errno == EAGAIN || errno == EACCES ? EBUSY : errno;
			err = shr_fail(err, "cannot lock the name of the segment: %s", strerror(err));
			goto close_fd;
		}
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	if (!still_named(fd, path->path)) {
		err = shr_fail(ENOENT, "%.200s was just removed", path->path);
		goto close_fd;
	}
	if (st.st_size >= (off_t)sizeof(struct shm_header))
		err = write_all(fd, &one, sizeof(one), offsetof(struct shm_header, obsolete));
	if (!err && unlink(path->path) < 0)
		err = shr_fail(errno, "cannot remove %.200s: %s", path->path, strerror(errno));
	if (!err)
		wake_all(fd);
close_fd:
	close(fd);
	return err;
}

int shr_segment_create(struct shr_segment **result, const char *name,
		       const struct shr_object *objects, size_t count,
		       const struct shr_segment_options *options)
{
	struct shr_segment_options own;
	struct map_unnamed file = {.fd = -1};
	struct shm_header header = {0};
	struct shr_path path;
	char *schemas = NULL;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = take_options(&own, options);
	if (!err)
		err = name_resolve(name, &path);
	if (!err && count > FORMAT_OBJECTS)
		err = shr_fail(E2BIG, "%zu objects are over %u", count, FORMAT_OBJECTS);
	for (size_t i = 0; i < count && !err; i++)
		err = check_object(objects, i);
	if (err)
		return err;
	for (int i = 0; i < TRIES; i++) {
		if (own.flags & SHR_SEGMENT_ATTACH) {
			err = attach_path(result, &path, own.role);
			if (err == -ESTALE)
				unlink_path(&path);
			else if (err != -ENOENT)
				break;
		}
		if (file.fd < 0) {
			err = map_unnamed_open(&file, &path, own.perms ? own.perms : 0600,
					       !!(own.flags & SHR_SEGMENT_EXACT_PERMS));
			if (!err)
				err = lay_out(&header, &schemas, objects, count, &own);
			if (!err)
				err = build(file.fd, &header, schemas);
			if (err)
				break;
		}
		err = map_unnamed_publish(&file, &path);
		if (!err) {
			err = attach_door(result, file.fd, &path, own.role);
			if (!err) {
				(*result)->created = 1;
				file.fd = -1; /* the door now */
			}
			break;
		}
		if (err != -EEXIST)
			break;
		shr_fail(EEXIST, "%.200s exists already", path.path);
		if (own.flags & SHR_SEGMENT_REPLACE) {
			err = unlink_path(&path);
			if (err && err != -ENOENT)
				break;
		} else if (!(own.flags & SHR_SEGMENT_ATTACH)) {
			break;
		}
	}
	map_unnamed_close(&file);
	free(schemas);
	return err;
}

int shr_segment_attach(struct shr_segment **result, const char *name,
		       const struct shr_segment_options *options)
{
	struct shr_segment_options own;
	struct shr_path path;
	int err;

	if (!result || *result)
		return shr_fail(result ? EBUSY : EINVAL, "the handle is in use, or none");
	err = take_options(&own, options);
	if (!err)
		err = name_resolve(name, &path);
	if (err)
		return err;
	err = attach_path(result, &path, own.role);
	if (err == -ESTALE && unlink_path(&path) == 0) /* whoever began this died */
		shr_fail(ESTALE, "obsolete: it was unlinked or replaced");
	return err;
}

int shr_segment_detach(struct shr_segment *segment)
{
	if (!segment)
		return 0;
	if (segment->tag == SEGMENT_TAG) {
		if (atomic_load(&segment->users))
			return shr_fail(EBUSY, "rings of the segment are still open: close them first");
		member_detach(segment);
		close(segment->door);
		layout_free(&segment->layout);
	}
	handle_free(segment, sizeof(*segment));
	return 0;
}

int shr_segment_unlink(const char *name)
{
	struct shr_path path;
	int err = name_resolve(name, &path);

	return err ? err : unlink_path(&path);
}

int shr_segment_created(const struct shr_segment *segment)
{
	return segment->created;
}

uint64_t shr_segment_epoch(const struct shr_segment *segment)
{
	return segment->layout.header.epoch;
}

int shr_segment_check(const struct shr_segment *segment)
{
	struct stat st;

	if (segment->tag != SEGMENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	/* A plain rm tells nobody. */
	if (atomic_load_explicit(&segment_header(segment)->obsolete, memory_order_acquire) ||
	    (!fstat(segment->door, &st) && !st.st_nlink))
		return shr_fail(ESTALE, "obsolete: it was unlinked or replaced");
	return 0;
}

int shr_segment_member(const struct shr_segment *segment)
{
	if (segment->tag != SEGMENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	return (int)segment->slot + 1;
}

int shr_segment_bytes(const struct shr_segment *segment, const char *name, void **address,
		      size_t *size)
{
	const struct shm_object *entry;
	int index;

	if (segment->tag != SEGMENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	index = layout_find(&segment->layout, name);
	if (index < 0)
		return index;
	entry = &segment->layout.header.directory[index];
	if (entry->kind != SHR_OBJECT_BYTES)
		return shr_fail(EPROTOTYPE, "object %s is not plain bytes", name);
	*address = segment->base + entry->offset;
	*size = (size_t)entry->size;
	return 0;
}
