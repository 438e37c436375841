# One terminal is the console: the lines that keep a login on it are told its name on this platform. Logins on other
# terminals stay; where the console has one already, nothing is changed.

# The terminal that an active line keeps a program on; empty for all other lines.
function terminal(text,    field, word, i, n, name) {
    if (text ~ /^[ \t]*#/ || split(text, field, ":") < 4) return ""
    if (field[3] != "respawn" && field[3] != "askfirst" && field[3] != "ondemand") return ""
    # An inittab of busybox has the terminal in front; sysvinit's has any name there, and the terminal with the program.
    if (is_terminal(field[1])) return field[1]
    n = split(process(text), word, /[ \t]+/)
    for (i = 1; i <= n; i++) {
        name = word[i]
        sub(/^\/dev\//, "", name)
        if (is_terminal(name)) return name
    }
    return ""
}
function is_terminal(name) { return name ~ /^(tty[0-9]+|hvc0)$/ }
# What comes after the third colon.
function process(text,    i) {
    for (i = 0; i < 3; i++) sub(/^[^:]*:/, "", text)
    return text
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
END {
    want = platform == "xen" ? "hvc0" : "tty0"
    old = ""
    for (i = 1; i <= NR; i++) {
        on[i] = terminal(line[i])
        if (on[i] == want) old = want
        else if (on[i] == "" || old == want) continue
        else if (platform == "uml") { if (on[i] == "hvc0") old = on[i] }
        else if (old == "" || substr(on[i], 4) + 0 < substr(old, 4) + 0) old = on[i]
    }
    for (i = 1; i <= NR; i++) if (old != "" && old != want && on[i] == old) line[i] = renamed(line[i], old, want)
    put_all()
}
