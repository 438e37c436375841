# Disks in the first field and among the options. What cannot be mounted here is a marked comment: a file system that only the
# other platform's kernels have, and what would be on a disk that crypttab does not open (its name is in `closed`).
function missing(type, name) {
    if (platform == "xen" ? type ~ /^(hostfs|humfs)$/ : type == "xenfs") return 1
    return name ~ /^\/dev\/mapper\/./ && index(closed, " " substr(name, 13) " ")
}
END {
    for (i = 1; i <= NR; i++) {
        text = line[i]
        marked = sub(/^#xenbeta# /, "", text)
        if (text ~ /^[ \t]*#/) continue
        name = field(text, 1)
        if (missing(field(text, 3), name)) line[i] = "#xenbeta# " text
        else {
            if (name ~ /^\/dev\//) text = with_field(text, 1, devices(name))
            line[i] = with_field(text, 4, options(field(text, 4)))
        }
    }
    put_all()
}
