/* SPDX-License-Identifier: MIT */
/*
 * SIGKILL at each point of every call of rings that changes something, in rings of
 * every kind and state, the recovery from an earlier death among them; and then the
 * whole account (account.h, settle.h), by a process that was there before (even points)
 * or by a fresh one that attaches to the slot of the dead (odd points). Half of the times
 * that sweeps first, else it mends what it meets.
 *
 *	torture-ring-step	after every instruction (step.h)
 *	torture-ring-points	at every kill point of the library
 *
 * usage: torture-ring-step [STRIDE [PATTERN]]   every STRIDE-th point, about; 1: all.
 *	  Without it of some of the states only.
 *	  PATTERN: only scenarios whose names contain it
 *
 * A scenario is a call in a kind of ring in a state. Each point has a segment of its
 * own. Positions start just below 2^64. Prints TAP, one line for a kind and a call, with
 * the number of points in all states.
 */
#include "states.h"

#ifdef SHR_KILL_POINTS
#define STRIDE 2
#else
#define STRIDE 5000
#endif

/* --- Calls ------------------------------------------------------------------------- */

static void call_write(void)
{
	put(producer, P_VICTIM, WRITE);
	put(producer, P_VICTIM, WRITE);
}

static void call_shorter(void)
{
	put(producer, P_VICTIM, SHORTER);
	put(producer, P_VICTIM, SHORTER);
}

static void call_writev(void)
{
	put(producer, P_VICTIM, WRITEV);
}

static void call_write_many(void)
{
	put_many(producer, P_VICTIM, 4);
}

static void reserve_some(void)
{
	void *payload;
	int err;

	NOTE(ledger->dropping[P_VICTIM], 1);
	err = shr_producer_reserve(producer, 50, &payload);
	if (err == -ENOBUFS)
		NOTE(ledger->dropped[P_VICTIM], ledger->dropped[P_VICTIM] + 1);
	NOTE(ledger->dropping[P_VICTIM], 0);
	if (!err)
		memset(payload, 0xff, 50);
}

static void call_abort(void)
{
	reserve_some();
	shr_producer_abort(producer);
	put(producer, P_VICTIM, WRITE);
}

static void call_close_reserved(void)
{
	reserve_some();
	shr_producer_close(producer);
}

static void call_open_producer(void)
{
	if (shr_producer_open(&producer, ring))
		_exit(1);
	put(producer, P_VICTIM, WRITE);
	shr_producer_close(producer);
}

static int victims_cursor(void)
{
	return now.call->side == OF_LOSSY ? C_LOSSY : C_DEFAULT;
}

static void call_next_release(void)
{
	struct shr_record record;

	for (int i = 0; i < 2; i++)
		if (!get(cursor, victims_cursor(), &record))
			release(cursor, victims_cursor());
}

static void call_release_many(void)
{
	struct shr_record record;

	for (int i = 0; i < 12 && !get(cursor, victims_cursor(), &record); i++)
		;
	release(cursor, victims_cursor());
}

static void call_read(void)
{
	read_some(cursor, victims_cursor(), 1);
	read_some(cursor, victims_cursor(), 1);
}

static void call_read_many(void)
{
	read_some(cursor, victims_cursor(), 4);
}

static void open_victims_cursor(void)
{
	if (shr_cursor_open(&cursor, ring, is_queue(now.kind) ? NULL : cursor_names[victims_cursor()]))
		_exit(1);
}

static void call_open_cursor(void)
{
	struct shr_record record;

	open_victims_cursor();
	get(cursor, victims_cursor(), &record);
	shr_cursor_close(cursor);
}

static void call_ack(void)
{
	struct shr_record record[3];
	int n = 0;

	while (n < 3 && !get(cursor, 0, &record[n]))
		n++;
	if (n > 1)
		finish(cursor, &record[1], 1);
	if (n > 0)
		finish(cursor, &record[0], 1);
}

static void call_nack(void)
{
	struct shr_record record[3];
	int n = 0;

	while (n < 3 && !get(cursor, 0, &record[n]))
		n++;
	if (n > 0)
		finish(cursor, &record[0], 0);
	if (n > 1)
		finish(cursor, &record[1], 1);
	if (!get(cursor, 0, &record[0]))
		finish(cursor, &record[0], 1);
}

static void call_ack_all(void)
{
	struct shr_record record;
	struct head head[3];
	int n = 0;

	while (n < 3 && !get(cursor, 0, &record))
		head[n++] = head_of(&record);
	for (int i = 0; i < n; i++)
		note_queue(&head[i], Q_ACKING);
	if (!shr_cursor_release(cursor))
		for (int i = 0; i < n; i++)
			note_queue(&head[i], Q_ACKED);
}

static void create_and_read(uint32_t flags, uint32_t join)
{
	struct shr_record record;

	NOTE(ledger->cursor[C_MADE].unknown, 1);
	cursor = open_cursor("made", SHR_CURSOR_CREATE | flags, join);
	if (!cursor)
		_exit(1);
	if (!get(cursor, C_MADE, &record))
		release(cursor, C_MADE);
	shr_cursor_close(cursor);
}

static void call_create_oldest(void)
{
	create_and_read(0, SHR_JOIN_OLDEST);
}

static void call_create_newest(void)
{
	create_and_read(SHR_CURSOR_DURABLE, SHR_JOIN_NEWEST);
}

static void call_create_lossy(void)
{
	create_and_read(SHR_CURSOR_LOSSY, SHR_JOIN_OLDEST);
}

static void call_remove(void)
{
	if (shr_ring_remove_cursor(ring, cursor_names[cursor_there(C_SECOND) ? C_SECOND : C_LOSSY]))
		_exit(1);
}

static void call_sweep(void)
{
	if (shr_member_sweep(segment, NULL, NULL) < 0)
		_exit(1);
}

static void call_attach(void)
{
	if (attach())
		_exit(1);
}

static const struct call calls[] = {
	{"write", OF_PRODUCER, 0, 0, is_any, call_write},
	{"shorter commit", OF_PRODUCER, 0, 0, is_any, call_shorter},
	{"writev", OF_PRODUCER, 0, 0, is_any, call_writev},
	{"write many", OF_PRODUCER, 0, 0, is_any, call_write_many},
	{"abort", OF_PRODUCER, 0, 0, is_any, call_abort},
	{"close with a reservation", OF_PRODUCER, 0, 0, is_any, call_close_reserved},
	{"open, write, close", OF_PRODUCER, 1, 0, is_any, call_open_producer},
	{"next, release", OF_CONSUMER, 0, 0, is_stream, call_next_release},
	{"release of many", OF_CONSUMER, 0, 0, is_stream, call_release_many},
	{"read", OF_CONSUMER, 0, 0, has_reader, call_read},
	{"read many", OF_CONSUMER, 0, 0, has_reader, call_read_many},
	{"open, next, close", OF_CONSUMER, 1, 0, has_reader, call_open_cursor},
	{"take, acknowledge", OF_CONSUMER, 0, 0, is_queue, call_ack},
	{"take, give back", OF_CONSUMER, 0, 0, is_queue, call_nack},
	{"take, acknowledge all", OF_CONSUMER, 0, 0, is_queue, call_ack_all},
	{"lossy read", OF_LOSSY, 0, 0, has_lossy, call_read},
	{"lossy next, release", OF_LOSSY, 0, 0, has_lossy, call_next_release},
	{"lossy open, next, close", OF_LOSSY, 1, 0, has_lossy, call_open_cursor},
	{"create a gate at the oldest", OF_RING, 0, 0, several_cursors, call_create_oldest},
	{"create a durable gate at the newest", OF_RING, 0, 0, several_cursors, call_create_newest},
	{"create a lossy cursor", OF_RING, 0, 0, has_lossy, call_create_lossy},
	{"remove a cursor", OF_RING, 0, 0, has_spare, call_remove},
	{"sweep", OF_RING, 0, 0, is_any, call_sweep},
	{"attach", OF_RING, 0, 1, is_any, call_attach},
};

/* --- One point --------------------------------------------------------------------- */

static int state_possible_here(void)
{
	int dead = now.state >= DEAD_BUSY && now.state <= DEAD_GATE;

	switch (now.state) {
	case DEAD_BUSY:
		if (single())
			return 0;
		break;
	case DEAD_TAKE:
		if (!is_queue(now.kind))
			return 0;
		break;
	case DEAD_GATE:
		if (!several_cursors(now.kind))
			return 0;
		break;
	case CONTENDED:
		return !now.call->attaches && !(single() && now.call->side == OF_PRODUCER && !is_stream(now.kind) &&
						!is_queue(now.kind));
	default:
		break;
	}
	/* Whoever comes for nothing new. */
	if ((now.call->run == call_sweep || now.call->run == call_attach) && !dead)
		return 0;
	return 1;
}

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

/*
 * It attaches before others die, so that it meets what they left; unless the call
 * attaches, which then takes the slot of the dead.
 */
static pid_t start_victim(void)
{
	pid_t pid = fork();

	if (pid) {
		wait_for(ready[0]);
		return pid;
	}
	reached = 0;
	self = P_VICTIM;
	if (!now.call->attaches && attach())
		snprintf(ledger->what, sizeof(ledger->what), "attach: %s", shr_last_error());
	pass_on(ready[1]);
	wait_for(begin[0]);
	if (now.call->attaches) {
		points_begin_at_lock();
	} else {
		MUST(!ring);
		prepare(P_VICTIM);
		for (int c = 0; now.state != CONTENDED && c < CURSORS; c++) /* what the dead were given comes again */
			ledger->cursor[c].count_begun = ledger->cursor[c].count_done;
		if (now.call->side == OF_PRODUCER && !now.call->opens)
			MUST(shr_producer_open(&producer, ring));
		if (reads_something() && !now.call->opens)
			open_victims_cursor();
		points_begin();
	}
	now.call->run();
	points_end();
	_exit(0);
}

static void check(unsigned long point)
{
	static struct model model;

	model_take(&model);
	if (!failures)
		model_agrees(&model);
	if (!failures)
		settle(&model, point >> 1 & 1, point >> 2 & 1);
}

static int run_point(const void *unused, unsigned long point)
{
	int status = 0;
	pid_t victim;

	(void)unused;
	memset(ledger, 0, sizeof(*ledger));
	limit = point;
	make();
	victim = start_victim();
	bring_about();
	pass_on(begin[1]);
	status = ended(victim);
	end_helper();
	if (!failures && status && status != -SIGKILL)
		fail("the call itself failed: %d %s", status, ledger->what);
	if (!failures && point & 1) {
		pid_t pid = fork();

		if (!pid) {
			self = P_CHECK;
			if (attach())
				fail("attach: %s", shr_last_error());
			else
				check(point);
			memcpy(ledger->what, what, sizeof(what));
			if (!failures)
				detach();
			_exit(failures ? 98 : 0);
		}
		if (ended(pid))
			fail("a fresh process: %s", ledger->what);
	} else if (!failures) {
		check(point);
	}
	if (failures) /* the handles may be open */
		shr_segment_unlink(name);
	else
		detach();
	shr_segment_unlink(name);
	return status == -SIGKILL;
}

#ifdef SHR_KILL_POINTS
static void check_labels(void)
{
	static const char *const wanted[] = {
		"back:ready", "claim:busy", "claim:claimed", "claim:dropping", "claim:locked",
		"claim:mended", "claim:numbered", "clean:reclaim", "clean:zeroed", "commit:rest",
		"evict:gate", "gate:counted", "gate:noted", "ack:done", "join:joined", "join:joining",
		"join:role", "open:zeroed", "release:counted", "release:journal", "release:moved",
		"release:noted", "release:reclaim", "release:zeroed", "reserve:pad", "sweep:back",
		"take:taken", "take:token"};

	labels_check(wanted, sizeof(wanted) / sizeof(wanted[0]));
}
#endif

#ifdef SHR_KILL_POINTS
#define TURN 3
#else
#define TURN 6
#endif

/* Is it the state's turn? By default one of TURN is, each in another case. */
static int is_due(unsigned long stride, int possible, int number)
{
	return stride < STRIDE || number % TURN == cases % TURN % possible;
}

static int count_possible(void)
{
	int count = 0;

	for (now.state = 0; now.state < STATES; now.state++)
		count += state_possible_here() != 0;
	return count;
}

/* This call in this kind of ring: 1 if it is wrong in any state. */
static int run_states(unsigned long stride, const char *pattern)
{
	unsigned long points = 0, point;
	int some = 0, states = 0, possible = count_possible(), number = 0;
	char scenario[200], one[200] = "";

	failures = 0;
	for (int state = 0; state < STATES && !failures; state++) {
		now.state = state;
		snprintf(scenario, sizeof(scenario), "%s, %s: %s", now.kind->name, state_names[state],
			 now.call->name);
		if (!state_possible_here() || !is_due(stride, possible, number++) ||
		    !strstr(scenario, pattern))
			continue;
		snprintf(one, sizeof(one), "%s", scenario);
		some = 1;
		states++;
		points += step_points(run_point, NULL, stride, &point);
	}
	if (!some)
		return 0;
	if (!failures && states > 1)
		snprintf(one, sizeof(one), "%s, %d states: %s", now.kind->name, states,
			 now.call->name);
	step_result(one, points, stride);
	if (failures)
		printf("# point %lu: %s\n", point, what);
	fflush(stdout);
	return failures != 0;
}

int main(int argc, char **argv)
{
	size_t kinds_count = sizeof(kinds) / sizeof(kinds[0]), calls_count = sizeof(calls) / sizeof(calls[0]);
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
	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	srand(1);
	snprintf(name, sizeof(name), "/shmring-torture-ring-%d", (int)getpid());
	for (size_t k = 0; k < kinds_count; k++)
		for (size_t c = 0; c < calls_count; c++) {
			now.kind = &kinds[k];
			now.call = &calls[c];
			if (calls[c].possible(&kinds[k]))
				bad += run_states(stride, pattern);
		}
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
