# The supervisor of one server, run by /bin/sh with
#   $1       the server's folder, which goes away with it
#   $2       seconds to stay on after the last user has gone; 0: stop at once
#   $3...    the server's command line
#   stdin    the pipe that counts the users: each holds it open for writing
#   fd 3     a pipe nobody writes to; the starter sees it end once the
#            supervisor and all of the server's processes have ended
dir=$1 linger=$2
shift 2
exec 4<&0 </dev/null

# watch returns when nobody uses the server any more. Everything but the sleep
# is built into the shell, so that killing the watcher leaves no process.
watch() {
	while read -r _; do :; done # ends when no process holds the pipe open
	if [ "$linger" != 0 ]; then
		# Who comes writes a line, so that the pipe tells of those, too, who
		# came and went during the sleep.
		while sleep "$linger" && read -r _; do
			while read -r _; do :; done
		done
		# From here on nobody finds the pipe by its name, but who got in
		# before is still served. Renamed, not removed: it also tells the
		# sweep of another process that the folder is in use.
		mv "$dir/users" "$dir/leaving"
		while read -r _; do :; done
	fi
	stop
}

# stop shuts the server down at once, as its data is thrown away; not by KILL,
# which would leave shared memory behind. The shell starts it with QUIT ignored,
# so until it has set up its own handlers only TERM ends it, and from then on
# QUIT outdoes TERM.
stop() {
	kill -TERM "$server"
	kill -QUIT "$server"
} 2>/dev/null

run() {
	"$@" 4<&- &
	server=$!
	trap stop HUP INT TERM
	watch <&4 3>&- &
	watcher=$!
	# A trapped signal ends wait early, hence the loop. The server may also
	# end of itself; then the watcher still waits for users to leave.
	while kill -0 "$server" 2>/dev/null; do wait "$server"; done
	kill "$watcher" 2>/dev/null
	rm -rf "$dir"
}

# Only the starter of a server of its own waits for the supervisor. A shared
# one must be nobody's child, or it would stay a zombie of its starter.
if [ "$linger" = 0 ]; then run "$@"; else run "$@" & fi
