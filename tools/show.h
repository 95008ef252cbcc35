/* SPDX-License-Identifier: MIT */
/* shmring-dump records and follow: which records are shown, and how. */
#ifndef TOOLS_SHOW_H
#define TOOLS_SHOW_H

#include "records.h"
#include "row.h"

/* Before each value of JSON. */
void show_comma(const struct show *show);

/* Tell how many -R held back in the last second, if that is over. */
void show_held(struct show *show);

/* Where losses are told, in all formats but JSON. */
FILE *show_losses(const struct show *show);

/* No more is to be shown. */
int show_enough(const struct show *show);

/* Show it, if it is one that is asked for. 0, or -ENOMEM. */
int show_record(struct show *show, struct source *source, const struct shr_walk_record *record);
int show_slot(struct show *show, const struct source *source, const struct slots *slots,
	      const struct slot *slot, const struct slot_change *change);

#endif
