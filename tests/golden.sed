# SPDX-License-Identifier: MIT
# What differs from run to run in the output of shmring-dump: pids and when their processes
# were started, numbers of threads, times, epochs, users; and the width of the column of users.
s/pid [0-9]+/pid P/g
s/pid=("?)[0-9]+/pid=\1P/g
s/,[0-9]+,"idle"$/,P,"idle"/
s/"((creator_)?pid|start_time|thread)": ?"?[0-9]+"?/"\1": P/g
s/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?/T/g
s/\<1[0-9]{9}(\.[0-9]+)?\>/T/g
s/\<1[0-9]{18}\>/T/g
s/"([a-z]*_ns)": ?"T"/"\1": T/g
s/epoch [0-9a-f]{16}/epoch E/
s/"epoch": ?"[0-9a-f]{16}"/"epoch": E/
s/"uid": ?[0-9]+/"uid": U/
s/"user": ?"[^"]*",?/"user": U,/
/^SEGMENT /,$s/   */  /g
s/^(file:[^ ]+  [0-9]+  [0-9]+  [0-9]+  )[^ ]+  /\1U  /
