# SPDX-License-Identifier: MIT
# Functions and their prototypes, a line each: "NAME PROTOTYPE", the latter without white
# space. Of headers (-v of=header), or of the SYNOPSIS of manual pages (-v of=page).
# What is for the library's own inline calls, named _slow or with a _ at its end, is left out.
function tell(name, prototype) {
	gsub(/[ \t\n]/, "", prototype)
	if (name !~ /(_slow|_)$/)
		print name, prototype
}

# The words of a line of mdoc: a quoted one is one.
function words(line, word,    n) {
	n = 0
	sub(/^[ \t]+/, "", line)
	while (line != "") {
		if (line ~ /^"/) {
			line = substr(line, 2)
			match(line, /^[^"]*/)
			word[++n] = substr(line, 1, RLENGTH)
			line = substr(line, RLENGTH + 2)
		} else {
			match(line, /^[^ \t]*/)
			word[++n] = substr(line, 1, RLENGTH)
			line = substr(line, RLENGTH + 1)
		}
		sub(/^[ \t]+/, "", line)
	}
	return n
}

# What is declared in @text, which has no comments.
function declared(text,    rest, end, depth, c, head, n, part) {
	while (match(text, /(SHR_API|static inline)[^;{}()=]*[ *]shr_[a-z0-9_]*\(/)) {
		head = substr(text, RSTART, RLENGTH)
		rest = substr(text, RSTART + RLENGTH)
		depth = 1
		for (end = 1; depth && end <= length(rest); end++) {
			c = substr(rest, end, 1)
			depth += c == "(" ? 1 : c == ")" ? -1 : 0
		}
		sub(/\($/, "", head)
		sub(/^(SHR_API|static)[ \t\n]+/, "", head)
		sub(/^inline[ \t\n]+/, "", head)
		n = split(head, part, /[ \t\n*]+/)
		tell(part[n], head "(" substr(rest, 1, end - 1))
		text = substr(rest, end)
	}
}

of == "header" && FNR == 1 { declared(text); text = ""; comment = 0 }
of == "header" {
	line = $0
	code = ""
	while (line != "") { # without comments
		at = index(line, comment ? "*/" : "/*")
		if (!at) {
			if (!comment)
				code = code line
			break
		}
		if (!comment)
			code = code substr(line, 1, at - 1) " "
		line = substr(line, at + 2)
		comment = !comment
	}
	if (code !~ /^[ \t]*#/ && !macro)
		text = text code "\n"
	macro = (macro || code ~ /^[ \t]*#/) && code ~ /\\$/
}

of == "page" && $1 == ".Sh" { synopsis = $2 == "SYNOPSIS" }
of == "page" && synopsis && $1 == ".Ft" { sub(/^\.Ft[ \t]+/, ""); type = $0 }
of == "page" && synopsis && ($1 == ".Fn" || $1 == ".Fo") {
	open = $1 == ".Fo"
	line = $0
	sub(/^\.F[no]/, "", line)
	n = words(line, word)
	name = word[1]
	arguments = n > 1 ? word[2] : ""
	for (i = 3; i <= n; i++)
		arguments = arguments "," word[i]
	if (!open && name ~ /^shr_/)
		tell(name, type " " name "(" arguments ")")
}
of == "page" && open && $1 == ".Fa" {
	line = $0
	sub(/^\.Fa/, "", line)
	n = words(line, word)
	for (i = 1; i <= n; i++)
		arguments = arguments (arguments == "" ? "" : ",") word[i]
}
of == "page" && open && $1 == ".Fc" {
	open = 0
	tell(name, type " " name "(" arguments ")")
}

END { if (of == "header") declared(text) }
