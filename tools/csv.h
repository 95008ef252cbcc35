/* SPDX-License-Identifier: MIT */
/*
 * shmring-dump -o csv: a line of names, and one for each record, as RFC 4180 has them
 * but for the line ends, which are this system's. Text is in quotes, with escapes as in
 * text instead of control characters; what a record has not is empty.
 */
#ifndef TOOLS_CSV_H
#define TOOLS_CSV_H

#include "records.h"
#include "row.h"

/* All that is known of records of @show's sources, for which -F is not given. To be freed. */
struct fields *csv_fields(const struct show *show);

void csv_names(const struct fields *fields);
void csv_row(const struct fields *fields, const struct column *columns, const struct row *row);

#endif
