# The supervisor of one server. It is run from the server's folder, which goes
# away with it, by /bin/sh with
#   $1       seconds of one nap: the server stays on for ten naps after the last
#            user has gone; 0: stop at once
#   $2...    the server's command line
#   stdin    the pipe that counts the users: each holds it open for writing
#   fd 3     a pipe nobody writes to; the starter sees it end once the
#            supervisor and all of the server's processes have ended
dir=${0%/*} nap=$1
shift
exec 4<&0 </dev/null

# watch waits until nobody uses the server any more, and stops it. It reads
# with the shell's own read, as killing it must not leave another process.
watch() {
	while read -r _; do :; done # ends when no process holds the pipe open
	if [ "$nap" != 0 ]; then
		# A user who comes writes a line, so the pipe shows a user who came
		# and went during a nap. The naps are short: the wait begins again after
		# such a user, and the rest of the nap is what the wait is too long.
		naps=10
		while [ "$naps" -gt 0 ]; do
			nap
			naps=$((naps - 1))
			if read -r _; then
				while read -r _; do :; done
				naps=10
			fi
		done
		# From here on nobody finds the pipe by its name, but who got in
		# before is still served. Renamed, not removed: the new name also shows the
		# sweep of another process that the folder is in use.
		mv "$dir/users" "$dir/leaving"
		while read -r _; do :; done
	fi
	stop
}

nap() {
	sleep "$nap" &
	sleeper=$!
	trap 'kill "$sleeper"; exit' TERM
	wait "$sleeper"
	trap - TERM
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
if [ "$nap" = 0 ]; then run "$@"; else run "$@" & fi
