# The first process of the container. It is run by the image's own sh with
#   $0       seconds that the server stays on after its last connection
#   $@       the server's command line
# The server's users are counted by their connections, so the count is right however a test
# process ends, and on an engine of another machine too.
docker-entrypoint.sh "$@" &
server=$!
trap 'kill -QUIT "$server"' TERM INT

# socket tells whether local port 5432 (hexadecimal 1538) has a socket in the state: 01 is
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
	first=30 # for the first connection; a process that is killed early makes none that is seen
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
