/* SPDX-License-Identifier: MIT */
/*
 * L0: where the pages of a map lie, and whether they are there: NUMA policy,
 * huge pages, populate, mlock; and what the kernel granted of it.
 *
 * mbind(2) and move_pages(2) are called without a library: libnuma is more than
 * three calls need.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <shmring/map.h>

#include "error.h"
#include "map_handle.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define MPOL_MF_STRICT 1
#define MPOL_MF_MOVE 2
#define PAGES 512 /* asked for at a time */

int place_check(const struct shr_map *map, const struct request *request)
{
	struct statfs fs;

	if (!request->numa_nodes || request->private)
		return 0;
	if (fstatfs(map->fd, &fs) < 0)
		return shr_fail(errno, "cannot tell the filesystem: %s", strerror(errno));
	/* TMPFS_MAGIC, HUGETLBFS_MAGIC: statfs(2) */
	if ((uint32_t)fs.f_type != 0x01021994 && (uint32_t)fs.f_type != 0x958458f6)
		return shr_fail(EOPNOTSUPP, "a NUMA policy has no effect on files of this filesystem");
	return 0;
}

int place_bind(const struct shr_map *map, const struct request *request)
{
	/* A mask of unsigned long; the kernel reads one bit less than it is told. */
	unsigned long nodes[64 / (8 * sizeof(unsigned long)) + 1] = {0};
	unsigned flags = MPOL_MF_MOVE | (request->numa_policy == SHR_NUMA_BIND ? MPOL_MF_STRICT : 0);

	if (!request->numa_nodes)
		return 0;
	memcpy(nodes, &request->numa_nodes, sizeof(request->numa_nodes));
	if (sizeof(unsigned long) == 4) {
		nodes[0] = (unsigned long)request->numa_nodes;
		nodes[1] = (unsigned long)(request->numa_nodes >> 32);
	}
	if (!syscall(SYS_mbind, map->base, map->length, (long)request->numa_policy, nodes, 65L, flags))
		return 0;
	return shr_fail(errno, "cannot bind the memory to nodes 0x%llx: %s",
			(unsigned long long)request->numa_nodes, strerror(errno));
}

/* Whole pages from @from on. An old kernel is shown one byte of each. */
static int populate(char *from, size_t length, size_t page, int writes)
{
	if (!madvise(from, length, writes ? MADV_POPULATE_WRITE : MADV_POPULATE_READ))
		return 0;
	if (errno != EINVAL)
		return -errno;
	for (size_t at = 0; at < length; at += page)
		(void)*(volatile char *)(from + at);
	return 0;
}

int place_present(const struct shr_map *map, const struct request *request)
{
	int err;

	if (request->huge_advise && madvise(map->base, map->length, MADV_HUGEPAGE) < 0)
		return shr_fail(errno, "cannot advise huge pages: %s", strerror(errno));
	if (request->populate) {
		err = populate(map->base, map->length, (size_t)map->page,
			       request->writes || request->private);
		if (err)
			return shr_fail(-err, "cannot populate the map: %s", strerror(-err));
	}
	if (request->mlock && mlock(map->base, map->length) < 0)
		return shr_fail(errno, "cannot lock %zu bytes in memory: %s", map->length,
				strerror(errno));
	return 0;
}

/* The pages that bytes @offset to @offset + @size of the map touch. */
static int pages_of(const struct shr_map *map, size_t offset, size_t size, char **from, size_t *length)
{
	size_t start, end, page;

	*from = NULL;
	*length = 0;
	if (!map)
		return shr_fail(EINVAL, MAP_NONE);
	if (offset > map->size || size > map->size - offset || offset == map->size)
		return shr_fail(ERANGE, "the map has %zu bytes", map->size);
	page = (size_t)map->page;
	start = (map->before + offset) / page * page;
	end = map->before + offset + (size ? size : map->size - offset);
	*from = (char *)map->base + start;
	*length = (end - start + page - 1) / page * page;
	return 0;
}

int shr_map_populate(const struct shr_map *map, size_t offset, size_t size)
{
	size_t length;
	char *from;
	int err = pages_of(map, offset, size, &from, &length);

	if (err)
		return err;
	err = populate(from, length, (size_t)map->page, map->writes || map->private);
	return err ? shr_fail(-err, "cannot populate the map: %s", strerror(-err)) : 0;
}

int shr_map_mlock(const struct shr_map *map, size_t offset, size_t size)
{
	size_t length;
	char *from;
	int err = pages_of(map, offset, size, &from, &length);

	if (err)
		return err;
	if (mlock(from, length) < 0)
		return shr_fail(errno, "cannot lock %zu bytes in memory: %s", length, strerror(errno));
	return 0;
}

int shr_map_munlock(const struct shr_map *map, size_t offset, size_t size)
{
	size_t length;
	char *from;
	int err = pages_of(map, offset, size, &from, &length);

	if (err)
		return err;
	if (munlock(from, length) < 0)
		return shr_fail(errno, "cannot unlock memory: %s", strerror(errno));
	return 0;
}

int shr_map_sync(const struct shr_map *map, size_t offset, size_t size)
{
	size_t length;
	char *from;
	int err = pages_of(map, offset, size, &from, &length);

	if (err)
		return err;
	if (msync(from, length, MS_SYNC) < 0)
		return shr_fail(errno, "cannot sync: %s", strerror(errno));
	return 0;
}

int shr_map_protect(const struct shr_map *map, size_t offset, size_t size, int prot)
{
	size_t length;
	char *from;
	int err = pages_of(map, offset, size, &from, &length);

	if (err)
		return err;
	if ((prot & PROT_WRITE) && !map->writes && !map->private)
		return shr_fail(EACCES, "the map was opened for reading");
	if (mprotect(from, length, prot) < 0)
		return shr_fail(errno, "cannot protect: %s", strerror(errno));
	return 0;
}

int shr_map_advise(const struct shr_map *map, size_t offset, size_t size, const char *word)
{
	static const struct {
		const char *word;
		int advice;
	} words[] = {{"normal", MADV_NORMAL},	  {"random", MADV_RANDOM},
		     {"sequential", MADV_SEQUENTIAL}, {"willneed", MADV_WILLNEED},
		     {"dontneed", MADV_DONTNEED}, {"cold", 20},
		     {"pageout", 21},		  {"hugepage", MADV_HUGEPAGE},
		     {"nohugepage", MADV_NOHUGEPAGE}, {"dontdump", MADV_DONTDUMP},
		     {"dodump", MADV_DODUMP},	  {"dontfork", MADV_DONTFORK},
		     {"dofork", MADV_DOFORK},	  {"mergeable", MADV_MERGEABLE},
		     {"unmergeable", MADV_UNMERGEABLE}, {"remove", MADV_REMOVE}};
	size_t length;
	char *from;
	int err = pages_of(map, offset, size, &from, &length);

	if (err)
		return err;
	for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i].word))
			continue;
		if (!madvise(from, length, words[i].advice))
			return 0;
		return shr_fail(errno, "advice %s: %s", word, strerror(errno));
	}
	return shr_fail(EINVAL, "unknown advice \"%.20s\"", word ? word : "");
}

/* --- The report ------------------------------------------------------------- */

/* Add up what /proc/self/smaps (proc(5)) says of the map's range. */
static int report_smaps(const struct shr_map *map, struct shr_map_granted *report)
{
	static const struct {
		const char *key;
		size_t at;
	} sums[] = {{"Rss:", offsetof(struct shr_map_granted, resident)},
		    {"Shared_Hugetlb:", offsetof(struct shr_map_granted, huge)},
		    {"Private_Hugetlb:", offsetof(struct shr_map_granted, huge)},
		    {"AnonHugePages:", offsetof(struct shr_map_granted, huge)},
		    {"ShmemPmdMapped:", offsetof(struct shr_map_granted, huge)},
		    {"FilePmdMapped:", offsetof(struct shr_map_granted, huge)},
		    {"Locked:", offsetof(struct shr_map_granted, locked)}};
	unsigned long long low = (uintptr_t)map->base, high = low + map->length, start, end, value;
	FILE *file = fopen("/proc/self/smaps", "re");
	int inside = 0, seen = 0;
	char line[512], key[64];

	if (!file)
		return shr_fail(EOPNOTSUPP, "cannot read /proc/self/smaps: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2) {
			inside = start < high && end > low;
			seen |= inside;
			continue;
		}
		if (!inside || sscanf(line, "%63s %llu kB", key, &value) != 2)
			continue;
		if (!strcmp(key, "KernelPageSize:"))
			report->page_size = value * 1024;
		for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
			if (!strcmp(key, sums[i].key))
				*(uint64_t *)((char *)report + sums[i].at) += value * 1024;
	}
	fclose(file);
	if (report->page_size > (uint64_t)sysconf(_SC_PAGESIZE) && !report->resident)
		report->resident = report->huge; /* Rss leaves hugetlb out */
	return seen ? 0 : shr_fail(EOPNOTSUPP, "/proc/self/smaps does not show the map");
}

/* On which nodes do the pages lie? move_pages(2) with no target only asks. */
static int report_nodes(const struct shr_map *map, struct shr_map_granted *report)
{
	size_t count = (map->length + (size_t)map->page - 1) / (size_t)map->page;
	void *page[PAGES];
	int node[PAGES];

	for (size_t done = 0; done < count;) {
		size_t n = count - done < PAGES ? count - done : PAGES;

		for (size_t i = 0; i < n; i++)
			page[i] = (char *)map->base + (done + i) * (size_t)map->page;
		if (syscall(SYS_move_pages, 0L, n, page, NULL, node, 0L) < 0)
			return errno == ENOSYS ? 0 /* one node, and no word of it */
					       : shr_fail(errno, "cannot ask for nodes: %s",
							  strerror(errno));
		for (size_t i = 0; i < n; i++) {
			if (node[i] < 0 || node[i] > 63)
				continue; /* not present */
			report->numa_nodes |= (uint64_t)1 << node[i];
			report->elsewhere +=
				map->numa_nodes && !(map->numa_nodes >> node[i] & 1);
		}
		done += n;
	}
	return 0;
}

int shr_map_report(const struct shr_map *map, struct shr_map_granted *report)
{
	struct shr_map_granted own = {0};
	int err;

	if (!map || !report)
		return shr_fail(EINVAL, MAP_NONE);
	err = report_smaps(map, &own);
	if (!err)
		err = report_nodes(map, &own);
	if (!err)
		*report = own;
	return err;
}
