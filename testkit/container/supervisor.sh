# The first process of the container. It is run by the image's own sh with
#   $0       seconds that the server stays on after its last connection
#   $@       the server's command line
# The server's users are counted by their connections, so the count is right however a test
# process ends, and on an engine of another machine too.
docker-entrypoint.sh "$@" &
server=$!
trap 'kill -QUIT "$server"' TERM INT

# connected tells whether somebody has a connection: local port 5432 (hexadecimal 1538) in
# state 01, established.
connected() {
	for table in /proc/net/tcp /proc/net/tcp6; do
		[ -r "$table" ] || continue
		while read -r _ local _ state _; do
			case "$local $state" in *":1538 01") return 0 ;; esac
		done <"$table"
	done
	return 1
}

watch() {
	left=300 # for the first connection; an image that initialises takes a while
	while [ "$left" -gt 0 ]; do
		sleep 1
		left=$((left - 1))
		if connected; then left=$linger; fi
	done
	kill -QUIT "$server"
}

linger=$0
watch &
while kill -0 "$server" 2>/dev/null; do wait "$server"; done
