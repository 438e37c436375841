# One terminal is the console: the lines that keep a login on it are told its name on this platform. Logins on other
# terminals stay; where the console has one already, nothing is changed.

# The terminal that an active line keeps a program on; empty for all other lines.
function terminal(text,    part, word, i, n, name) {
    if (text ~ /^[ \t]*#/ || split(text, part, ":") < 4) return ""
    if (part[3] != "respawn" && part[3] != "askfirst" && part[3] != "ondemand") return ""
    # An inittab of busybox has the terminal in front; sysvinit's has any name there, and the terminal with the program.
    if (is_terminal(part[1])) return part[1]
    n = split(process(text), word, /[ \t\r]+/)
    for (i = 1; i <= n; i++) {
        name = word[i]
        sub(/^\/dev\//, "", name)
        if (is_terminal(name)) return name
    }
    # With nothing in front it is the console's; daemons stand so too.
    return part[1] == "" && process(text) ~ /^[ \t]*(-|([^ \t]*\/)?((ba|a|da)?sh[ \t\r]*$|(login|cttyhack)([ \t]|$)))/ ? "console" : ""
}
# `xvc0` was Xen's console before Linux 2.6.26; `console` is the console on both platforms.
function is_terminal(name) { return name ~ /^(tty[0-9]+|[hx]vc0|console)$/ }
# Of several the least is most likely to have been the console.
function rank(name) { return name == "xvc0" ? -1 : substr(name, 4) + 0 }
# What comes after the third colon.
function process(text,    i) {
    for (i = 0; i < 3; i++) sub(/^[^:]*:/, "", text)
    return text
}
END {
    want = platform == "xen" ? "hvc0" : "tty0"
    old = ""
    for (i = 1; i <= NR; i++) {
        on[i] = terminal(line[i])
        if (on[i] == want || on[i] == "console") old = want
        else if (on[i] == "" || old == want) continue
        else if (platform == "uml") { if (on[i] == "hvc0") old = on[i] }
        else if (old == "" || rank(on[i]) < rank(old)) old = on[i]
    }
    for (i = 1; i <= NR; i++) if (old != "" && old != want && on[i] == old) line[i] = renamed(line[i], old, want)
    put_all()
}
