/* SPDX-License-Identifier: MIT */
/* Medians and windows. */
#include "bench.h"

#include <stdlib.h>

void wait_until_ns(int64_t then)
{
	while (now_ns() < then)
		;
}

void samples_add(struct samples *samples, double value, double weight)
{
	if (samples->count == SAMPLES)
		return;
	samples->value[samples->count] = value;
	samples->weight[samples->count] = weight;
	samples->count++;
}

struct pair {
	double value, weight;
};

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b; /* of a pair, too: its first member */

	return (*x > *y) - (*x < *y);
}

double samples_median(struct samples *samples)
{
	static struct pair sorted[SAMPLES];
	double total = 0, below = 0;

	for (int i = 0; i < samples->count; i++) {
		sorted[i] = (struct pair){samples->value[i], samples->weight[i]};
		total += samples->weight[i];
	}
	qsort(sorted, (size_t)samples->count, sizeof(sorted[0]), by_value);
	for (int i = 0; i < samples->count; i++) {
		below += sorted[i].weight;
		if (below * 2 >= total)
			return sorted[i].value;
	}
	return 0;
}

double median(double *value, int count)
{
	if (!count)
		return 0;
	qsort(value, (size_t)count, sizeof(*value), by_value);
	return count % 2 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

void windows_begin(struct windows *windows, struct samples *samples, int64_t length_ns)
{
	int64_t now = now_ns();

	samples->count = 0;
	*windows = (struct windows){.samples = samples, .start = now, .end = now + length_ns};
}

int windows_note(struct windows *windows, uint64_t messages)
{
	int64_t now = now_ns();

	windows->messages += messages;
	if (now - windows->start < WINDOW_NS)
		return 1;
	if (windows->warm)
		samples_add(windows->samples,
			    (double)windows->messages * 1e3 / (double)(now - windows->start),
			    (double)windows->messages);
	windows->warm = 1;
	windows->messages = 0;
	windows->start = now;
	return now < windows->end;
}
