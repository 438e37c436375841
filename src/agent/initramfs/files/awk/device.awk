# A disk's name on this platform, if it is one of the other; any other name stays.
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
# Several in one word, as some file systems have them.
function devices(text,    part, n, i) {
    n = split(text, part, ":")
    text = device(part[1])
    for (i = 2; i <= n; i++) text = text ":" device(part[i])
    return text
}
# Options that are such a name as a whole: by path, or as systemd calls its unit.
function options(text,    option, n, i, at, value) {
    n = split(text, option, ",")
    text = ""
    for (i = 1; i <= n; i++) {
        at = index(option[i], "=")
        value = substr(option[i], at + 1)
        if (value ~ /^dev-(ubd|xvd)[a-p][0-9]*\.device$/) {
            value = device("/dev/" substr(value, 5, length(value) - 11))
            value = "dev-" substr(value, 6) ".device"
        } else if (value ~ /^\/dev\//) value = devices(value)
        text = text (i > 1 ? "," : "") substr(option[i], 1, at) value
    }
    return text
}
