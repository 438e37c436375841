# Disks, keys on disks and options. A line that makes its disk anew at every boot gets a new name only if that disk is in `empty`
# and no other line, here or in the file `fstab`, is about it: letters may mean other disks than they did. Else it is a marked
# comment with the name it had, until it is on the platform of that name and that disk is not in `full`.
function makes_anew(text) {
    return field(text, 3) ~ /^\/dev\/(u?random|hwrng|hw_random)$/ || "," field(text, 4) "," ~ /,(swap|tmp)[,=]/
}
# Counts the disks of a line, and those of them that get a new name.
function use(text,    word, n, i, name) {
    n = split(text, word, /[ \t\r,=:]+/)
    for (i = 1; i <= n; i++) {
        name = device(word[i])
        if (name !~ /^\/dev\/(ubd|xvd)[a-p]/) continue
        count(users, name)
        if (name != word[i]) count(comers, name)
    }
}
function count(all, name) { all[name]++; if (length(name) > 9) all[substr(name, 1, 9) "*"]++ }
# How many are on the disk, or on a partition of it, or on the disk that it is a partition of.
function on(all, name) { return all[name] + all[length(name) > 9 ? substr(name, 1, 9) : name "*"] }
END {
    while ((getline text < fstab) > 0) if (text !~ /^[ \t]*#/ && field(text, 3) != "swap") use(field(text, 1))
    for (i = 1; i <= NR; i++) if (line[i] !~ /^[ \t]*#/) use(line[i])
    for (i = 1; i <= NR; i++) {
        text = line[i]
        marked = sub(/^#xenbeta# /, "", text)
        if (text ~ /^[ \t]*(#|\r?$)/) continue
        name = field(text, 2)
        here = device(name)
        if (makes_anew(text) && name ~ /^\/dev\/(ubd|xvd)/) {
            disk = " " substr(here, 9) " "
            if (marked) wrong = here != name || index(full, disk) || on(users, here)
            else wrong = here == name ? on(comers, here) : !index(empty, disk) || on(users, here) > 1
            if (wrong) {
                line[i] = "#xenbeta# " text
                continue
            }
        } else if (marked) continue
        text = with_field(text, 2, here)
        text = with_field(text, 3, options(field(text, 3)))
        line[i] = with_field(text, 4, options(field(text, 4)))
    }
    put_all()
}
