# Runs a command for as long as the process at the other end of stdin runs, however it ends: a
# killed test process cannot clean up, but the kernel closes its pipe.
#
# Usage: guard.sh DIRECTORY CLEANUP COMMAND...
#
# Prints the command's process id. The command's output goes to DIRECTORY/log; DIRECTORY/ended
# appears when it ends. CLEANUP is a shell command that ends it, with $child for its process id.
# DIRECTORY is removed at the end.

directory=$1 cleanup=$2
shift 2

# The reader of stdout may have ended; the removal below must still happen.
trap '' PIPE

exec 3<&0
"$@" </dev/null >"$directory/log" 2>&1 3<&- &
child=$!
echo "$child"

(
    read -r _ <&3
    eval "$cleanup"
) >/dev/null 2>&1 &

wait "$child"
echo "$?" >"$directory/ended"
read -r _ <&3
# The cleanup may have to end more than the command.
wait
rm -rf "$directory"
