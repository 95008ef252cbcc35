/* SPDX-License-Identifier: MIT */
/* shmring-dump locks: who holds a mutex, who died in one, and since when others wait. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "commands.h"

static const char *name_of_mutex_state(uint32_t state)
{
	static const char *const names[] = {"free", "held", "dirty", "mending", "lost"};

	return state <= SHR_MUTEX_LOST ? names[state] : "?";
}

/* One that a person may want to see: in use, broken, or with a history of deaths. */
static int worth(const struct shr_mutex_info *info)
{
	return info->state != SHR_MUTEX_FREE || info->deaths;
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
		       const struct shr_mutex_info *info)
{
	struct shr_member_info member;

	if (!info->owner || shr_inspect_member(inspect, info->owner, &member))
		return;
	fputs(" by ", stdout);
	put_who(info->owner, member.pid, (int)member.same_namespace, member.command, member.role);
	if (info->thread && info->thread != member.pid)
		printf(", thread %" PRIu32, info->thread);
	if (member.state != SHR_MEMBER_ALIVE)
		printf(", %s%s%s: the next one to lock it gets it and is told", BAD(style),
		       name_of_member_state(member.state), PLAIN(style));
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
		       const char *object, uint32_t number, const struct shr_mutex_info *info)
{
	int bad = info->state == SHR_MUTEX_DIRTY || info->state == SHR_MUTEX_LOST;

	fputs(BOLD(style), stdout);
	text_string(stdout, object);
	printf("[%" PRIu32 "]%s: %s%s%s", number, PLAIN(style), bad ? BAD(style) : "",
	       name_of_mutex_state(info->state), bad ? PLAIN(style) : "");
	put_holder(inspect, style, info);
	if (info->state == SHR_MUTEX_DIRTY)
		fputs(": the next one to lock it is told and mends", stdout);
	if (info->state == SHR_MUTEX_LOST)
		fputs(": unlocked by one who did not mend; shr_mutex_reset() makes it usable", stdout);
	if (info->deaths)
		put_last_dead(inspect, info);
	if (info->waiters && info->owner) {
		fputs("; others wait, ", stdout);
		put_ago(info->waiting_ns);
	}
	putchar('\n');
}

static json_t *locks_json(const char *object, uint32_t number, const struct shr_mutex_info *info)
{
	json_t *json = json_object();

	json_put_bytes(json, "object", object);
	json_put(json, "number", json_integer(number));
	json_put(json, "state", json_string(name_of_mutex_state(info->state)));
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

/* What is counted of all mutexes of an object, also of those not shown. */
struct total {
	uint64_t mutexes, shown;
};

static int locks_object(const struct shr_inspect *inspect, const struct style *style,
			const char *name, uint32_t index, json_t *list, struct total *total)
{
	struct shr_object_info object;
	int result = 0, err = shr_inspect_object(inspect, index, &object);

	if (err)
		return failed(name, err);
	if (object.kind != SHR_OBJECT_MUTEX)
		return 0;
	total->mutexes += object.count;
	for (uint32_t i = 0; i < object.count; i++) {
		struct shr_mutex_info info;

		err = shr_inspect_mutex(inspect, index, i, &info);
		if (err) {
			result = failed(name, err);
			if (err != -EBADMSG)
				break;
			continue;
		}
		if (!worth(&info))
			continue;
		total->shown++;
		if (style->format == FORMAT_TEXT)
			locks_text(inspect, style, object.name, i, &info);
		else
			json_array_append_new(list, locks_json(object.name, i, &info));
	}
	return result;
}

int command_locks(const struct shr_inspect *inspect, const struct style *style, const char *name)
{
	struct shr_segment_info info;
	struct total total = {0, 0};
	json_t *json, *list = json_array();
	int result = 0, err = shr_inspect_segment(inspect, &info);

	for (uint32_t i = 0; !err && i < info.objects; i++) {
		int bad = locks_object(inspect, style, name, i, list, &total);

		result = bad ? bad : result;
	}
	if (err || style->format == FORMAT_TEXT) {
		json_decref(list);
		if (!err)
			printf("%" PRIu64 " of %" PRIu64 " mutexes are held, dirty, or had an owner that "
			       "died\n",
			       total.shown, total.mutexes);
		return err ? failed(name, err) : result;
	}
	json = json_object();
	json_put(json, "v", json_integer(1));
	json_put_bytes(json, "segment", name);
	json_put(json, "mutexes", json_u64(total.mutexes));
	json_put(json, "locks", list);
	show_json(style, json);
	return result;
}
