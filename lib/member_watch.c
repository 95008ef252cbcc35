/* SPDX-License-Identifier: MIT */
/*
 * L3: what members can know of each other, and mending on demand.
 *
 * A death is proved by winning the byte of its slot (member.c) and recorded in
 * the slot by whoever does; a handle reports what its private count of a slot
 * has not seen yet. A pidfd (pidfd_open(2)) is a wake-up and proves nothing: the
 * pid is what a peer wrote.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <shmring/lock.h>

#include "attached.h"
#include "boot.h"
#include "error.h"
#include "event.h"
#include "member.h"

#define SLICE_NS   100000000
#define COPY_TRIES 16

static void death_view(struct shr_death *death, const struct shm_death *shm, uint32_t number,
		       uint64_t own_namespace)
{
	*death = (struct shr_death){
		.number = number,
		.pid = shm->pid,
		.same_namespace = shm->pid_namespace == own_namespace,
		.by = shm->by,
		.deaths = atomic_load_explicit(&shm->deaths, memory_order_relaxed),
		.start_time = shm->start_time,
		.attached_ns = shm->attached_ns,
		.noticed_ns = shm->noticed_ns};
	memcpy(death->command, shm->comm, sizeof(shm->comm));
	memcpy(death->role, shm->role, sizeof(shm->role));
}

/* The slot as it was between two looks at its count of deaths. */
static void copy_slot(struct shm_member *copy, const struct shm_member *member)
{
	uint64_t before, after;

	for (int i = 0; i < COPY_TRIES; i++) {
		/* Acquire: who died. Pairs with the release in record_death(). */
		before = atomic_load_explicit(&member->death.deaths, memory_order_acquire);
		memcpy(copy, member, sizeof(*copy));
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&member->death.deaths, memory_order_relaxed);
		if (before == after && before != DEATH_WRITING)
			return;
	}
	atomic_store_explicit(&copy->death.deaths, DEATH_WRITING, memory_order_relaxed);
}

static int check_number(const struct shr_segment *segment, uint32_t number)
{
	if (segment->tag != SEGMENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (!number || number > segment->layout.header.members)
		return shr_fail(ENOENT, "the segment has no member %u", number);
	return 0;
}

int shr_member_alive(const struct shr_segment *segment, uint32_t number)
{
	int err = check_number(segment, number);

	if (err)
		return err;
	err = member_held(segment->door, number - 1);
	return err < 0 ? shr_fail(EOPNOTSUPP, "no lock here tells who is alive: %s", strerror(-err))
		       : err;
}

int shr_member_get(const struct shr_segment *segment, uint32_t number, struct shr_member_info *info)
{
	struct shm_member copy;
	uint64_t here;
	int held, err = check_number(segment, number);

	if (err)
		return err;
	here = boot_pid_namespace();
	held = member_held(segment->door, number - 1);
	copy_slot(&copy, segment_member(segment, number - 1));
	member_view(info, &copy, number, held, here);
	return 0;
}

void member_view(struct shr_member_info *info, const struct shm_member *member, uint32_t number,
		 int held, uint64_t own_namespace)
{
	int used = atomic_load_explicit(&member->state, memory_order_relaxed) != MEMBER_FREE;

	*info = (struct shr_member_info){.number = number,
					 .pid = member->pid,
					 .same_namespace = member->pid_namespace == own_namespace,
					 .start_time = member->start_time,
					 .attached_ns = member->attached_ns,
					 .attaches = member->attaches,
					 .detaches = member->detaches};
	if (held < 0)
		info->state = used ? SHR_MEMBER_UNKNOWN : SHR_MEMBER_FREE;
	else if (held)
		info->state = used ? SHR_MEMBER_ALIVE : SHR_MEMBER_COMING;
	else
		info->state = used ? SHR_MEMBER_DEAD : SHR_MEMBER_FREE;
	memcpy(info->command, member->comm, sizeof(member->comm));
	memcpy(info->role, member->role, sizeof(member->role));
	death_view(&info->death, &member->death, number, own_namespace);
	if (info->death.deaths == DEATH_WRITING)
		info->death = (struct shr_death){.number = number};
}

/* Mend slot @i if its owner is dead. */
static int mend_if_dead(const struct shr_segment *segment, uint32_t i)
{
	const struct shm_member *member = segment_member(segment, i);
	int token, err;

	if (atomic_load_explicit(&member->state, memory_order_acquire) == MEMBER_FREE ||
	    member_held(segment->door, i) != 0)
		return 0;
	err = member_win(segment, i, &token);
	if (err)
		return err == -EBUSY ? 0 : err;
	err = member_mend(segment, i);
	member_release(token, i);
	return err;
}

/* Report the last death in slot @i, if this handle has not yet. */
static int report(struct shr_segment *segment, uint32_t i, uint64_t here,
		  void (*died)(const struct shr_death *death, void *argument), void *argument)
{
	uint64_t seen = atomic_load(&segment->deaths_seen[i]);
	struct shm_member copy;
	struct shr_death death;

	copy_slot(&copy, segment_member(segment, i));
	death_view(&death, &copy.death, i + 1, here);
	if (death.deaths == seen || death.deaths == DEATH_WRITING ||
	    !atomic_compare_exchange_strong(&segment->deaths_seen[i], &seen, death.deaths))
		return 0;
	if (died)
		died(&death, argument);
	return 1;
}

static int check_writer(const struct shr_segment *segment)
{
	if (segment->tag != SEGMENT_TAG)
		return shr_fail(ECHILD, HANDLE_CHILD);
	if (segment->slot == SLOT_NONE)
		return shr_fail(EROFS, HANDLE_OBSERVES);
	return 0;
}

int shr_member_sweep(struct shr_segment *segment,
		     void (*died)(const struct shr_death *death, void *argument), void *argument)
{
	int err = check_writer(segment), reported = 0;
	uint64_t here;

	if (err)
		return err;
	here = boot_pid_namespace();
	for (uint32_t i = 0; i < segment->layout.header.members; i++) {
		int failed = i == segment->slot ? 0 : mend_if_dead(segment, i);

		if (failed && !err)
			err = failed;
		reported += report(segment, i, here, died, argument);
	}
	return reported || !err ? reported : err;
}

/* A pidfd for each living member that has one; how many. */
static int open_pidfds(const struct shr_segment *segment, struct pollfd *fds)
{
	uint64_t here = boot_pid_namespace();
	int n = 0;

	for (uint32_t i = 0; i < segment->layout.header.members; i++) {
		const struct shm_member *member = segment_member(segment, i);
		uint32_t pid = __atomic_load_n(&member->pid, __ATOMIC_RELAXED);
		int fd = -1;

		if (i == segment->slot || member_held(segment->door, i) != 1)
			continue;
#ifdef SYS_pidfd_open
		if (member->pid_namespace == here && pid && pid <= INT32_MAX)
			fd = (int)syscall(SYS_pidfd_open, pid, 0);
#endif
		if (fd >= 0)
			fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	return n;
}

/* Sleep until a hint that somebody has died: 1 or more; or for @timeout_ns: 0; or -EINTR. */
static int sleep_for_death(struct pollfd *fds, int n, int64_t timeout_ns)
{
	const struct timespec timeout = {(time_t)(timeout_ns / 1000000000), timeout_ns % 1000000000};
	int ready = ppoll(fds, (nfds_t)n, &timeout, NULL);

	return ready < 0 ? (errno == EINTR ? -EINTR : 0) : ready;
}

int shr_member_wait_until(struct shr_segment *segment,
			  void (*died)(const struct shr_death *death, void *argument),
			  void *argument, int64_t deadline_ns)
{
	struct pollfd *fds;
	int result = check_writer(segment), hints = 1;

	if (result)
		return result;
	fds = calloc(segment->layout.header.members, sizeof(*fds));
	if (!fds)
		return shr_fail(ENOMEM, "out of memory");
	while (!(result = shr_member_sweep(segment, died, argument))) {
		int64_t now = event_now();
		int n;

		if (now >= deadline_ns)
			result = -ETIMEDOUT;
		else
			result = segment_stale(segment, 1);
		if (result)
			break;
		/* A hint that came to nothing may come again at once: sleep without, then. */
		n = hints ? open_pidfds(segment, fds) : 0;
		result = sleep_for_death(
			fds, n, deadline_ns - now < SLICE_NS ? deadline_ns - now : SLICE_NS);
		for (int i = 0; i < n; i++)
			close(fds[i].fd);
		if (result < 0)
			break;
		hints = !result;
	}
	free(fds);
	return result;
}
