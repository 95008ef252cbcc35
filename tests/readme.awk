# SPDX-License-Identifier: MIT
# Takes README.md apart. The fenced block in line N goes to dir/N, and one of C or C++ to
# the file that its first line names, too. Prints of each block: line, language, name or
# "-", and the comment that stands before it ("not run: it measures").
/^```./ {
	language = substr($0, 4)
	line = NR
	to = dir "/" line
	name = ""
	printf "" >to
	first = 1
	next
}
/^```$/ {
	print line, language, name ? name : "-", comment
	close(to)
	if (name)
		close(dir "/" name)
	to = comment = ""
	next
}
to {
	if (first && (language == "c" || language == "cpp"))
		name = $2
	first = 0
	print >to
	if (name)
		print >(dir "/" name)
	next
}
/^<!-- .* -->$/ { comment = substr($0, 6, length($0) - 9); next }
NF { comment = "" }
