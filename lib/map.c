/* SPDX-License-Identifier: MIT */
/*
 * L0: open or create, reserve, map.
 *
 * Create or open: a bare O_CREAT on an existing name is EACCES under
 * fs.protected_regular even for root. So: open plainly; if there is none,
 * build an unnamed file and link it; if the name is taken by then, again.
 *
 * A new object is mapped, bound to its nodes, reserved and initialised, all
 * before it has its name: whatever fails, there is nothing to take back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <shmring/map.h>

#include "error.h"
#include "map_file.h"
#include "map_handle.h"
#include "map_sysv.h"

#define CREATE_TRIES 1000
#define SIZE_LIMIT (SIZE_MAX / 2)

static int parse_mode(const char *mode, struct request *request)
{
	*request = (struct request){0};
	if (!mode || !strcmp(mode, "<")) {
		request->flags = O_RDONLY;
		return 0;
	}
	request->flags = O_RDWR;
	request->writes = 1;
	if (!strcmp(mode, ">") || !strcmp(mode, "+>"))
		request->creates = 1;
	else if (strcmp(mode, "+<"))
		return shr_fail(EINVAL, "unknown mode \"%.20s\": it is one of < +< > +>", mode);
	return 0;
}

static int check_options(const struct shr_map_options *own, const struct request *request)
{
	const int known = O_EXCL | O_TRUNC | SHR_MAP_EXACT_PERMS | SHR_MAP_PRIVATE | SHR_MAP_POPULATE |
			  SHR_MAP_MLOCK | SHR_MAP_HUGETLB | SHR_MAP_HUGEPAGE;

	if (own->offset < 0)
		return shr_fail(EINVAL, "the offset is negative");
	if (own->flags & ~known)
		return shr_fail(EINVAL, "flags may be O_EXCL, O_TRUNC and SHR_MAP_* only");
	if ((own->flags & O_TRUNC) && !request->writes)
		return shr_fail(EINVAL, "O_TRUNC with mode \"<\" would destroy what it reads");
	if ((own->flags & O_TRUNC) && !own->size)
		return shr_fail(EINVAL, "O_TRUNC needs a size: nothing is left to map");
	if ((own->flags & O_EXCL) && !request->creates)
		return shr_fail(EINVAL, "O_EXCL needs a mode that creates: > or +>");
	if (own->perms & ~07777u)
		return shr_fail(EINVAL, "permissions %o are over 7777", own->perms);
	if (request->creates && !own->size)
		return shr_fail(EINVAL, "a mode that creates needs a size");
	if (own->size > SIZE_LIMIT || own->size > (uint64_t)INT64_MAX - (uint64_t)own->offset)
		return shr_fail(EOVERFLOW, "offset and size add up to more than is possible here");
	if (own->numa_policy > SHR_NUMA_INTERLEAVE || !own->numa_policy != !own->numa_nodes)
		return shr_fail(EINVAL, "a NUMA policy needs nodes, and nodes a policy (SHR_NUMA_*)");
	if (own->huge_page_size && !(own->flags & SHR_MAP_HUGETLB))
		return shr_fail(EINVAL, "huge_page_size is for SHR_MAP_HUGETLB");
	return 0;
}

static int parse_options(const struct shr_map_options *options, struct request *request)
{
	struct shr_map_options own = {.struct_size = sizeof(own)};
	int err;

	if (options) {
		err = shr_options_check(options, options->struct_size, sizeof(own));
		if (err)
			return err;
		memcpy(&own, options,
		       options->struct_size < sizeof(own) ? options->struct_size : sizeof(own));
	}
	err = check_options(&own, request);
	if (err)
		return err;
	request->flags |= own.flags & (O_EXCL | O_TRUNC);
	request->exact = !!(own.flags & SHR_MAP_EXACT_PERMS);
	request->private = !!(own.flags & SHR_MAP_PRIVATE);
	request->populate = !!(own.flags & SHR_MAP_POPULATE);
	request->mlock = !!(own.flags & SHR_MAP_MLOCK);
	request->huge_tlb = !!(own.flags & SHR_MAP_HUGETLB);
	request->huge_advise = !!(own.flags & SHR_MAP_HUGEPAGE);
	request->huge_page_size = own.huge_page_size;
	request->perms = own.perms ? own.perms : 0600;
	request->offset = (uint64_t)own.offset;
	request->size = own.size;
	request->seals = own.seals;
	request->numa_policy = own.numa_policy;
	request->numa_nodes = own.numa_nodes;
	request->init = own.init;
	request->init_argument = own.init_argument;
	return 0;
}

/* What no backend but some can do. */
static int check_backend(const struct name *name, const struct request *request)
{
	uint32_t backend = name->backend;

	if (request->seals && backend != SHR_BACKEND_ANON && backend != SHR_BACKEND_FD)
		return shr_fail(EOPNOTSUPP, "only anonymous memory has seals");
	if (request->huge_tlb && backend != SHR_BACKEND_ANON && backend != SHR_BACKEND_SYSV)
		return shr_fail(EOPNOTSUPP, "huge pages come with anonymous memory and System V; "
					    "SHR_MAP_HUGEPAGE advises them");
	if (backend == SHR_BACKEND_SYSV && request->private)
		return shr_fail(EOPNOTSUPP, "System V has no private maps");
	if (backend == SHR_BACKEND_SYSV && (request->flags & O_TRUNC))
		return shr_fail(EOPNOTSUPP, "a System V segment cannot be truncated");
	return 0;
}

/* Find the size to map, against an object of @have bytes. */
static int settle_size(struct request *request, uint64_t have, int grows)
{
	if (!request->size) {
		if (have <= request->offset)
			return shr_fail(ENODATA, "the object has %llu bytes: nothing at offset %llu",
					(unsigned long long)have, (unsigned long long)request->offset);
		request->size = have - request->offset;
		if (request->size > SIZE_LIMIT)
			return shr_fail(EOVERFLOW, "the object is larger than this process can map");
	}
	if (!grows && request->offset + request->size > have)
		return shr_fail(ERANGE, "the object has %llu bytes, not the %llu asked for",
				(unsigned long long)have,
				(unsigned long long)(request->offset + request->size));
	return 0;
}

/* Bytes of a page of the file: more than the machine's on hugetlbfs. */
static uint64_t page_of(int fd)
{
	struct statfs fs;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!fstatfs(fd, &fs) && (uint32_t)fs.f_type == 0x958458f6 && (uint64_t)fs.f_bsize > page)
		page = (uint64_t)fs.f_bsize; /* HUGETLBFS_MAGIC, statfs(2) */
	return page;
}

/*
 * Map the file of map->fd and have its memory. On failure nothing is mapped.
 * Pages are bound before they are reserved, and so after they are mapped.
 */
static int map_object(struct shr_map *map, const struct request *request)
{
	uint64_t page = page_of(map->fd), end = request->offset + request->size;
	int err;

	map->page = page;
	map->offset = request->offset;
	map->size = (size_t)request->size;
	map->before = request->offset % page;
	map->length = (size_t)((request->size + map->before + page - 1) / page * page);
	map->private = request->private;
	map->writes = request->writes && !request->private;
	map->numa_nodes = request->numa_nodes;
	err = place_check(map, request);
	if (!err && request->writes)
		err = map_limit(map->fd, end);
	if (err)
		return err;
	map->base = mmap(NULL, map->length,
			 PROT_READ | (request->writes || request->private ? PROT_WRITE : 0),
			 request->private ? MAP_PRIVATE : MAP_SHARED, map->fd,
			 (off_t)(request->offset - map->before));
	if (map->base == MAP_FAILED)
		return shr_fail(errno, "cannot map %llu bytes: %s", (unsigned long long)request->size,
				strerror(errno));
	if ((request->flags & O_TRUNC) && !map->created && ftruncate(map->fd, 0) < 0)
		err = shr_fail(errno, "cannot truncate: %s", strerror(errno));
	if (!err)
		err = place_bind(map, request);
	if (!err && request->writes)
		err = map_reserve(map->fd, map->created ? 0 : request->offset, end);
	if (!err)
		err = place_present(map, request);
	if (err)
		munmap(map->base, map->length);
	return err;
}

/* The callback of the user, in the new object. */
static int initialise(const struct shr_map *map, const struct request *request)
{
	int err = request->init ? request->init((char *)map->base + map->before, (size_t)request->size,
						request->init_argument)
				: 0;

	return err ? shr_fail(err < 0 ? -err : ECANCELED, "the init callback gave %d", err), err : 0;
}

static int check_seals(int fd, uint32_t wanted)
{
	int seals;

	if (!wanted)
		return 0;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (uint32_t)seals != ((uint32_t)seals | wanted))
		return shr_fail(EPERM, "the descriptor has seals 0x%x, not all of 0x%x",
				seals < 0 ? 0u : (unsigned)seals, wanted);
	return 0;
}

/* Map the existing file of map->fd, which is closed on failure. */
static int use_existing(struct shr_map *map, struct request request, const struct stat *st)
{
	int err = settle_size(&request, (uint64_t)st->st_size, request.writes);

	map->created = 0;
	if (!err)
		err = check_seals(map->fd, request.seals);
	if (!err)
		err = map_object(map, &request);
	if (err) {
		close(map->fd);
		map->fd = -1;
	}
	return err;
}

static int open_existing(struct shr_map *map, const struct request *request)
{
	struct stat st;

	map->fd = map_open_file(map->name.path, request->flags & ~(O_EXCL | O_TRUNC), &st);
	return map->fd < 0 ? map->fd : use_existing(map, *request, &st);
}

static int create_new(struct shr_map *map, const struct request *request)
{
	struct map_unnamed file;
	int err;

	err = map_unnamed_open(&file, &map->name, request->perms, request->exact);
	if (err)
		return err;
	map->fd = file.fd;
	map->created = 1;
	err = map_object(map, request);
	if (err)
		goto close_file;
	err = initialise(map, request);
	if (!err)
		err = map_unnamed_publish(&file, &map->name);
	if (!err)
		return 0;
	munmap(map->base, map->length);
close_file:
	map_unnamed_close(&file);
	map->fd = -1;
	return err;
}

static int open_path(struct shr_map *map, const struct request *request)
{
	int err = -EEXIST;

	if (!request->creates)
		return open_existing(map, request);
	for (int i = 0; i < CREATE_TRIES; i++) {
		if (!(request->flags & O_EXCL)) {
			err = open_existing(map, request);
			if (err != -ENOENT)
				return err;
		} else if (!faccessat(AT_FDCWD, map->name.path, F_OK, AT_SYMLINK_NOFOLLOW)) {
			err = -EEXIST;
			break;
		}
		err = create_new(map, request);
		if (err != -EEXIST || (request->flags & O_EXCL))
			break;
	}
	if (err == -EEXIST)
		shr_fail(EEXIST, "%.200s exists already", map->name.path);
	return err;
}

static int open_fd(struct shr_map *map, const struct request *request)
{
	struct stat st;

	map->fd = map_open_fd(map->name.fd, request->flags & O_ACCMODE, &st);
	if (map->fd < 0)
		return map->fd;
	if (request->flags & O_EXCL) {
		close(map->fd);
		map->fd = -1;
		return shr_fail(EEXIST, "what a descriptor refers to exists already");
	}
	return use_existing(map, *request, &st);
}

static int open_anon(struct shr_map *map, const struct request *request)
{
	int err;

	if (!request->creates)
		return shr_fail(ENOENT, "anonymous memory has no name to open it by: pass its "
					"descriptor and open fd:N");
	map->fd = map_open_memory(map->name.path, request->perms, request->huge_tlb,
				  request->huge_page_size);
	if (map->fd < 0)
		return map->fd;
	map->created = 1;
	err = map_object(map, request);
	if (err)
		goto close_fd;
	err = initialise(map, request);
	if (!err && request->seals && fcntl(map->fd, F_ADD_SEALS, request->seals) < 0)
		err = shr_fail(errno, "cannot add seals 0x%x: %s", request->seals, strerror(errno));
	if (!err)
		return 0;
	munmap(map->base, map->length);
close_fd:
	close(map->fd);
	map->fd = -1;
	return err;
}

static int attach_sysv(struct shr_map *map, const struct request *request, uint64_t have)
{
	int err = 0;

	map->page = (uint64_t)sysconf(_SC_PAGESIZE);
	map->offset = request->offset;
	map->size = (size_t)request->size;
	map->before = (size_t)request->offset;
	map->length = (size_t)(request->offset + request->size);
	map->writes = request->writes;
	map->numa_nodes = request->numa_nodes;
	if (have > SIZE_LIMIT)
		return shr_fail(EOVERFLOW, "the segment is larger than this process can map");
	map->base = sysv_attach(map->id, request->writes, &err);
	if (err)
		return err;
	err = place_bind(map, request);
	if (!err)
		err = place_present(map, request);
	if (err)
		shmdt(map->base);
	return err;
}

static int open_sysv_existing(struct shr_map *map, struct request request)
{
	struct shmid_ds ds;
	int err;

	map->created = 0;
	map->id = sysv_find(&map->name, &ds);
	if (map->id < 0)
		return map->id;
	err = settle_size(&request, ds.shm_segsz, 0);
	return err ? err : attach_sysv(map, &request, ds.shm_segsz);
}

static int create_sysv(struct shr_map *map, const struct request *request)
{
	const struct sysv_create create = {.size = request->offset + request->size,
					   .perms = request->perms,
					   .huge = request->huge_tlb,
					   .huge_page_size = request->huge_page_size};
	struct sysv_gate gate = {.fd = -1};
	int err;

	if (create.size > SIZE_LIMIT)
		return shr_fail(EOVERFLOW, "the segment is larger than this process can map");
	map->id = sysv_create(&map->name, &create, request->init ? &gate : NULL);
	if (map->id < 0)
		return map->id;
	map->created = 1;
	err = attach_sysv(map, request, create.size);
	if (!err) {
		err = initialise(map, request);
		if (err)
			shmdt(map->base);
	}
	if (err)
		shmctl(map->id, IPC_RMID, NULL);
	sysv_gate_close(&gate);
	return err;
}

static int open_sysv(struct shr_map *map, const struct request *request)
{
	int err = -EEXIST;

	if (!request->creates)
		return open_sysv_existing(map, *request);
	for (int i = 0; i < CREATE_TRIES && err == -EEXIST; i++) {
		if (!(request->flags & O_EXCL) && (map->name.key || map->name.id >= 0)) {
			err = open_sysv_existing(map, *request);
			if (err != -ENOENT || map->name.id >= 0)
				return err;
		} else if (map->name.id >= 0) {
			break;
		}
		err = create_sysv(map, request);
		if (request->flags & O_EXCL)
			break;
	}
	if (err == -EEXIST)
		shr_fail(EEXIST, "the System V segment exists already");
	return err;
}

int shr_map_open(struct shr_map **result, const char *name, const char *mode,
		 const struct shr_map_options *options)
{
	struct request request;
	struct shr_map *map;
	int err;

	if (!result)
		return shr_fail(EINVAL, "no place for the handle");
	if (*result)
		return shr_fail(EBUSY, "the handle is in use: close it, or set it to NULL first");
	err = parse_mode(mode, &request);
	if (!err)
		err = parse_options(options, &request);
	if (err)
		return err;
	map = calloc(1, sizeof(*map));
	if (!map)
		return shr_fail(ENOMEM, "out of memory");
	map->fd = map->id = -1;
	err = name_resolve(name, &map->name);
	if (!err)
		err = check_backend(&map->name, &request);
	if (!err)
		switch (map->name.backend) {
		case SHR_BACKEND_SYSV:
			err = open_sysv(map, &request);
			break;
		case SHR_BACKEND_ANON:
			err = open_anon(map, &request);
			break;
		case SHR_BACKEND_FD:
			err = open_fd(map, &request);
			break;
		default:
			err = open_path(map, &request);
		}
	if (err)
		free(map);
	else
		*result = map;
	return err;
}

void shr_map_close(struct shr_map *map)
{
	if (!map)
		return;
	if (map->fd < 0) {
		shmdt(map->base);
	} else {
		munmap(map->base, map->length);
		close(map->fd);
	}
	free(map);
}

void *shr_map_address(const struct shr_map *map)
{
	return map ? (char *)map->base + map->before : NULL;
}

size_t shr_map_size(const struct shr_map *map)
{
	return map ? map->size : 0;
}

int shr_map_fd(const struct shr_map *map)
{
	if (!map)
		return shr_fail(EINVAL, MAP_NONE);
	return map->fd >= 0 ? map->fd : shr_fail(EOPNOTSUPP, "a System V segment has no descriptor");
}

int shr_map_created(const struct shr_map *map)
{
	return map ? map->created : 0;
}
