/* SPDX-License-Identifier: MIT */
/*
 * SIGKILL at each point of every call of tables that changes something, in tables of
 * every mode and state, among them those that an earlier death has left, and those
 * where the lock that is wanted belongs to somebody who is stopped; and then the whole
 * account, by a process that was there before (even points) or by a fresh one (odd
 * points). Half of the times that sweeps first, else it mends what it meets.
 *
 *	torture-table-step	after every instruction (step.h)
 *	torture-table-points	at kill points of the library
 *
 * usage: torture-table-step [STRIDE [PATTERN]]   every STRIDE-th point, about; 1: all.
 *	  PATTERN: only scenarios whose names contain it
 *
 * What must hold. An observer, before anything is mended, sees of each key what is
 * noted that it may be: the record as one of those who changed it made it, or that it is
 * not there, and torn only in place, where somebody died inside an update. What it saw
 * is what there is from then on. Each record can be changed, the table be filled and
 * emptied; the index has each used slot once, and nothing else; no lock is held.
 * Who watched is told of what the victim did.
 */
#include "table-states.h"

#ifdef SHR_KILL_POINTS
#define STRIDE 2
#else
#define STRIDE 2000
#endif

/* --- Calls ------------------------------------------------------------------------- */

static void call_insert(void)
{
	MUST(put(TARGET, BY_VICTIM) != (now.state == FULL ? -ENOSPC : 0));
}

static void call_insert_again(void)
{
	struct account account = account_of(TARGET, BY_VICTIM);

	MUST(shr_table_insert(table, &account, sizeof(account), NULL) != -EEXIST);
}

static void call_remove(void)
{
	uint32_t slot = slot_of(TARGET);

	allow_too(TARGET, ABSENT);
	take(TARGET, shr_table_remove(table, slot));
}

static void call_remove_key(void)
{
	allow_too(TARGET, ABSENT);
	take(TARGET, shr_table_remove_key(table, &(uint64_t){TARGET}, sizeof(uint64_t)));
}

static void call_update(void)
{
	uint32_t slot = slot_of(TARGET);
	void *record;
	int err;

	may_change(TARGET, BY_VICTIM);
	err = shr_table_begin(table, slot, &record);
	change(TARGET, slot, record, BY_VICTIM, err);
}

static void call_update_key(void)
{
	update(TARGET, BY_VICTIM);
}

static void call_begin_until(void)
{
	uint32_t slot = slot_of(TARGET);
	void *record;
	int err;

	may_change(TARGET, BY_VICTIM);
	err = shr_table_begin_until(table, slot, &record, shr_deadline_ns(300000));
	if (err != -ETIMEDOUT)
		change(TARGET, slot, record, BY_VICTIM, err);
	else
		MUST(now.state != HELD_SLOT);
}

/* In place: only what is torn is given up. */
static void call_abort(void)
{
	uint32_t slot = slot_of(TARGET);
	void *record;
	int err;

	if (now.mode == SHR_TABLE_IN_PLACE)
		allow_too(TARGET, TORN);
	err = shr_table_begin(table, slot, &record);
	MUST(err && err != -EOWNERDEAD);
	if (now.mode == SHR_TABLE_IN_PLACE && !err) {
		MUST(shr_table_abort(table, slot) != -EOPNOTSUPP);
		MUST(shr_table_commit(table, slot));
		return;
	}
	set_account(record, BY_VICTIM);
	MUST(shr_table_abort(table, slot));
}

static void call_write(void)
{
	struct account account = account_of(TARGET, BY_VICTIM);
	uint32_t slot = slot_of(TARGET);

	may_change(TARGET, BY_VICTIM);
	MUST(shr_table_write(table, slot, &account, sizeof(account)));
	allow(TARGET, 1u << BY_VICTIM);
}

/* All but what is the same in all versions; torn records want all. */
static void call_write_part(void)
{
	struct account account = account_of(TARGET, BY_VICTIM);
	uint32_t slot = slot_of(TARGET);
	int err;

	may_change(TARGET, BY_VICTIM);
	err = shr_table_write(table, slot, &account, offsetof(struct account, echo));
	if (err == -EOWNERDEAD)
		err = shr_table_write(table, slot, &account, sizeof(account));
	MUST(err);
	allow(TARGET, 1u << BY_VICTIM);
}

static void call_compare_set(void)
{
	uint32_t slot = slot_of(TARGET), before = ledger->may[TARGET];
	uint64_t value = 0;

	allow(TARGET, before | before << 1);
	MUST(shr_table_fetch(table, slot, offsetof(struct account, stamp), &value));
	MUST(shr_table_compare_set(table, slot, offsetof(struct account, stamp), &value,
				   value + 1));
	allow(TARGET, 1u << (value + 1));
}

/* Readers leave nothing, wherever they die. */
static void call_read(void)
{
	struct account account;
	struct shr_slot_info info;
	uint64_t key = TARGET, value;
	uint32_t slot;
	int err = shr_table_read_key(table, &key, sizeof(key), &account, sizeof(account), &info);

	MUST(err && !(err == -EAGAIN && ledger->may[key] & 1u << TORN));
	MUST(!err && !is_account(&account));
	slot = slot_of(key);
	MUST(shr_table_get(table, slot, &info, NULL));
	MUST(now.mode == SHR_TABLE_COUNTERS && shr_table_fetch(table, slot, 8, &value));
	for (slot = 0; !shr_table_next(table, &slot); slot++)
		;
}

static void call_watch(void)
{
	uint64_t since = shr_table_changes(table), later;
	int err =
		shr_table_wait_until(table, SHR_TABLE_ANY, since, shr_deadline_ns(200000), &later);

	MUST(err && err != -ETIMEDOUT);
}

static void call_close(void)
{
	MUST(shr_table_close(table));
}

static void call_sweep(void)
{
	MUST(shr_member_sweep(shr_table_segment(table), NULL, NULL) < 0);
}

static void call_attach(void)
{
	MUST(attach_as(0));
}

enum {
	UPDATED = 1 << SHR_TABLE_ATOMIC | 1 << SHR_TABLE_IN_PLACE,
	COUNTED = 1 << SHR_TABLE_COUNTERS,
	ANY = UPDATED | COUNTED
};

static const struct call calls[] = {
	{"insert", 1, 0, ANY, call_insert},
	{"insert what is there", 0, 0, ANY, call_insert_again},
	{"remove", 0, 0, ANY, call_remove},
	{"remove by key", 0, 0, ANY, call_remove_key},
	{"begin, commit", 0, 0, UPDATED, call_update},
	{"begin by key, commit", 0, 0, UPDATED, call_update_key},
	{"begin until", 0, 0, UPDATED, call_begin_until},
	{"abort", 0, 0, UPDATED, call_abort},
	{"write", 0, 0, UPDATED, call_write},
	{"write a part", 0, 0, UPDATED, call_write_part},
	{"add", 0, 0, COUNTED, call_update_key},
	{"fetch, compare and set", 0, 0, COUNTED, call_compare_set},
	{"read", 0, 0, ANY, call_read},
	{"watch", 0, 0, ANY, call_watch},
	{"close", 0, 0, ANY, call_close},
	{"sweep", 0, 0, ANY, call_sweep},
	{"attach", 0, 1, ANY, call_attach},
};

static int possible(void)
{
	int comes_for_the_dead = now.call->run == call_sweep || now.call->run == call_attach;

	if (!(now.call->modes & 1 << now.mode))
		return 0;
	if (comes_for_the_dead && (now.state < DEAD_UPDATE || now.state >= HELD_SLOT))
		return 0;
	return state_possible();
}

/* --- What must hold ---------------------------------------------------------------- */

static uint64_t since; /* what shr_table_changes() was, before the victim's call */

/* Which version of @key there is: one that may be, and from now on it is that one. */
static void look(struct shr_table *observer, uint64_t key)
{
	struct account account = {0};
	int err = shr_table_read_key(observer, &key, sizeof(key), &account, sizeof(account), NULL);
	uint64_t seen = err == -ENOENT ? ABSENT : err == -EAGAIN ? TORN : account.stamp;

	CHECK(!err || err == -ENOENT || err == -EAGAIN);
	if (!failures && !err && !(account.key == key && is_account(&account)))
		fail("key %d is not whole", (int)key);
	if (!failures && (seen > TORN || !(ledger->may[key] & 1u << seen)))
		fail("key %d is of version %d, and may be 0x%x", (int)key, (int)seen,
		     ledger->may[key]);
	if (!failures)
		allow(key, 1u << seen);
}

static void look_at_all(void)
{
	struct shr_table *own = table;

	if (attach_as(SHR_SEGMENT_OBSERVE)) {
		fail("an observer: %s", shr_last_error());
	} else {
		for (uint64_t key = 0; key < KEYS; key++)
			look(table, key);
		CHECK(!shr_table_close(table));
	}
	table = own;
}

/* Everybody can go on with @key. */
static void change_again(uint64_t key)
{
	int is_torn = ledger->may[key] == 1u << TORN, err;
	uint32_t slot;
	void *record;

	if (ledger->may[key] == 1u << ABSENT)
		return;
	ledger->torn += (uint64_t)is_torn;
	if (now.mode == SHR_TABLE_COUNTERS) {
		CHECK(!shr_table_find(table, &key, sizeof(key), &slot));
		CHECK(!shr_table_add(table, slot, offsetof(struct account, stamp), 1, NULL));
		allow(key, ledger->may[key] << 1);
		return;
	}
	if (is_torn) { /* given up, it is told again; it can be put anew, too */
		CHECK(shr_table_begin_key(table, &key, sizeof(key), &slot, &record) == -EOWNERDEAD);
		CHECK(!shr_table_abort(table, slot));
		if (ledger->torn & 1) {
			CHECK(!shr_table_remove_key(table, &key, sizeof(key)));
			CHECK(!put(key, BY_CHECK));
			return;
		}
	}
	err = shr_table_begin_key(table, &key, sizeof(key), &slot, &record);
	CHECK(err == (is_torn ? -EOWNERDEAD : 0));
	if (failures)
		return;
	set_account(record, BY_CHECK);
	CHECK(((struct account *)record)->key == key);
	CHECK(!shr_table_commit(table, slot));
	allow(key, 1u << BY_CHECK);
}

/* To the last slot, and as it was. */
static void fill_and_empty(void)
{
	uint64_t key = KEYS, there = 0;
	struct account account;

	for (uint64_t i = 0; i < KEYS; i++)
		there += ledger->may[i] != 1u << ABSENT;
	for (; there < SLOTS; there++, key++) {
		account = account_of(key, MADE);
		CHECK(!shr_table_insert(table, &account, sizeof(account), NULL));
		CHECK(!shr_table_read_key(table, &key, sizeof(key), &account, sizeof(account),
					  NULL));
		CHECK(account.key == key && is_account(&account));
	}
	account = account_of(key, MADE);
	CHECK(shr_table_insert(table, &account, sizeof(account), NULL) == -ENOSPC);
	while (key-- > KEYS)
		CHECK(!shr_table_remove_key(table, &key, sizeof(key)));
}

/* By the victim: in a state where nobody else did anything. */
static int something_changed(void)
{
	uint32_t target = ledger->may[TARGET];

	return target != 1u << (now.call->inserts ? ABSENT : MADE);
}

static void check(int sweeps, int may_be_told)
{
	struct shr_member_info member;
	struct shr_table_status status;
	const char *bad;

	look_at_all();
	if (sweeps)
		CHECK(shr_member_sweep(shr_table_segment(table), NULL, NULL) >= 0);
	/* Of a number without a lock nobody is told. */
	if (now.state == WATCHED && may_be_told && !failures && something_changed() &&
	    !(now.mode == SHR_TABLE_COUNTERS && ledger->may[TARGET] != 1u << ABSENT &&
	      !now.call->inserts))
		CHECK(!shr_table_wait_until(table, SHR_TABLE_ANY, since, 0, NULL));
	for (uint64_t key = 0; key < KEYS && !failures; key++)
		change_again(key);
	if (!failures)
		fill_and_empty();
	if (!failures)
		look_at_all();
	CHECK(shr_member_sweep(shr_table_segment(table), NULL, NULL) >= 0);
	for (uint32_t i = 1; !shr_member_get(shr_table_segment(table), i, &member); i++)
		CHECK(member.state == SHR_MEMBER_FREE || i == table->me ||
		      (i == 1 && member.state == SHR_MEMBER_ALIVE));
	bad = table_sound(table);
	if (bad && !failures)
		fail("%s", bad);
	CHECK(!shr_table_stat(table, &status));
	ledger->takeovers += status.takeovers;
	ledger->repairs += status.repairs;
	ledger->rebuilds += status.rebuilds;
}

/* --- One point --------------------------------------------------------------------- */

static int ready[2], begin[2]; /* pipes: the victim has attached; the state is brought about */

static void pass_on(int to)
{
	ssize_t n = write(to, "", 1);

	(void)n;
}

static void wait_for(int from)
{
	char byte;
	ssize_t n = read(from, &byte, 1);

	(void)n;
}

/* It attaches before others die, so that it meets what they left; unless the call attaches. */
static pid_t start_victim(void)
{
	pid_t pid = fork();

	if (pid) {
		wait_for(ready[0]);
		return pid;
	}
	reached = 0;
	if (!now.call->attaches && attach_as(0)) /* it has no table then */
		snprintf(ledger->what, sizeof(ledger->what), "attach: %s", shr_last_error());
	pass_on(ready[1]);
	wait_for(begin[0]);
	say(&ledger->told, 1);
	if (now.call->attaches) {
		points_begin_at_lock();
	} else {
		MUST(!table);
		points_begin();
	}
	now.call->run();
	points_end();
	_exit(0);
}

static int is_asleep(pid_t pid)
{
	char path[64], text[256];
	const char *state = NULL;
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stream = fopen(path, "re");
	if (stream && fgets(text, sizeof(text), stream))
		state = strrchr(text, ')');
	if (stream)
		fclose(stream);
	return state && state[2] == 'S';
}

/* Its exit status, or -signal. Once it sleeps, whoever holds what it wants goes on, or dies. */
static int wait_for_victim(pid_t victim, int holder_dies)
{
	int64_t end = clock_ns() + 20000000000;
	int status;

	while (holder && waitpid(victim, &status, WNOHANG) != victim) {
		if ((!ledger->told || !is_asleep(victim)) && clock_ns() < end) {
			usleep(50);
			continue;
		}
		kill(holder, holder_dies ? SIGKILL : SIGCONT);
		CHECK(ended(holder) == (holder_dies ? -SIGKILL : 0));
		holder = 0;
	}
	if (!holder)
		return ended(victim);
	kill(holder, holder_dies ? SIGKILL : SIGCONT);
	CHECK(ended(holder) == (holder_dies ? -SIGKILL : 0));
	holder = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int check_by_fresh(int sweeps)
{
	pid_t pid = fork();

	if (!pid) {
		if (attach_as(0))
			fail("attach: %s", shr_last_error());
		else
			check(sweeps, 1); /* it has the place of the dead */
		memcpy(ledger->what, what, sizeof(what));
		if (!failures)
			CHECK(!shr_table_close(table));
		_exit(failures ? 98 : 0);
	}
	return ended(pid);
}

static int run_point(const void *unused, unsigned long point)
{
	uint64_t sums[4] = {ledger->takeovers, ledger->repairs, ledger->rebuilds, ledger->torn};
	int status = 0;
	pid_t victim;

	(void)unused;
	memset(ledger, 0, sizeof(*ledger));
	ledger->takeovers = sums[0];
	ledger->repairs = sums[1];
	ledger->rebuilds = sums[2];
	ledger->torn = sums[3];
	limit = point;
	make();
	populate();
	victim = start_victim();
	bring_about();
	if (now.state >= WATCHED)
		since = shr_table_changes(table);
	pass_on(begin[1]);
	status = wait_for_victim(victim, point % 8 >= 6);
	if (!failures && status && status != -SIGKILL)
		fail("the call itself failed: %d %s", status, ledger->what);
	if (!failures && point & 1) {
		if (check_by_fresh(point >> 1 & 1))
			fail("a fresh process: %s", ledger->what);
	} else if (!failures) {
		check(point >> 1 & 1, point >> 1 & 1);
	}
	if (!failures)
		CHECK(!shr_table_close(table));
	shr_segment_unlink(name);
	return status == -SIGKILL;
}

#ifdef SHR_KILL_POINTS
static void check_labels(void)
{
	static const char *const wanted[] = {"table:begun",     "table:buried",   "table:clearing",
					     "table:committed", "table:copied",   "table:indexed",
					     "table:rebuilt",   "table:repaired", "table:told",
					     "table:torn",      "table:unused",   "table:used",
					     "table:written"};

	labels_check(wanted, sizeof(wanted) / sizeof(wanted[0]));
}
#endif

/* This call in this mode: 1 if it is wrong in any state. */
static int run_states(unsigned long stride, const char *pattern)
{
	unsigned long points = 0, point = 0;
	char scenario[200], one[200] = "";
	int states = 0;

	failures = 0;
	for (int state = 0; state < STATES && !failures; state++) {
		now.state = state;
		snprintf(scenario, sizeof(scenario), "%s, %s: %s", mode_names[now.mode],
			 state_names[state], now.call->name);
		if (!possible() || !strstr(scenario, pattern))
			continue;
		snprintf(one, sizeof(one), "%s", scenario);
		states++;
		points += step_points(run_point, NULL, stride, &point);
	}
	if (!states || (!points && !failures)) /* a call without a kill point */
		return 0;
	if (!failures && states > 1)
		snprintf(one, sizeof(one), "%s, %d states: %s", mode_names[now.mode], states,
			 now.call->name);
	step_result(one, points, stride);
	if (failures)
		printf("# point %lu: %s\n", point, what);
	fflush(stdout);
	return failures != 0;
}

/* It would prove nothing if nobody had died inside. */
static int check_sums(void)
{
	printf("# torn records: %lu; locks of slots taken over: %lu; repairs: %lu; rebuilds: %lu\n",
	       (unsigned long)ledger->torn, (unsigned long)ledger->takeovers,
	       (unsigned long)ledger->repairs, (unsigned long)ledger->rebuilds);
	cases++;
	failures = !ledger->torn || !ledger->takeovers || !ledger->repairs || !ledger->rebuilds;
	printf("%s %d - each kind of death was met\n", failures ? "not ok" : "ok", cases);
	return failures;
}

int main(int argc, char **argv)
{
	unsigned long stride = argc > 1 ? strtoul(argv[1], NULL, 10) : STRIDE;
	const char *pattern = argc > 2 ? argv[2] : "";
	int bad = 0;

#ifdef SHR_KILL_POINTS
	labels = shared_page();
#elif !defined(__x86_64__)
	printf("1..0 # SKIP: needs the trap flag of x86-64\n");
	return 0;
#endif
	if (pipe(ready) || pipe(begin))
		return 99;
	ledger = shared_page();
	srand(1);
	snprintf(name, sizeof(name), "/shmring-torture-table-%d", (int)getpid());
	for (now.mode = 0; now.mode <= SHR_TABLE_COUNTERS; now.mode++)
		for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
			now.call = &calls[c];
			bad += run_states(stride ? stride : 1, pattern);
		}
	if (!*pattern)
		bad += check_sums();
#ifdef SHR_KILL_POINTS
	if (!*pattern) {
		failures = 0;
		check_labels();
		bad += failures;
	}
#endif
	printf("# %lu points\n1..%d\n", all_points, cases);
	return bad ? 1 : 0;
}
