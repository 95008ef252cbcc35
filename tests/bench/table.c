/* SPDX-License-Identifier: MIT */
/* What is printed. */
#include "bench.h"

#include <stdio.h>
#include <sys/utsname.h>

static const char *const verdict_text[] = {
	[NO_TARGET] = "",          [NO_FIGURE] = "", [TOO_FEW] = "too few runs",
	[DISTURBED] = "disturbed", [MET] = "met",    [NOT_MET] = "NOT"};

static int digits(double value)
{
	return value >= 1000 ? 0 : value >= 100 ? 1 : value >= 1 ? 2 : 3;
}

/* The end of a line: what it is held against. */
static void print_judged(const struct comparison *comparison, enum distance distance)
{
	struct judged judged = judge(comparison, distance);
	char text[100] = "";

	if (judged.verdict == NO_FIGURE)
		return;
	if (comparison->to < 0)
		snprintf(text, sizeof(text), "its figure");
	else if (comparison->of == comparison->at)
		snprintf(text, sizeof(text), "%.2f x %s", judged.ratio,
			 plan.row[comparison->to].name);
	else
		snprintf(text, sizeof(text), "%s: %.2f x it", plan.row[comparison->of].name,
			 judged.ratio);
	printf("  %-38s", text);
	if (comparison->target[distance] > 0)
		printf(" %s %-4g  %s",
		       comparison->at_most ? "<=" : ">=", comparison->target[distance],
		       verdict_text[judged.verdict]);
}

static void print_row(int index, enum distance distance)
{
	const struct row *row = &plan.row[index];
	struct figure figure = figure_of(index, distance);
	char range[40];

	printf("  %-7s %-45s", distance_name[distance], row->name);
	if (!figure.runs) {
		printf("         -\n");
		return;
	}
	snprintf(range, sizeof(range), "%.*f-%.*f", digits(figure.least), figure.least,
		 digits(figure.most), figure.most);
	printf(" %9.*f %-5s %17s %4d%s", digits(figure.value), figure.value, row->unit, range,
	       figure.runs, figure.disturbed ? "~" : " ");
	for (int i = 0, n = 0; i < plan.comparisons; i++)
		if (plan.comparison[i].at == index) {
			if (n++)
				printf("\n  %92s", "");
			print_judged(&plan.comparison[i], distance);
		}
	printf("\n");
}

static int has_run(int row)
{
	for (int i = 0; i < DISTANCES; i++)
		if (figure_of(row, (enum distance)i).runs)
			return 1;
	return 0;
}

static void print_distance(struct results *results, enum distance distance)
{
	const char *group = "";

	printf("\n%s: a line's round trip is %.0f ns (median of the probes)\n",
	       distance_name[distance],
	       median(results->probe[distance], results->probes[distance]));
	for (int i = 0; i < plan.rows; i++) {
		if (!has_run(i))
			continue;
		if (group != plan.row[i].group)
			printf("\n  %-53s %9s %-5s %17s %4s  %s\n", plan.row[i].group, "median", "",
			       "min-max", "runs", "ratio and target");
		group = plan.row[i].group;
		print_row(i, distance);
	}
}

static void print_score(enum distance distance)
{
	int met = 0, judged = 0;

	for (int i = 0; i < plan.comparisons; i++) {
		enum verdict verdict = judge(&plan.comparison[i], distance).verdict;

		met += verdict == MET;
		judged += verdict == MET || verdict == NOT_MET;
	}
	printf("%s: %d of %d targets met\n", distance_name[distance], met, judged);
}

void table_print(struct results *results, const int cpu[2])
{
	struct utsname system = {.release = "?"};
	char model[120];

	uname(&system);
	machine_model(model, sizeof(model));
	printf("shmring %s, %s %s %s, %s, cpus %d and %d, %.0f s; runs kept (discarded):",
	       shr_version(), system.sysname, system.release, system.machine, model, cpu[0], cpu[1],
	       results->seconds);
	for (int i = DISTANCES - 1; i >= 0; i--)
		printf(" %s %d (%d)%s", distance_name[i], results->kept_runs[i],
		       results->discarded[i], i ? "," : "");
	printf("; of the kept, disturbed by other processes: %d\n", results->disturbed);
	printf("Rings of %u KiB. M/s: million messages a second. Each row is explained in\n"
	       "tests/bench/README.md. ~: other processes had the cpus, and too few runs are "
	       "without.\n",
	       RING_BYTES >> 10);
	for (int i = 0; i < plan.left_out; i++)
		printf("left out: %s\n", plan.left[i]);
	for (int i = DISTANCES - 1; i >= 0; i--)
		if (results->kept_runs[i])
			print_distance(results, (enum distance)i);
	printf("\n");
	for (int i = DISTANCES - 1; i > SIBLING; i--)
		if (results->kept_runs[i])
			print_score((enum distance)i);
}
