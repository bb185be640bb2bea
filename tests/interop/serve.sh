# Sourced by the run.sh of each language, from the top folder: serve NAME starts the release server on a free port, on a fresh SQLite
# file below build/interop/NAME, and exports its address as PERDURE_ADDRESS. It is stopped when the script ends.
# With PERDURE_ADDRESS set nothing is started: the same tests run on that server, the official one, say.
# check_server says whether it still runs.
serve() {
  local folder=build/interop/$1
  if [ -n "${PERDURE_ADDRESS:-}" ]; then
    echo "perdure: against the server at $PERDURE_ADDRESS"
    return 0
  fi
  mkdir -p "$folder"
  rm -f "$folder"/server.db* "$folder"/server.log
  build/perdure server start-dev --headless --port 0 --db-filename "$folder/server.db" >"$folder/server.log" 2>&1 &
  server_pid=$!
  trap 'kill $server_pid 2>/dev/null || true; wait $server_pid 2>/dev/null || true' EXIT
  for _ in $(seq 100); do
    PERDURE_ADDRESS=$(awk '$1 == "Address" { print $2 }' "$folder/server.log" 2>/dev/null || true)
    if [ -n "$PERDURE_ADDRESS" ]; then
      export PERDURE_ADDRESS
      return 0
    fi
    kill -0 $server_pid 2>/dev/null || break
    sleep 0.1
  done
  echo "perdure: the server for $1 did not start:"
  cat "$folder/server.log"
  return 1
}

check_server() {
  [ -z "${server_pid:-}" ] && return 0
  kill -0 "$server_pid" 2>/dev/null && return 0
  echo "perdure: the server has ended:"
  tail -30 "build/interop/$1/server.log"
  return 1
}
