# The lines of a file, put out again by END of the program after this; `end` says whether the last one had a line's end.
{ line[NR] = $0 }
function put_all(    i) {
    for (i = 1; i <= NR; i++) printf "%s%s", line[i], (i < NR || end) ? "\n" : ""
}
