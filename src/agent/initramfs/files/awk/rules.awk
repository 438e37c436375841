# Rules, some over several lines, become comments where they would give the card `mac` another name than eth0 or keep that
# name for another card. Names in `known` are used by the guest's network files.
function named(rule) {
    return match(rule, /(^|[ \t,])NAME[ \t]*:?=[ \t]*"[^"]*"/) ? substr(rule, RSTART, RLENGTH) : ""
}
function of_a_card(rule) { return rule ~ /(SYSFS|ATTRS?)[{]address[}][ \t]*==/ || rule ~ /uml-netdev/ }
function wrong(rule,    name, mine) {
    name = named(rule)
    if (name == "" || !of_a_card(rule)) return 0
    sub(/"$/, "", name)
    sub(/^.*"/, "", name)
    mine = mac != "" && index(tolower(rule), tolower(mac)) > 0
    if (mine) return name ~ /^eth[1-9]$/ && index(known " ", " " name " ") == 0
    # Another card's eth0, unless this card lives well under a name of its own.
    return name == "eth0" && known == ""
}
END {
    for (i = 1; i <= NR; i = last + 1) {
        rule = line[i]
        # No rule goes over more lines than these.
        for (last = i; last < NR && last < i + 20 && line[last] ~ /\\$/ && line[i] !~ /^[ \t]*#/; last++) rule = rule " " line[last + 1]
        if (rule ~ /^[ \t]*(#|$)/ || !wrong(rule)) continue
        for (j = i; j <= last; j++) line[j] = "#xenbeta# " line[j]
    }
    put_all()
}
