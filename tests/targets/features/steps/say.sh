# Says under which name it travels, and what it was told; `$$` and {{ }} must arrive as they are.
printf '%s %s %s {{x}}\n' "${0##*/}" "$2" "$#" > "$1"
