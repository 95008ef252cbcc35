/* SPDX-License-Identifier: MIT */
/* The options of shmring-dump. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdio.h>

#include "commands.h"

/* What is asked for when nothing is said. */
void options_default(struct request *request);

/*
 * Take the options out of @argv: optind is the first argument that is none.
 *
 * Returns: 0, the exit status after a message, 'h' or 'V': the help or the version is asked for
 */
int options_take(int argc, char **argv, struct request *request);

/* The options, as --help shows them. */
void options_help(FILE *out);

#endif
