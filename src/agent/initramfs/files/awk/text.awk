# The lines of a file, put out again by END of the program after this; `end` says whether the last one had a line's end.
{ line[NR] = $0 }
# The field `n` of a line, and where it begins in `at`, 0 if there is none. Blanks around it stay when it becomes another.
function field(text, n) {
    for (at = 1; match(substr(text, at), /[^ \t\r]+/); at += RLENGTH) {
        at += RSTART - 1
        if (--n == 0) return substr(text, at, RLENGTH)
    }
    at = 0
    return ""
}
function with_field(text, n, new,    old) {
    old = field(text, n)
    return at ? substr(text, 1, at - 1) new substr(text, at + length(old)) : text
}
# Every word of the line that is the terminal's name, and nothing else of it.
function renamed(text, old, new,    out, word) {
    out = ""
    while (match(text, /[^ \t:\/]+/)) {
        word = substr(text, RSTART, RLENGTH)
        out = out substr(text, 1, RSTART - 1) (word == old ? new : word)
        text = substr(text, RSTART + RLENGTH)
    }
    return out text
}
function put_all(    i) {
    for (i = 1; i <= NR; i++) printf "%s%s", line[i], (i < NR || end) ? "\n" : ""
}
