# The first process of the container. The image's own sh runs the script with
#   $0       seconds from the last connection's end to the server's end
#   $@       the server's command line
# The script counts the server's users by connections: the count is right however a test process
# ends, and on an engine of a different machine too.
docker-entrypoint.sh "$@" &
server=$!
trap 'kill -QUIT "$server"' TERM INT

# socket reports whether local port 5432 (hexadecimal 1538) has a socket in the state: 01 is
# established, 0A is listening.
socket() {
	for table in /proc/net/tcp /proc/net/tcp6; do
		[ -r "$table" ] || continue
		while read -r _ local _ state _; do
			case "$local $state" in *":1538 $1") return 0 ;; esac
		done <"$table"
	done
	return 1
}

watch() {
	left=300 # for the server to listen; an image that initialises takes a while
	first=30 # for the first connection; a process killed early makes no visible connection
	while [ "$left" -gt 0 ]; do
		sleep 1
		left=$((left - 1))
		if socket 01; then
			left=$linger
			first=
		elif [ -n "$first" ] && socket 0A; then
			left=$first
			first=
		fi
	done
	kill -QUIT "$server"
}

linger=$0
watch &
while kill -0 "$server" 2>/dev/null; do wait "$server"; done
