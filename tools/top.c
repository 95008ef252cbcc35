/* SPDX-License-Identifier: MIT */
/* shmring-dump top: rates, lags, who is slow and who died, live. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "screen.h"
#include "top.h"

/* Columns beside the name, in the order in which they are shown. */
enum { RATE, BYTES, LAG, PERCENT, BAR, LOST, WHO, COLUMNS };

#define BAR_SIZE 10
#define NAME_MIN 20 /* columns for names, at the cost of others */
#define NO_LIMIT 10000

enum order { BY_NAME, BY_RATE, BY_FILL, BY_LOST, ORDERS };

static const char *const orders[] = {"name", "rate", "fill", "loss"};

struct top {
	const struct request *request;
	int count;
	char **names;
	struct rows before, now;
	uint64_t interval_ns;
	enum order order;
	int paused;
	int first; /* line of the body that is at the top */
	/* What is shown */
	struct line *lines;
	int line_count, line_room;
	int columns;        /* of the terminal */
	int name;           /* columns of names, */
	int width[COLUMNS]; /* and of the others, 0: none */
};

/* --- Lines ----------------------------------------------------------------------- */

static struct line *line_add(struct top *top, char *text)
{
	if (top->line_count == top->line_room) {
		int room = top->line_room ? 2 * top->line_room : 64;
		struct line *more = realloc(top->lines, (size_t)room * sizeof(*more));

		if (!more)
			text = NULL;
		else
			top->lines = more;
		top->line_room = more ? room : top->line_room;
	}
	if (!text) {
		fputs("shmring-dump: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	top->lines[top->line_count] = (struct line){.text = text};
	return &top->lines[top->line_count++];
}

static void lines_free(struct top *top)
{
	for (int i = 0; i < top->line_count; i++)
		free(top->lines[i].text);
	top->line_count = 0;
}

/* @text in exactly @width columns, from the left or the right. */
static void put_cell(FILE *out, const char *text, int width, int right)
{
	int taken, cut;
	size_t size = text_fits(text, width, &taken);

	cut = text[size] != '\0' && width > 0;
	if (cut)
		size = text_fits(text, width - 1, &taken);
	if (right)
		fprintf(out, "%*s", width - taken - cut, "");
	fwrite(text, 1, size, out);
	fputs(cut ? "~" : "", out);
	if (!right)
		fprintf(out, "%*s", width - taken - cut, "");
}

/* The cells of a line; one that is NULL is empty. */
static struct line *line_cells(struct top *top, const char *name, const char *const cell[COLUMNS])
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return line_add(top, NULL);
	put_cell(out, name, top->name, 0);
	for (int i = 0; i < COLUMNS; i++) {
		if (!top->width[i])
			continue;
		fputc(' ', out);
		put_cell(out, cell[i] ? cell[i] : "", top->width[i], i != BAR && i != WHO);
	}
	fclose(out);
	while (text && size && text[size - 1] == ' ') /* at the end of a line nobody needs them */
		text[--size] = '\0';
	return line_add(top, text);
}

/* Numbers in eight columns at most; "" for what is not known. */
struct text {
	char s[32];
};

static struct text number(double value, int digits)
{
	static const char units[] = " kMGTPE";
	struct text text = {""};
	int unit = 0;

	if (isnan(value))
		return text;
	while (value >= 999.5 && unit < 6) {
		value /= 1000;
		unit++;
		digits = value < 99.95;
	}
	snprintf(text.s, sizeof(text.s), "%.*f%.1s", value < 99.95 ? digits : 0, value,
		 unit ? units + unit : "");
	return text;
}

static struct text percent(double part)
{
	struct text text = {""};

	if (!isnan(part))
		snprintf(text.s, sizeof(text.s), "%.0f%%", part < 9.99 ? part * 100 : 999);
	return text;
}

static struct text bar(double part)
{
	struct text text = {""};
	int full = part >= 1 ? BAR_SIZE : (int)(part * BAR_SIZE + 0.5);

	if (isnan(part))
		return text;
	for (int i = 0; i < BAR_SIZE; i++)
		text.s[i] = i < full ? '#' : '.';
	return text;
}

/* --- The body -------------------------------------------------------------------- */

static double fill_of(const struct row *row)
{
	if (row->kind == ROW_TABLE)
		return row->slots ? (double)row->used / (double)row->slots : NAN;
	return row->filled && row->capacity ? (double)row->lag / (double)row->capacity : NAN;
}

static void put_row(struct top *top, const struct row *row)
{
	int table = row->kind == ROW_TABLE;
	struct text rate = number(row->record_rate, 1);
	struct text bytes = number(table ? (double)row->used : row->byte_rate, !table);
	struct text lag = number(table         ? (double)row->slots
				 : row->filled ? (double)row->lag
					       : NAN,
				 0);
	struct text part = percent(fill_of(row)), picture = bar(fill_of(row));
	struct text lost =
		number(table ? (double)row->takeovers : (double)(row->lost - row->lost_first), 0);
	const char *const cell[COLUMNS] = {rate.s,    bytes.s, lag.s,   part.s,
					   picture.s, lost.s,  row->who};

	line_cells(top, row->name, cell)->bad = row->bad;
}

/* What is not in columns: behind the name. */
static void put_text(struct top *top, const char *name, const char *text, int bad)
{
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	if (out) {
		put_cell(out, name, top->name, 0);
		fprintf(out, " %s", text);
		fclose(out);
	}
	line_add(top, line)->bad = bad;
}

static double most(double a, double b)
{
	return isnan(a) || a < b ? b : a;
}

/* By what the rings and tables are in order: the largest first. */
static double weight(enum order order, const struct row *row)
{
	switch (order) {
	case BY_RATE:
		return most(row->byte_rate, most(row->record_rate, 0));
	case BY_FILL:
		return most(fill_of(row), 0);
	case BY_LOST:
		return row->kind == ROW_TABLE ? (double)row->takeovers
					      : (double)(row->lost - row->lost_first);
	default:
		return 0;
	}
}

/* A ring or table with what belongs to it. */
struct block {
	const struct row *first;
	size_t count;
	double weight;
	size_t place;
};

static int by_weight(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return x->place < y->place ? -1 : 1;
}

/* Rings, or tables, under a title. */
static void put_blocks(struct top *top, enum row_kind kind, const char *title,
		       const char *const titles[COLUMNS])
{
	const struct rows *rows = &top->now;
	struct block *blocks = calloc(rows->count + 1, sizeof(*blocks));
	size_t count = 0;

	if (!blocks) {
		line_add(top, NULL);
		return;
	}
	for (size_t i = 0; i < rows->count; i++) {
		const struct row *row = &rows->rows[i];
		double heavy = weight(top->order, row);

		if (row->kind == kind) {
			blocks[count] = (struct block){row, 1, heavy, count};
			count++;
		} else if (kind == ROW_RING && row->kind == ROW_CURSOR && count) {
			blocks[count - 1].count++;
			blocks[count - 1].weight = most(blocks[count - 1].weight, heavy);
		}
	}
	qsort(blocks, count, sizeof(*blocks), by_weight);
	if (count)
		line_cells(top, title, titles)->bold = 1;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < blocks[i].count; j++)
			put_row(top, &blocks[i].first[j]);
	free(blocks);
}

static void put_body(struct top *top)
{
	static const char *const rings[COLUMNS] = {"RECORDS/S", "BYTES/S", "LAG", "FILL",
						   "",          "LOST",    "WHO"};
	static const char *const tables[COLUMNS] = {"CHANGES/S", "USED",      "SLOTS", "FILL",
						    "",          "TAKEOVERS", "MODE"};
	static const char *const none[COLUMNS] = {0};
	const struct rows *rows = &top->now;
	int members = 0;

	for (size_t i = 0; i < rows->count; i++)
		if (rows->rows[i].kind == ROW_ERROR)
			put_text(top, rows->rows[i].name, rows->rows[i].who, 1);
	put_blocks(top, ROW_RING, "RING", rings);
	put_blocks(top, ROW_TABLE, "TABLE", tables);
	for (size_t i = 0; i < rows->count; i++) {
		if (rows->rows[i].kind != ROW_MEMBER)
			continue;
		if (!members++)
			line_cells(top, "MEMBER", none)->bold = 1;
		put_text(top, rows->rows[i].name, rows->rows[i].who, rows->rows[i].bad);
	}
	if (!rows->count)
		put_text(top, "no segments", "", 0);
}

/* Which columns there is room for. */
static void lay_out(struct top *top)
{
	static const int width[COLUMNS] = {9, 8, 8, 4, BAR_SIZE, 9, 0};
	/* What is left out first */
	static const int spare[] = {WHO, BAR, LAG, LOST, BYTES, PERCENT, RATE};
	int longest = 6, who = 4, room = top->columns - COLUMNS, taken;

	for (size_t i = 0; i < top->now.count; i++) {
		const struct row *row = &top->now.rows[i];

		text_fits(row->name, NO_LIMIT, &taken);
		longest = taken > longest ? taken : longest;
		if (row->kind != ROW_RING && row->kind != ROW_CURSOR)
			continue;
		text_fits(row->who ? row->who : "", NO_LIMIT, &taken);
		who = taken > who ? taken : who;
	}
	for (int i = 0; i < COLUMNS; i++)
		room -= top->width[i] = width[i];
	/* As much as is left beside the name, if that is worth it. */
	top->width[WHO] = room - longest < who ? room - longest : who;
	if (top->width[WHO] < 8 && top->width[WHO] < who)
		top->width[WHO] = 0;
	room -= top->width[WHO];
	for (size_t i = top->width[WHO] == 0; i < sizeof(spare) / sizeof(spare[0]); i++) {
		if (room >= longest || room >= NAME_MIN)
			break;
		room += top->width[spare[i]] + 1;
		top->width[spare[i]] = 0;
	}
	top->name = room < longest ? room : longest;
	if (top->name < 1)
		top->name = 1;
}

/* --- Once, as text --------------------------------------------------------------- */

static int look(struct top *top)
{
	rows_free(&top->before);
	top->before = top->now;
	top->now = (struct rows){0};
	return rows_look(&top->now, top->before.count ? &top->before : NULL, top->request,
			 top->count, top->names);
}

/* The exit status: are those that were asked for there? */
static int check_names(const struct top *top)
{
	int result = 0;

	for (int i = 0; i < top->count; i++) {
		struct shr_inspect *inspect = NULL;
		int err = shr_inspect_open(&inspect, top->names[i]);

		if (err)
			result = failed(top->names[i], err);
		shr_inspect_close(inspect);
	}
	return result;
}

static int once(struct top *top)
{
	int err = look(top);

	if (!err) {
		uint64_t ns = top->interval_ns;
		struct timespec pause = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

		while (nanosleep(&pause, &pause) && errno == EINTR)
			continue;
		err = look(top);
	}
	if (err)
		return failed("top", err);
	top->columns = NO_LIMIT;
	lay_out(top);
	put_body(top);
	for (int i = 0; i < top->line_count; i++)
		puts(top->lines[i].text);
	return check_names(top);
}

/* --- Live ------------------------------------------------------------------------ */

static void put_status(struct top *top)
{
	time_t now = time(NULL);
	struct tm tm;
	char *text = NULL, clock[16] = "";

	if (localtime_r(&now, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (asprintf(&text,
		     "shmring top %s%s  every %g s  by %s  segments %zu  members %zu alive, %zu "
		     "dead",
		     clock, top->paused ? " PAUSED" : "", (double)top->interval_ns / 1e9,
		     orders[top->order], top->now.segments, top->now.alive, top->now.dead) < 0)
		text = NULL;
	line_add(top, text)->bold = 1;
}

/* All lines, of which those of the body begin at top->first. */
static void show(struct top *top)
{
	static const char keys[] = "q quit  space pause  + - interval  s sort  j k scroll";
	int rows, body, last;
	struct line *screen;

	screen_size(&top->columns, &rows);
	lines_free(top);
	lay_out(top);
	put_status(top);
	put_body(top);
	/* With the keys at the bottom, where there is room. */
	body = rows - 1 - (rows > 4);
	last = top->line_count - 1 > body ? top->line_count - 1 - body : 0;
	top->first = top->first > last ? last : top->first < 0 ? 0 : top->first;
	screen = calloc((size_t)rows + 1, sizeof(*screen));
	if (!screen)
		line_add(top, NULL);
	screen[0] = top->lines[0];
	for (int i = 1; i < rows; i++)
		screen[i].text = (char *)"";
	for (int i = 0; i < body && 1 + top->first + i < top->line_count; i++)
		screen[1 + i] = top->lines[1 + top->first + i];
	if (rows > 4)
		screen[rows - 1] = (struct line){.text = (char *)keys, .bold = 1};
	screen_show(screen, rows);
	free(screen);
}

static void change_interval(struct top *top, int longer)
{
	static const uint64_t ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000};
	const int count = sizeof(ms) / sizeof(ms[0]);
	int i;

	if (longer) {
		for (i = 0; i < count - 1 && ms[i] * 1000000 <= top->interval_ns; i++)
			continue;
		if (ms[i] * 1000000 > top->interval_ns)
			top->interval_ns = ms[i] * 1000000;
	} else {
		for (i = count - 1; i > 0 && ms[i] * 1000000 >= top->interval_ns; i--)
			continue;
		if (ms[i] * 1000000 < top->interval_ns)
			top->interval_ns = ms[i] * 1000000;
	}
}

/* 0: the end. */
static int act(struct top *top, int key)
{
	int columns, rows;

	screen_size(&columns, &rows);
	switch (key) {
	case SCREEN_END:
	case 'q':
		return 0;
	case ' ':
		top->paused = !top->paused;
		break;
	case '+':
	case '-':
		change_interval(top, key == '+');
		break;
	case 's':
		top->order = (top->order + 1) % ORDERS;
		break;
	case 'j':
	case SCREEN_DOWN:
		top->first++;
		break;
	case 'k':
	case SCREEN_UP:
		top->first--;
		break;
	case SCREEN_PAGE_DOWN:
		top->first += rows - 2;
		break;
	case SCREEN_PAGE_UP:
		top->first -= rows - 2;
		break;
	}
	return 1;
}

static int live(struct top *top)
{
	uint64_t last = look_time_ns();
	int err = look(top), key;

	if (err)
		return failed("top", err);
	err = screen_open(top->request->style.color);
	if (err) {
		fprintf(stderr, "shmring-dump: cannot use the terminal: %s\n", strerror(-err));
		return EXIT_FAILURE;
	}
	do {
		show(top);
		key = screen_wait(top->paused ? UINT64_MAX : last + top->interval_ns);
		if (key == SCREEN_TIME) {
			last = look_time_ns();
			err = look(top);
		}
	} while (!err && act(top, key));
	screen_close();
	return err ? failed("top", err) : 0;
}

int command_top(const struct request *request, int count, char **names)
{
	struct top top = {.request = request,
			  .count = count,
			  .names = names,
			  .interval_ns =
				  request->interval_ns ? request->interval_ns : LOOK_INTERVAL_NS};
	const char *term = getenv("TERM");
	int result;

	if (request->once) {
		result = once(&top);
	} else if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !term || !*term ||
		   !strcmp(term, "dumb")) {
		fputs("shmring-dump: top needs a terminal; see --once, and stat -i\n", stderr);
		result = EXIT_USAGE;
	} else {
		result = live(&top);
	}
	lines_free(&top);
	free(top.lines);
	rows_free(&top.before);
	rows_free(&top.now);
	return result;
}
