# Runs one program (initdb or postgres) and ends it when the owner, who holds the other end of our
# standard input, ends in whatever way. Exits with the program's status.
#   $1  a folder to remove when the owner ends, or nothing
#   $2  an empty folder to remove when the owner ends, or nothing
#   $3… the program
# Standard output may be an open folder, for a program that cannot traverse its parents: the program
# inherits it as descriptor 4.
unset GUARD
remove=$1 prune=$2
shift 2
exec 3<&0 </dev/null 4<&1 1>&2

"$@" 3<&- &
program=$!

(
    while read -r _ <&3; do :; done
    trap '' TERM
    ticks=0
    # Fast shutdown, repeated because a program that has just started may not listen yet; then harder.
    while kill -0 "$program" 2>/dev/null && [ $ticks -lt 200 ]; do
        case $ticks in
            0 | 2 | 10 | 30) kill -INT "$program" ;;
            100) kill -QUIT "$program" ;;
            150) kill -KILL "$program" ;;
        esac
        ticks=$((ticks + 1))
        sleep 0.1 || sleep 1
    done 2>/dev/null
    exit 0
) 4<&- &
watch=$!
exec 3<&- 4<&-

wait "$program"
status=$?
# A watch that still reads ends by this signal. One that has seen the owner go ignores it and exits 0.
kill -TERM "$watch" 2>/dev/null
if wait "$watch" 2>/dev/null; then
    # What the program has started itself and did not end.
    trap '' TERM
    kill -TERM 0 2>/dev/null
    [ -z "$prune" ] || rmdir "$prune" 2>/dev/null
    [ -z "$remove" ] || rm -rf "$remove"
fi
exit $status
