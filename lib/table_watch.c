/* SPDX-License-Identifier: MIT */
/* L4: wait for a change of a slot or of any; event.h has the protocol of the sleep. */
#include "table.h"

#include <errno.h>

#include "error.h"

struct watch {
	const struct shr_table *table;
	uint32_t slot;
	uint64_t since, now;
};

/* An observer cannot say that it watches: all versions together are another number, too. */
static uint64_t versions(const struct table_view *view)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < view->is.slots; i++)
		sum += table_version(view, i);
	return sum;
}

/*
 * Has something been changed since shr_table_changes() said @since? The bit that it
 * set is cleared by whoever changes something, who may be killed before the rest.
 */
static int changed_since(const struct shr_table *table, uint64_t since, uint64_t *now)
{
	struct shm_event *event = &table->view.shm->event;

	if (!table->me)
		return (*now = versions(&table->view)) != since;
	/* watched:A. Acquire: what was changed. Pairs with changed:A. */
	*now = atomic_load_explicit(&event->sequence, memory_order_acquire);
	return *now != since || !atomic_load_explicit(&event->sleepers, memory_order_acquire);
}

static int attempt(void *argument)
{
	struct watch *watch = argument;

	if (watch->slot == SHR_TABLE_ANY)
		return changed_since(watch->table, watch->since, &watch->now) ? 0 : -EAGAIN;
	watch->now = table_version(&watch->table->view, watch->slot);
	return watch->now == watch->since ? -EAGAIN : 0;
}

uint64_t shr_table_changes(struct shr_table *table)
{
	uint32_t sequence;

	if (!table->tag)
		return 0;
	if (!table->me)
		return versions(&table->view);
	/* watched:A. The bit, then whatever the caller looks at. Pairs with changed:A. */
	event_prepare(&table->view.shm->event, table->segment->membarrier, &sequence);
	return sequence;
}

int shr_table_wait_until(struct shr_table *table, uint32_t slot, uint64_t since, int64_t deadline_ns,
			 uint64_t *now)
{
	struct watch watch = {.table = table, .slot = slot, .since = since};
	const int64_t slice_last = EVENT_SLICE_NS;
	int err;

	if (!table->tag || (slot != SHR_TABLE_ANY && slot >= table->view.is.slots))
		return table_refuse(table, slot);
	err = attempt(&watch);
	if (err == -EAGAIN)
		err = event_await(table->segment, &table->looked_ns, &table->view.shm->event,
				  deadline_ns, attempt, &watch, &slice_last);
	if (!err && now)
		*now = slot == SHR_TABLE_ANY ? shr_table_changes(table) : watch.now;
	return err;
}

/* In the thread of the descriptor. */
static int fd_ready(void *argument)
{
	const struct shr_table *table = argument;

	uint64_t now;

	return changed_since(table, atomic_load_explicit(&table->armed, memory_order_relaxed), &now);
}

int shr_table_fd(struct shr_table *table)
{
	int err;

	if (!table->tag)
		return table_refuse(table, 0);
	if (!table->fd) {
		err = event_fd_open(&table->fd, table->segment, &table->view.shm->event, fd_ready, table);
		if (err)
			return err;
	}
	return event_fd_number(table->fd);
}

int shr_table_arm(struct shr_table *table, uint64_t since)
{
	if (!table->tag)
		return table_refuse(table, 0);
	if (!table->fd)
		return shr_fail(EINVAL, "there is no descriptor: shr_table_fd() first");
	atomic_store_explicit(&table->armed, since, memory_order_relaxed);
	event_fd_arm(table->fd, 0);
	return 0;
}
