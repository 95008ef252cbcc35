/* SPDX-License-Identifier: MIT */
/*
 * L3: membership.
 *
 * The token. Member i holds the kernel's lock on byte 2^40 + i of the segment's
 * file through an open file description of its own (F_OFD_SETLK, fcntl(2)). The
 * segment is mapped *with that description* and the descriptor closed: the
 * mapping keeps the description, and so the lock, and both end together when
 * this address space can no longer store here: exit, exec, SIGKILL, munmap.
 * MADV_DONTFORK keeps a child from holding it on. No pid, no /proc, no clock is
 * asked. Where the lock does not survive the close (overlayfs) the descriptor
 * stays open, and is closed in children. Where the segment is no file, or one
 * that cannot be locked, a companion file (object.c) is locked and a page of it
 * mapped, beside the segment: both maps end together.
 *
 * States of a slot          member.state   byte
 *	free                 FREE           free
 *	attached             USED           held by its process
 *	dead                 USED           free
 *	being recovered      any            held by who recovers
 *
 * Who writes what: the slot, whoever holds its byte.
 *
 * Recovery. Whoever wins the byte of i on a *fresh* description may take over
 * what i owned. A description that was inherited or is shared by threads would
 * be granted the same lock again, so none is ever kept for this.
 *
 * Fork. Between open and close of a token's descriptor no fork() may start, or
 * the child would hold the description on: all of it is under one mutex that
 * pthread_atfork(3) takes too. The child closes what it inherited.
 *
 * Mending a slot: the death is recorded, each object is swept, the slot is FREE.
 * Whoever wins a byte records the death, also to take over one thing only. It is
 * not counted up but told: attaches less detaches. So doing it twice counts once.
 *
 * Crash (the kill points have these names)
 *	member:byte, :introduced
 *	                       nothing happened, the slot owns nothing
 *	member:used            the slot is mended, and nobody was ever attached
 *	member:counted         dead: the next owner of the slot mends it
 *	member:won, :recorded, :sweep, :swept, :release
 *	                       in mending: the byte is free again, the next one
 *	                       starts anew
 *	member:detached        mended as if it had died, and not counted as dead
 *	member:free            the slot owns nothing
 */
#include "member.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"
#include "killpoint.h"
#include "mutex.h"
#include "probe.h"

#define ATTACH_TRIES 10
#define ATTACH_PAUSE_NS 1000000

struct fork_entry {
	struct fork_entry *next;
	int door, life, object;
};

/* The one global state of the library: which descriptors a child must close. */
static pthread_mutex_t fork_mutex = PTHREAD_MUTEX_INITIALIZER;
static int fork_cancel; /* the holder's cancelability, under the mutex */
static struct fork_entry *fork_entries;

/* Not a point to be cancelled at: the mutex would stay locked, and nobody could fork. */
static void fork_hold(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&fork_mutex);
	fork_cancel = state;
}

static void fork_let_go(void)
{
	int state = fork_cancel;

	pthread_mutex_unlock(&fork_mutex);
	pthread_setcancelstate(state, &state);
}

static void fork_prepare(void)
{
	pthread_mutex_lock(&fork_mutex);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&fork_mutex);
}

static void fork_child(void)
{
	for (struct fork_entry *entry = fork_entries; entry; entry = entry->next) {
		close(entry->door);
		if (entry->object >= 0 && entry->object != entry->door)
			close(entry->object);
		if (entry->life >= 0)
			close(entry->life);
	}
	fork_entries = NULL; /* not freed: malloc may be locked here */
	mutex_forget_thread();
	pthread_mutex_unlock(&fork_mutex);
}

/*
 * Before any handler of the program's, so that ours is the last to be called in
 * fork(), with the program's locks held, and never the other way round.
 */
static __attribute__((constructor)) void fork_install(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* A fresh open file description of the segment's file. */
static int open_fresh(const struct shr_segment *segment)
{
	char path[64];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", segment->door);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT || !segment->door_path[0])
		return fd >= 0 ? fd : -errno;
	/* No /proc: by name, as long as it is still this file. */
	fd = open(segment->door_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_dev != segment->device || st.st_ino != segment->inode) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

static int lock_byte(int fd, int command, short type, uint32_t slot, short *found)
{
	struct flock lock = {.l_type = type,
			     .l_whence = SEEK_SET,
			     .l_start = FORMAT_LOCK_BYTE + slot,
			     .l_len = 1};

	if (fcntl(fd, command, &lock) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	if (found)
		*found = lock.l_type;
	return 0;
}

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * With the byte of @slot held. Idempotent until the next introduction: the number is
 * told, not counted up.
 */
static void record_death(const struct shr_segment *segment, uint32_t slot)
{
	struct shm_member *member = segment_member(segment, slot);
	struct shm_death *death = &member->death;
	uint64_t deaths = member->attaches - member->detaches;

	if (death->deaths == deaths)
		return;
	atomic_store_explicit(&death->deaths, DEATH_WRITING, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	death->noticed_ns = realtime_ns();
	death->start_time = member->start_time;
	death->attached_ns = member->attached_ns;
	death->pid_namespace = member->pid_namespace;
	death->pid = member->pid;
	death->by = segment->slot + 1;
	memcpy(death->comm, member->comm, sizeof(death->comm));
	memcpy(death->role, member->role, sizeof(death->role));
	KILL_POINT("member:recorded");
	/* Release: who it was. Pairs with the look at deaths in member_watch.c. */
	atomic_store_explicit(&death->deaths, deaths, memory_order_release);
	PROBE(owner_dead, slot + 1, member->pid, segment->slot + 1);
}

int member_win(const struct shr_segment *segment, uint32_t slot, int *token)
{
	int fd, err;

	if (slot >= segment->layout.header.members)
		return shr_fail(EBADMSG, "member %u is not possible", slot + 1);
	fork_hold();
	fd = open_fresh(segment);
	if (fd < 0) {
		fork_let_go();
		return shr_fail(-fd, "cannot open the segment again to see who is alive: %s",
				strerror(-fd));
	}
	err = lock_byte(fd, F_OFD_SETLK, F_WRLCK, slot, NULL);
	if (err) {
		close(fd);
		fork_let_go();
		return err == -EAGAIN ? -EBUSY : err;
	}
	*token = fd;
	record_death(segment, slot);
	KILL_POINT("member:won");
	return 0;
}

void member_release(int token, uint32_t slot)
{
	KILL_POINT("member:release");
	/* Unlocked before close: a stray copy of the description holds nothing. */
	lock_byte(token, F_OFD_SETLK, F_UNLCK, slot, NULL);
	close(token);
	fork_let_go();
}

int member_held(int door, uint32_t slot)
{
	short found = F_UNLCK;
	int err = lock_byte(door, F_OFD_GETLK, F_WRLCK, slot, &found);

	return err ? err : found != F_UNLCK;
}

/* Win any byte on @fd, from the first slot on, so that dead ones are swept soon. */
static int win_any(const struct shr_segment *segment, int fd, uint32_t from, uint32_t *slot)
{
	for (uint32_t i = from; i < segment->layout.header.members; i++) {
		int err = lock_byte(fd, F_OFD_SETLK, F_WRLCK, i, NULL);

		if (!err) {
			*slot = i;
			return 0;
		}
		if (err != -EAGAIN)
			return shr_fail(EOPNOTSUPP,
					"this filesystem has no locks to prove life with: %s",
					strerror(-err));
	}
	return shr_fail(EUSERS, "all %u member slots are taken", segment->layout.header.members);
}

/* Does the lock outlive its descriptor? If not, take it again and keep that. */
static int settle_life(struct shr_segment *segment)
{
	int fd = open_fresh(segment), err;
	short found = F_UNLCK;

	if (fd < 0)
		return shr_fail(-fd, "cannot open the segment again: %s", strerror(-fd));
	err = lock_byte(fd, F_OFD_GETLK, F_WRLCK, segment->slot, &found);
	if (!err && found != F_UNLCK) {
		close(fd);
		return 0;
	}
	if (!err)
		err = lock_byte(fd, F_OFD_SETLK, F_WRLCK, segment->slot, NULL);
	if (err) {
		close(fd);
		return shr_fail(-err, "cannot tell whether the lock outlives its descriptor: %s",
				strerror(-err));
	}
	segment->life = fd;
	return 0;
}

/* Map the segment so that the map keeps the description of @fd. */
static int map_pinned(struct shr_segment *segment, int fd)
{
	struct object with_token = segment->object;
	void *base;
	int err;

	segment->pin = NULL;
	if (segment->layout.header.life == FORMAT_LIFE_OWN)
		with_token.fd = fd;
	err = object_map(&with_token, &base, segment->size, 1);
	if (err)
		return err;
	segment->base = base;
	if (segment->layout.header.life == FORMAT_LIFE_OWN)
		return 0;
	/* No byte of it is ever touched. */
	segment->pin = mmap(NULL, FORMAT_PAGE, PROT_NONE, MAP_SHARED, fd, 0);
	if (segment->pin != MAP_FAILED && !madvise(segment->pin, FORMAT_PAGE, MADV_DONTFORK))
		return 0;
	err = shr_fail(errno, "cannot map the companion lock file: %s", strerror(errno));
	if (segment->pin != MAP_FAILED)
		munmap(segment->pin, FORMAT_PAGE);
	object_unmap(&segment->object, base, segment->size);
	return err;
}

/* Drop map and token, without a word in the slot. The token goes last. */
static void member_drop(struct shr_segment *segment)
{
	object_unmap(&segment->object, segment->base, segment->size);
	if (segment->pin)
		munmap(segment->pin, FORMAT_PAGE);
	if (segment->life >= 0)
		close(segment->life);
	segment->life = -1;
}

static int map_observing(struct shr_segment *segment)
{
	void *base;
	int err;

	segment->slot = SLOT_NONE;
	segment->size = (size_t)segment->layout.header.total_size;
	err = object_map(&segment->object, &base, segment->size, 0);
	if (!err)
		segment->base = base;
	return err;
}

static int map_with_token(struct shr_segment *segment, uint32_t from)
{
	int err, fd = open_fresh(segment);

	if (fd < 0)
		return shr_fail(-fd, "cannot open the segment again: %s", strerror(-fd));
	err = win_any(segment, fd, from, &segment->slot);
	if (err)
		goto close_fd;
	segment->size = (size_t)segment->layout.header.total_size;
	err = map_pinned(segment, fd);
	if (err)
		goto close_fd;
	close(fd);
	err = settle_life(segment);
	if (err)
		member_drop(segment);
	return err;
close_fd:
	close(fd);
	return err;
}

static uint64_t own_start_time(void)
{
	char text[512], *at;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ')'); /* ends field 2; ours is the 22nd */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void introduce(struct shm_member *member, const char *role)
{
	int fd;

	member->pid = (uint32_t)getpid();
	member->start_time = own_start_time();
	member->pid_namespace = boot_pid_namespace();
	member->attached_ns = realtime_ns();
	memset(member->comm, 0, sizeof(member->comm));
	memset(member->role, 0, sizeof(member->role));
	fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = read(fd, member->comm, sizeof(member->comm) - 1);

		if (n > 0 && member->comm[n - 1] == '\n')
			member->comm[n - 1] = '\0';
		close(fd);
	}
	if (role)
		memcpy(member->role, role, strnlen(role, sizeof(member->role) - 1));
}

int member_mend(const struct shr_segment *segment, uint32_t slot)
{
	const struct shm_header *h = &segment->layout.header;
	struct shm_member *member = segment_member(segment, slot);
	int err = 0;

	if (atomic_load_explicit(&member->state, memory_order_acquire) == MEMBER_FREE)
		return 0;
	record_death(segment, slot);
	for (uint32_t i = 0; i < h->objects; i++)
		if (!kind_known(h->directory[i].kind))
			return shr_fail(EOPNOTSUPP, "object %.47s is of a kind that this library "
						    "cannot mend",
					h->directory[i].name);
	for (uint32_t i = 0; i < h->objects; i++) {
		int bad;

		KILL_POINT("member:sweep");
		bad = kind_sweep(segment->base + h->directory[i].offset, &h->directory[i], segment,
				 slot);
		err = bad ? bad : err; /* one spoilt object does not spoil the others */
	}
	if (err)
		return err;
	KILL_POINT("member:swept");
	atomic_store_explicit(&member->state, MEMBER_FREE, memory_order_release);
	PROBE(repair, slot + 1, segment->slot + 1, "all");
	return 0;
}

/* The deaths that are known now will not be reported to this handle. */
static int note_deaths(struct shr_segment *segment)
{
	uint32_t members = segment->layout.header.members;

	if (segment->deaths_seen)
		return 0;
	segment->deaths_seen = calloc(members, sizeof(*segment->deaths_seen));
	if (!segment->deaths_seen)
		return shr_fail(ENOMEM, "out of memory");
	for (uint32_t i = 0; i < members; i++)
		segment->deaths_seen[i] = atomic_load_explicit(
			&segment_member(segment, i)->death.deaths, memory_order_acquire);
	return 0;
}

static int attach_from(struct shr_segment *segment, uint32_t from, const char *role)
{
	struct fork_entry *entry = malloc(sizeof(*entry));
	struct shm_member *member;
	int err;

	if (!entry)
		return shr_fail(ENOMEM, "out of memory");
	fork_hold();
	err = from == SLOT_NONE ? map_observing(segment) : map_with_token(segment, from);
	if (!err) {
		*entry = (struct fork_entry){fork_entries, segment->door, segment->life,
						segment->object.fd};
		fork_entries = segment->fork_entry = entry;
	}
	fork_let_go();
	if (err)
		free(entry);
	if (err || from == SLOT_NONE)
		return err;
	KILL_POINT("member:byte");
	err = note_deaths(segment);
	if (!err)
		err = member_mend(segment, segment->slot);
	if (err)
		return err;
	member = segment_member(segment, segment->slot);
	introduce(member, role);
	KILL_POINT("member:introduced");
	/* Release: who it is, before it counts. Pairs with the acquire in member_mend(). */
	atomic_store_explicit(&member->state, MEMBER_USED, memory_order_release);
	KILL_POINT("member:used");
	__atomic_store_n(&member->attaches, member->attaches + 1, __ATOMIC_RELEASE);
	KILL_POINT("member:counted");
	return 0;
}

static void forget_entry(struct shr_segment *segment)
{
	struct fork_entry **link;

	fork_hold();
	for (link = &fork_entries; *link && *link != segment->fork_entry;)
		link = &(*link)->next;
	if (*link)
		*link = segment->fork_entry->next;
	free(segment->fork_entry);
	segment->fork_entry = NULL;
	member_drop(segment);
	fork_let_go();
}

/* With the first slot that can be mended; which slots there were is told by @err. */
static int attach_once(struct shr_segment *segment, const char *role)
{
	uint32_t from = 0;
	int err, first = 0;

	for (;;) {
		err = attach_from(segment, from, role);
		if (!err)
			return 0;
		if (!segment->fork_entry)
			return err == -EUSERS && first ? first : err;
		from = segment->slot + 1;
		forget_entry(segment);
		/* A slot that cannot be mended stays as it is: try a later one. */
		if (err != -EOPNOTSUPP && err != -EBADMSG)
			return err;
		first = first ? first : err;
	}
}

int member_attach(struct shr_segment *segment, const char *role)
{
	int err;

	segment->life = -1;
	/*
	 * A byte may be held for a moment by somebody who mends, and where a lock ends
	 * with its descriptor (-EAGAIN) another may come in between.
	 */
	for (int i = 0; i < ATTACH_TRIES; i++) {
		err = attach_once(segment, role);
		if (err != -EUSERS && err != -EAGAIN)
			break;
		nanosleep(&(struct timespec){.tv_nsec = ATTACH_PAUSE_NS}, NULL);
	}
	if (err) {
		free((void *)segment->deaths_seen);
		segment->deaths_seen = NULL;
	}
	return err;
}

int member_observe(struct shr_segment *segment)
{
	segment->life = -1;
	return attach_from(segment, SLOT_NONE, NULL);
}

void member_detach(struct shr_segment *segment)
{
	if (segment->slot != SLOT_NONE) {
		struct shm_member *member = segment_member(segment, segment->slot);

		member->detaches++;
		KILL_POINT("member:detached");
		atomic_store_explicit(&member->state, MEMBER_FREE, memory_order_release);
		KILL_POINT("member:free");
	}
	forget_entry(segment);
	free((void *)segment->deaths_seen);
	segment->deaths_seen = NULL;
}
