/* SPDX-License-Identifier: MIT */
/* shmring rm: segments become obsolete and lose their names. */
#include <getopt.h>

#include "operate.h"

static int run(const struct command *command, int argc, char **argv)
{
	int result = operate_options(command, argc, argv, 1, argc, NULL);

	if (result != NO_COMMAND)
		return result;
	result = 0;
	for (int i = optind; i < argc; i++) {
		int err = shr_segment_unlink(argv[i]);

		if (err)
			result = operate_failed(argv[i], err);
	}
	return result;
}

const struct command command_rm = {.name = "rm",
				   .arguments = "SEGMENT...",
				   .summary = "Remove segments, and tell and wake who is attached.",
				   .run = run};
