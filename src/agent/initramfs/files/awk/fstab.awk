# The first field's device, if it is one of the other platform; the rest of the line is not looked at.
function device(name,    unit) {
    if (platform == "uml") {
        if (name ~ /^\/dev\/xvd[a-p][0-9]*$/) return "/dev/ubd" substr(name, 9)
        return name
    }
    if (name ~ /^\/dev\/ubd[a-p][0-9]*$/) return "/dev/xvd" substr(name, 9)
    # The names of 2.4 kernels, with and without devfs: a number instead of a letter.
    if (name ~ /^\/dev\/ubd\/?[0-9]+$/) { unit = name; sub(/^.*[^0-9]/, "", unit); return letter(unit, "", name) }
    if (name ~ /^\/dev\/ubd\/disc[0-9]+\/disc$/) { unit = substr(name, 14); sub(/\/disc$/, "", unit); return letter(unit, "", name) }
    if (name ~ /^\/dev\/ubd\/disc[0-9]+\/part[0-9]+$/) {
        unit = substr(name, 14)
        sub(/\/.*$/, "", unit)
        sub(/^.*part/, "", name)
        return letter(unit, name, "/dev/ubd/disc" unit "/part" name)
    }
    return name
}
function letter(unit, part, name) {
    return length(unit) > 2 || unit + 0 > 15 ? name : "/dev/xvd" substr("abcdefghijklmnop", unit + 1, 1) part
}
END {
    for (i = 1; i <= NR; i++) {
        if (!match(line[i], /^[ \t]*\/dev\/[^ \t]+/)) continue
        first = substr(line[i], 1, RLENGTH)
        rest = substr(line[i], RLENGTH + 1)
        start = index(first, "/")
        line[i] = substr(first, 1, start - 1) device(substr(first, start)) rest
    }
    put_all()
}
