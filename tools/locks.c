/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump locks: who holds a mutex or a lock of a table, who died in one, and since
 * when others wait.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "commands.h"

static const char *name_of_mutex_state(uint32_t state)
{
	static const char *const names[] = {"free", "held", "dirty", "mending", "lost"};

	return state <= SHR_MUTEX_LOST ? names[state] : "?";
}

/* What is looked at: number @number of @object. */
struct lock {
	enum { LOCK_MUTEX, LOCK_INDEX, LOCK_SLOT } kind;
	const char *object;
	uint32_t number;
	int torn; /* the record of a slot */
	struct shr_mutex_info info;
};

/* One that a person may want to see: in use, broken, or with a history of deaths. */
static int worth(const struct lock *lock)
{
	return lock->info.state != SHR_MUTEX_FREE || lock->info.deaths || lock->torn;
}

static void put_who(uint32_t number, uint32_t pid, int same_namespace, const char *command,
		    const char *role)
{
	printf("member %" PRIu32 ", pid %" PRIu32 "%s ", number, pid,
	       same_namespace ? "" : " (of another namespace)");
	text_string(stdout, command);
	if (role[0]) {
		fputs(" as ", stdout);
		text_string(stdout, role);
	}
}

static void put_ago(uint64_t then_ns)
{
	struct timespec now;
	double seconds;

	clock_gettime(CLOCK_REALTIME, &now);
	seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - 1e-9 * (double)then_ns;
	printf("for about %.1f s", seconds < 0 ? 0 : seconds);
}

/* Who holds it; what to do is the next one's to lock it, or said. */
static void put_holder(const struct shr_inspect *inspect, const struct style *style,
		       const struct lock *lock)
{
	const struct shr_mutex_info *info = &lock->info;
	struct shr_member_info member;

	if (!info->owner || shr_inspect_member(inspect, info->owner, &member))
		return;
	fputs(" by ", stdout);
	put_who(info->owner, member.pid, (int)member.same_namespace, member.command, member.role);
	if (info->thread && info->thread != member.pid)
		printf(", thread %" PRIu32, info->thread);
	if (member.state != SHR_MEMBER_ALIVE)
		printf(", %s%s%s: the next one to lock it %s", BAD(style),
		       name_of_member_state(member.state), PLAIN(style),
		       lock->kind == LOCK_MUTEX ? "gets it and is told" : "takes it over");
}

/* What is to be done with one that nobody holds. */
static void put_advice(const struct lock *lock)
{
	if (lock->info.state == SHR_MUTEX_DIRTY)
		fputs(lock->kind == LOCK_MUTEX   ? ": the next one to lock it is told and mends"
		      : lock->kind == LOCK_INDEX ? ": the next one to insert or remove mends"
						 : ": the next one to begin takes it over",
		      stdout);
	if (lock->info.state == SHR_MUTEX_LOST)
		fputs(lock->kind == LOCK_MUTEX
			      ? ": unlocked by one who did not mend; shr_mutex_reset() "
				"makes it usable"
			      : ": spoilt by a peer; make the segment anew",
		      stdout);
	if (lock->torn)
		fputs("; the record is torn: the next one to begin is told and repairs it", stdout);
}

static void put_last_dead(const struct shr_inspect *inspect, const struct shr_mutex_info *info)
{
	struct shr_member_info member;

	printf("; died inside: %" PRIu32, info->deaths);
	if (!info->last_dead || shr_inspect_member(inspect, info->last_dead, &member) ||
	    !member.death.deaths)
		return;
	fputs(", the last one ", stdout);
	put_who(info->last_dead, member.death.pid, (int)member.death.same_namespace,
		member.death.command, member.death.role);
}

static void locks_text(const struct shr_inspect *inspect, const struct style *style,
		       const struct lock *lock)
{
	const struct shr_mutex_info *info = &lock->info;
	int bad = info->state == SHR_MUTEX_DIRTY || info->state == SHR_MUTEX_LOST;

	fputs(BOLD(style), stdout);
	text_string(stdout, lock->object);
	if (lock->kind == LOCK_INDEX)
		fputs(" insert and remove", stdout);
	else
		printf("[%" PRIu32 "]", lock->number);
	printf("%s: %s%s%s", PLAIN(style), bad ? BAD(style) : "", name_of_mutex_state(info->state),
	       bad ? PLAIN(style) : "");
	put_holder(inspect, style, lock);
	put_advice(lock);
	if (info->deaths)
		put_last_dead(inspect, info);
	if (info->waiters && info->owner) {
		fputs("; others wait, ", stdout);
		put_ago(info->waiting_ns);
	}
	putchar('\n');
}

static json_t *locks_json(const struct lock *lock)
{
	static const char *const kinds[] = {"mutex", "table", "slot"};
	const struct shr_mutex_info *info = &lock->info;
	json_t *json = json_object();

	json_put_bytes(json, "object", lock->object);
	json_put(json, "kind", json_string(kinds[lock->kind]));
	if (lock->kind != LOCK_INDEX)
		json_put(json, "number", json_integer(lock->number));
	json_put(json, "state", json_enum(name_of_mutex_state(info->state), info->state));
	if (lock->kind == LOCK_SLOT)
		json_put(json, "torn", json_boolean(lock->torn));
	json_put(json, "owner", json_integer(info->owner));
	json_put(json, "thread", json_integer(info->thread));
	json_put(json, "waiters", json_boolean(info->waiters && info->owner));
	json_put(json, "waiting_ns", json_u64(info->waiters && info->owner ? info->waiting_ns : 0));
	json_put(json, "acquired", json_u64(info->acquired));
	json_put(json, "waited", json_u64(info->waited));
	json_put(json, "deaths", json_integer(info->deaths));
	json_put(json, "last_dead", json_integer(info->last_dead));
	return json;
}

/* What is counted of all, also of those not shown. */
struct total {
	uint64_t mutexes, shown;
	uint64_t slots, slots_shown; /* locks of tables, one more than slots each */
};

struct listing {
	const struct shr_inspect *inspect;
	const struct style *style;
	const char *name;
	json_t *list;
	struct total total;
};

/* A lock: 0, or -errno. Of slots the next that is to see, or the end at @count. */
static int get_lock(const struct listing *listing, uint32_t index, uint32_t mode, struct lock *lock,
		    uint32_t count)
{
	const struct shr_inspect *inspect = listing->inspect;
	struct shr_member_info member;
	struct shr_slot_info slot;
	int found;

	lock->torn = 0;
	if (lock->kind == LOCK_MUTEX)
		return shr_inspect_mutex(inspect, index, lock->number, &lock->info);
	if (lock->kind == LOCK_INDEX)
		return shr_inspect_table_lock(inspect, index, &lock->info);
	found = shr_inspect_next_lock(inspect, index, &lock->number, &slot, &lock->info);
	if (!found)
		lock->number = count;
	if (found > 0 && mode == SHR_TABLE_IN_PLACE && slot.generation & slot.sequence & 1)
		lock->torn = !lock->info.owner ||
			     (!shr_inspect_member(inspect, lock->info.owner, &member) &&
			      member.state == SHR_MEMBER_DEAD);
	return found < 0 ? found : 0;
}

/* @lock and those after it, up to @count; @mode: of a table. The exit status. */
static int locks_some(struct listing *listing, uint32_t index, uint32_t mode, struct lock lock,
		      uint32_t count, uint64_t *shown)
{
	char which[PATH_MAX + 80];
	int result = 0, err = 0;

	for (; lock.number < count && (!err || err == -EBADMSG); lock.number++) {
		err = get_lock(listing, index, mode, &lock, count);
		if (lock.number == count)
			break;
		if (err) {
			snprintf(which, sizeof(which), "%s: %s[%" PRIu32 "]", listing->name,
				 lock.object, lock.number);
			result = failed(lock.kind == LOCK_INDEX ? listing->name : which, err);
			continue;
		}
		if (!worth(&lock))
			continue;
		++*shown;
		if (listing->style->format == FORMAT_TEXT)
			locks_text(listing->inspect, listing->style, &lock);
		else
			json_array_append_new(listing->list, locks_json(&lock));
	}
	return result;
}

static int locks_object(struct listing *listing, uint32_t index)
{
	struct total *total = &listing->total;
	struct shr_table_status table = {0};
	struct shr_object_info object;
	int bad, result, err = shr_inspect_object(listing->inspect, index, &object);

	if (err)
		return failed(listing->name, err);
	if (object.kind == SHR_OBJECT_MUTEX) {
		total->mutexes += object.count;
		return locks_some(listing, index, 0,
				  (struct lock){LOCK_MUTEX, object.name, 0, 0, {0}}, object.count,
				  &total->shown);
	}
	if (object.kind != SHR_OBJECT_TABLE)
		return 0;
	err = shr_inspect_table(listing->inspect, index, &table);
	if (err)
		return failed(listing->name, err);
	total->slots += (uint64_t)table.slots + 1;
	bad = locks_some(listing, index, 0, (struct lock){LOCK_INDEX, object.name, 0, 0, {0}}, 1,
			 &total->slots_shown);
	result = locks_some(listing, index, table.mode,
			    (struct lock){LOCK_SLOT, object.name, 0, 0, {0}}, table.slots,
			    &total->slots_shown);
	return result ? result : bad;
}

int command_locks(const struct shr_inspect *inspect, const struct style *style, const char *name)
{
	struct listing listing = {
		.inspect = inspect, .style = style, .name = name, .list = json_array()};
	const struct total *total = &listing.total;
	struct shr_segment_info info;
	int result = 0, err = shr_inspect_segment(inspect, &info);
	json_t *json;

	for (uint32_t i = 0; !err && i < info.objects; i++) {
		int bad = locks_object(&listing, i);

		result = bad ? bad : result;
	}
	if (err || style->format == FORMAT_TEXT) {
		json_decref(listing.list);
		if (err)
			return failed(name, err);
		if (total->mutexes || !total->slots)
			printf("%" PRIu64 " of %" PRIu64
			       " mutexes are held, dirty, or had an owner that "
			       "died\n",
			       total->shown, total->mutexes);
		if (total->slots)
			printf("%" PRIu64 " of %" PRIu64
			       " locks of tables are held, dirty, or had an "
			       "owner that died\n",
			       total->slots_shown, total->slots);
		return result;
	}
	json = json_object();
	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	json_put(json, "mutexes", json_u64(total->mutexes));
	json_put(json, "table_locks", json_u64(total->slots));
	json_put(json, "locks", listing.list);
	show_json(style, json);
	return result;
}
